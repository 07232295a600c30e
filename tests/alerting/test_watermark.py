from __future__ import annotations

from datetime import UTC, datetime, timedelta

from alerting.judging.clock import SteadyClock
from alerting.judging.watermark import (
    DeclaredReplay,
    Ends,
    Partition,
    SeenEnds,
    Watermark,
    assumed_watermark,
    event_watermark,
    wall_watermark,
)

T = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def find(partitions: list[Partition], replays: list[DeclaredReplay] | None = None) -> Watermark:
    return event_watermark(partitions, replays or [], MINUTE, 5 * MINUTE)


def live(partitions: list[Partition], complete_at: datetime | None, now: datetime = T + 9 * HOUR) -> Watermark:
    return wall_watermark(partitions, [], complete_at, now, MINUTE, 5 * MINUTE)


def test_a_replay_beside_live_feeds_is_read_before_the_clock_goes_on() -> None:
    partitions = [Partition(0, 5, 5, T - 99 * HOUR), Partition(1, 8, 9, T)]
    at = wall_watermark(partitions, [DeclaredReplay(False, {})], T, T, MINUTE, 5 * MINUTE)
    assert at == Watermark(T - 99 * HOUR - MINUTE, False)
    assert wall_watermark(partitions, [DeclaredReplay(True, {0: 5})], T, T, MINUTE, 5 * MINUTE) == Watermark(
        T - MINUTE, True
    )


def test_event_time_is_the_least_of_all_partitions_even_of_those_caught_up() -> None:
    assert find([Partition(0, 5, 5, T), Partition(1, 3, 9, T + HOUR)]).at == T - MINUTE


def test_a_partition_without_any_event_time_holds_it() -> None:
    assert find([Partition(0, 5, 5, T), Partition(1, None, None, None)]) == Watermark(None, False)
    assert find([]) == Watermark(None, False)


def test_a_drained_replay_lets_the_last_step_be_judged() -> None:
    partitions = [Partition(0, 5, 5, T), Partition(1, 9, 9, T + HOUR), Partition(2, None, None, None)]
    assert find(partitions, [DeclaredReplay(True, {0: 5, 1: 9})]) == Watermark(T + HOUR + 5 * MINUTE, True)


def test_a_drained_replay_without_event_times_is_judged_to_its_last_trend() -> None:
    step = 5 * MINUTE
    assert assumed_watermark(Watermark(None, True), T, step) == Watermark(T + step, True)
    for other in (Watermark(None, False), Watermark(T - HOUR, True), Watermark(T - HOUR, False)):
        assert assumed_watermark(other, T, step) == other
    assert assumed_watermark(Watermark(None, True), None, step) == Watermark(None, True), "there are no trends"


def test_a_replay_is_not_drained_before_it_ended_and_all_is_committed() -> None:
    partitions = [Partition(0, 5, 5, T), Partition(1, 8, 9, T + HOUR)]
    assert not find(partitions, [DeclaredReplay(False, {})]).drained
    assert not find(partitions, [DeclaredReplay(True, {0: 5, 1: 9})]).drained
    assert not find(partitions, [DeclaredReplay(True, {7: 1})]).drained, "a partition the ledger never saw"
    assert not find(partitions, [DeclaredReplay(True, {0: 5}), DeclaredReplay(False, {})]).drained
    assert not find(partitions).drained, "no replay at all"


def test_an_empty_replay_is_drained_with_nothing_to_judge() -> None:
    assert find([], [DeclaredReplay(True, {})]) == Watermark(None, True)


def test_a_replay_whose_process_is_gone_ends_with_what_it_wrote() -> None:
    dead = DeclaredReplay(False, {}, abandoned=True)
    behind = [Partition(0, 5, 5, T), Partition(1, 8, 9, T + HOUR)]
    read = [Partition(0, 5, 5, T), Partition(1, 9, 9, T + HOUR)]
    assert not find(behind, [dead]).drained
    assert find(read, [dead]).drained
    assert not find(read, [dead, DeclaredReplay(False, {})]).drained, "another one is still at it"
    assert not find(read, [dead, DeclaredReplay(True, {0: 6})]).drained


