"""Whether it is time to train again. Pure: what is known goes in, reasons come out."""

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


class Known(msgspec.Struct, frozen=True):
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


def due(known: Known, policy: Policy) -> list[Reason]:
    """Reasons to train now; none while nothing calls for it or a run ended too recently."""
    if _within(known.now, known.last_run_at, timedelta(hours=policy.rest_hours)):
        return []
    reasons = []
    if known.new_labels >= policy.min_labels:
        reasons.append(Reason("labels", f"{known.new_labels} new labels; {policy.min_labels} were awaited"))
    if _within(known.now, known.last_run_at, timedelta(days=policy.repeat_days)):
        return reasons
    if known.drift is not None and known.drift.large:
        worst = known.drift.large[0]
        others = f" and {len(known.drift.large) - 1} more" if len(known.drift.large) > 1 else ""
        reasons.append(Reason("drift", f"{worst.quantity} shifted by a stability index of {worst.psi:.2f}{others}"))
    if known.trained_at is not None and policy.max_age_days is not None:
        age = known.now - known.trained_at
        if age >= timedelta(days=policy.max_age_days):
            reasons.append(
                Reason("age", f"the live model is {age.days} days old; {policy.max_age_days:g} were allowed")
            )
    return reasons


def standing(known: Known, policy: Policy) -> str:
    """One line of what is known, for a look that finds nothing due."""
    age = f"{(known.now - known.trained_at).days} days old" if known.trained_at else "not registered"
    if known.drift is None:
        drift = "drift not measured"
    elif known.drift.note:
        drift = known.drift.note
    else:
        worst = known.drift.shifts[0]
        drift = f"largest shift {worst.psi:.2f} ({worst.quantity})"
    return f"{known.new_labels} of {policy.min_labels} new labels; live model {age}; {drift}"


def _within(now: datetime, moment: datetime | None, span: timedelta) -> bool:
    return moment is not None and now - moment < span
