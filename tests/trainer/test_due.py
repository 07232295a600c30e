"""When it is time to train again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from trainer.watch.drift import DriftReport, Shift
from trainer.watch.schedule import Policy, ScheduleState, describe_waiting, reasons_to_train

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DRIFTED = DriftReport("m", 1_000, [Shift("topic labels", 0.4, 0.03, "large"), Shift("x", 0.3, 0.03, "large")])
CALM = DriftReport("m", 1_000, [Shift("topic labels", 0.15, 0.03, "moderate")])


def schedule_state(**change: Any) -> ScheduleState:
    return msgspec.structs.replace(ScheduleState(NOW, NOW - timedelta(days=10), 0, drift=CALM), **change)


def kinds(found: ScheduleState, policy: Policy = Policy()) -> list[str]:  # noqa: B008
    return [reason.kind for reason in reasons_to_train(found, policy)]


def test_nothing_is_due_without_a_reason() -> None:
    assert kinds(schedule_state()) == []
    assert kinds(schedule_state(new_labels=199, trained_at=NOW - timedelta(days=89.9))) == []
    assert kinds(schedule_state(trained_at=None, drift=None)) == []
    assert kinds(schedule_state(drift=DriftReport("m", 1_000, note="too few"))) == []


def test_each_reason_by_itself_and_all_of_them() -> None:
    assert kinds(schedule_state(new_labels=200)) == ["labels"]
    assert kinds(schedule_state(drift=DRIFTED)) == ["drift"]
    assert kinds(schedule_state(trained_at=NOW - timedelta(days=90))) == ["age"]
    assert kinds(schedule_state(new_labels=999, drift=DRIFTED, trained_at=NOW - timedelta(days=400))) == [
        "labels",
        "drift",
        "age",
    ]
    assert kinds(schedule_state(new_labels=7), Policy(min_labels=7)) == ["labels"]
    assert kinds(schedule_state(trained_at=NOW - timedelta(days=900)), Policy(max_age_days=None)) == []


def test_a_run_is_followed_by_a_rest() -> None:
    everything = {"new_labels": 500, "drift": DRIFTED, "trained_at": NOW - timedelta(days=400)}
    assert kinds(schedule_state(**everything, last_run_at=NOW - timedelta(hours=23))) == []
    assert kinds(schedule_state(**everything, last_run_at=NOW - timedelta(hours=25))) == ["labels"]
    assert kinds(schedule_state(**everything, last_run_at=NOW - timedelta(days=8))) == ["labels", "drift", "age"]


def test_reasons_and_standing_say_the_figures() -> None:
    texts = [
        r.text
        for r in reasons_to_train(
            schedule_state(new_labels=300, drift=DRIFTED, trained_at=NOW - timedelta(days=95)), Policy()
        )
    ]
    assert texts[0] == "300 new labels; 200 were awaited"
    assert texts[1] == "topic labels shifted by a stability index of 0.40 and 1 more"
    assert texts[2] == "the live model is 95 days old; 90 were allowed"
    line = describe_waiting(schedule_state(new_labels=12), Policy())
    assert line == "12 of 200 new labels; live model 10 days old; largest shift 0.15 (topic labels)"
    assert "not registered; too few" in describe_waiting(
        schedule_state(trained_at=None, drift=DriftReport("m", 1_000, note="too few")), Policy()
    )