def test_the_wall_clock_moves_it_on_quiet_feeds() -> None:
    quiet = [Partition(0, 5, 5, T), Partition(1, None, None, None)]
    seen = SeenEnds()
    for hour in range(10):
        seen.add(Ends(T + hour * HOUR, {0: 5, 1: 0}))
    assert live(quiet, seen.complete_at(quiet)).at == T + 9 * HOUR - MINUTE


def test_the_wall_clock_stands_still_while_something_is_not_read() -> None:
    partitions = [Partition(0, 5, 5, T), Partition(1, 3, 3, T - HOUR)]
    seen = SeenEnds()
    assert live(partitions, seen.complete_at(partitions)).at is None, "the brokers were never asked"
    seen.add(Ends(T, {0: 5, 1: 3}))
    for minute in range(1, 60):
        seen.add(Ends(T + minute * MINUTE, {0: 5, 1: 3 + minute}))
        assert live(partitions, seen.complete_at(partitions)).at == T - MINUTE, "no worker reads"
    read = [Partition(0, 5, 5, T), Partition(1, 33, 62, T)]
    assert live(read, seen.complete_at(read)).at == T + 29 * MINUTE, "up to what they have caught up with"
    seen.add(Ends(T + HOUR, {0: 5, 1: 62, 2: 1}))
    read = [Partition(0, 5, 5, T), Partition(1, 62, 62, T)]
    assert live(read, seen.complete_at(read)).at == T + 58 * MINUTE, "a partition the ledger does not know"


def test_what_was_seen_by_a_clock_that_was_ahead_makes_nothing_final() -> None:
    partitions = [Partition(0, 5, 5, T)]
    seen = SeenEnds()
    seen.add(Ends(T, {0: 5}))
    seen.add(Ends(T + HOUR, {0: 5}))
    assert seen.complete_at(partitions) == T + HOUR
    seen.add(Ends(T + MINUTE, {0: 9}))
    assert live(partitions, seen.complete_at(partitions)).at is None, "the worker is down, and the clock right again"
    seen.add(Ends(T + 2 * MINUTE, {0: 9}))
    read = [Partition(0, 9, 9, T)]
    assert live(read, seen.complete_at(read)).at == T + MINUTE


def test_weeks_without_workers_cost_little_memory_and_no_precision_at_the_end() -> None:
    seen = SeenEnds(limit=64)
    for minute in range(20_000):
        seen.add(Ends(T + minute * MINUTE, {0: minute}))
    assert len(seen) <= 64
    for committed in (7_000, 19_998, 19_999):
        at = seen.complete_at([Partition(0, committed, None, None)])
        assert at is None or at <= T + committed * MINUTE
    assert at == T + 19_999 * MINUTE


def test_a_clock_ahead_of_the_database_is_not_believed() -> None:
    assert live([], T + 99 * HOUR, now=T).at == T - MINUTE


class Hands:
    """A clock whose hands are set by the test."""

    def __init__(self) -> None:
        self.wall, self.ticks = T, 100.0

    def pass_by(self, seconds: float, wall_too: bool = True) -> None:
        self.ticks += seconds
        self.wall += timedelta(seconds=seconds) if wall_too else timedelta(0)


def test_a_jump_of_the_clock_is_believed_when_it_lasts() -> None:
    hands = Hands()
    clock = SteadyClock(lambda: hands.wall, lambda: hands.ticks)
    assert clock() == T
    hands.pass_by(5)
    assert clock() == T + timedelta(seconds=5)
    hands.wall += timedelta(days=9000)
    hands.pass_by(1)
    assert clock() == T + timedelta(seconds=6), "a jump"
    hands.wall -= timedelta(days=9000)
    hands.pass_by(1)
    assert clock() == T + timedelta(seconds=7), "and back"
    hands.wall += timedelta(hours=8)  # the machine slept
    assert clock() == T + timedelta(seconds=7)
    hands.pass_by(59)
    assert clock() == T + timedelta(seconds=66)
    hands.pass_by(2)
    assert clock() == hands.wall
    hands.wall -= timedelta(hours=8)
    assert clock() == hands.wall, "back is believed at once"
