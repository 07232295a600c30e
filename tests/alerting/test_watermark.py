from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from alerting.watermark import Partition, Replay, Watermark, find_watermark

T = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def find(partitions: list[Partition], replays: list[Replay] | None = None, **options: Any) -> Watermark:
    known: dict[str, Any] = {"clock": "event", "now": T + 9 * HOUR, "lateness": MINUTE, "step": 5 * MINUTE}
    return find_watermark(partitions, replays or [], **(known | options))


def test_event_time_is_the_least_of_all_partitions_even_of_those_caught_up() -> None:
    assert find([Partition(0, 5, 5, T), Partition(1, 3, 9, T + HOUR)]).at == T - MINUTE


def test_a_partition_without_any_event_time_holds_it() -> None:
    assert find([Partition(0, 5, 5, T), Partition(1, None, None, None)]) == Watermark(None, False)
    assert find([]) == Watermark(None, False)


def test_a_drained_replay_lets_the_last_step_be_judged() -> None:
    partitions = [Partition(0, 5, 5, T), Partition(1, 9, 9, T + HOUR), Partition(2, None, None, None)]
    assert find(partitions, [Replay(True, {0: 5, 1: 9})]) == Watermark(T + HOUR + 5 * MINUTE, True)


def test_a_replay_is_not_drained_before_it_ended_and_all_is_committed() -> None:
    partitions = [Partition(0, 5, 5, T), Partition(1, 8, 9, T + HOUR)]
    assert not find(partitions, [Replay(False, {})]).drained
    assert not find(partitions, [Replay(True, {0: 5, 1: 9})]).drained
    assert not find(partitions, [Replay(True, {7: 1})]).drained, "a partition the ledger never saw"
    assert not find(partitions, [Replay(True, {0: 5}), Replay(False, {})]).drained
    assert not find(partitions).drained, "no replay at all"


def test_an_empty_replay_is_drained_with_nothing_to_judge() -> None:
    assert find([], [Replay(True, {})]) == Watermark(None, True)


def test_the_wall_clock_moves_it_on_quiet_feeds() -> None:
    quiet = [Partition(0, 5, 5, T), Partition(1, None, None, None)]
    assert find(quiet, clock="wall").at == T + 9 * HOUR - MINUTE


def test_lag_holds_the_wall_clock_back() -> None:
    behind = [Partition(0, 5, 6, T), Partition(1, 3, 3, T - HOUR)]
    assert find(behind, clock="wall").at == T - MINUTE
    assert find([Partition(0, None, 1, None)], clock="wall").at is None
