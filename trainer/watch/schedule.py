"""Reasons to train again, from the state of labels, model and drift. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from trainer.watch.drift import DriftReport


class Policy(msgspec.Struct, frozen=True):
    """When to train. `max_age_days` None: age is no reason.

    `rest_hours` pass after any run before the next, so that one that fails is not repeated at once; drift and age call
    again after `repeat_days`, since the same texts learned once more give the same model.
    """

    min_labels: int = 200
    max_age_days: float | None = 90
    rest_hours: float = 24
    repeat_days: float = 7


class ScheduleState(msgspec.Struct, frozen=True):
    """What the decision stands on. `trained_at`: when the live model was registered, None where none is.
    `new_labels`: those given since the live model's run began (where no run made it: since `trained_at`), or since the
    last run began that learned from labels. `last_run_at`: when the last run ended, whatever came of it. Times are
    aware."""

    now: datetime
    trained_at: datetime | None
    new_labels: int
    last_run_at: datetime | None = None
    drift: DriftReport | None = None


class Reason(msgspec.Struct, frozen=True):
    """Why to train, for a program and for a person."""

    kind: Literal["labels", "drift", "age"]
    text: str


def reasons_to_train(schedule_state: ScheduleState, policy: Policy) -> list[Reason]:
    """Reasons to train now; none while nothing calls for it or a run ended too recently."""
    if _within(schedule_state.now, schedule_state.last_run_at, timedelta(hours=policy.rest_hours)):
        return []
    reasons = []
    if schedule_state.new_labels >= policy.min_labels:
        reasons.append(Reason("labels", f"{schedule_state.new_labels} new labels; {policy.min_labels} were awaited"))
    if _within(schedule_state.now, schedule_state.last_run_at, timedelta(days=policy.repeat_days)):
        return reasons
    if schedule_state.drift is not None and schedule_state.drift.large:
        worst = schedule_state.drift.large[0]
        others = f" and {len(schedule_state.drift.large) - 1} more" if len(schedule_state.drift.large) > 1 else ""
        reasons.append(Reason("drift", f"{worst.quantity} shifted by a stability index of {worst.psi:.2f}{others}"))
    if schedule_state.trained_at is not None and policy.max_age_days is not None:
        age = schedule_state.now - schedule_state.trained_at
        if age >= timedelta(days=policy.max_age_days):
            reasons.append(
                Reason("age", f"the live model is {age.days} days old; {policy.max_age_days:g} were allowed")
            )
    return reasons


def describe_waiting(schedule_state: ScheduleState, policy: Policy) -> str:
    """One line of what is known, for a look that finds nothing due."""
    trained_at = schedule_state.trained_at
    age = f"{(schedule_state.now - trained_at).days} days old" if trained_at else "not registered"
    if schedule_state.drift is None:
        drift = "drift not measured"
    elif schedule_state.drift.note:
        drift = schedule_state.drift.note
    else:
        worst = schedule_state.drift.shifts[0]
        drift = f"largest shift {worst.psi:.2f} ({worst.quantity})"
    return f"{schedule_state.new_labels} of {policy.min_labels} new labels; live model {age}; {drift}"


def _within(now: datetime, moment: datetime | None, span: timedelta) -> bool:
    return moment is not None and now - moment < span
