"""Up to which event time the trends are complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row

from alerting.judging.sql import QUERIES, fetch

_SILENT_S = 60.0  # a process of a replay that was not seen for so long is gone


@dataclass(frozen=True)
class Partition:
    """A row of the offset ledger: what is committed, what is known to exist, the highest event time committed."""

    partition: int
    next_offset: int | None
    end_offset: int | None
    max_event_time: datetime | None


@dataclass(frozen=True)
class DeclaredReplay:
    """A row of table `replay`: whether it has ended, and the offset behind its last record in each partition.

    `abandoned`: it has not ended, and its process is gone. What it wrote is then all that will come.
    """

    finished: bool
    end_offsets: Mapping[int, int]
    abandoned: bool = False


@dataclass(frozen=True)
class Ends:
    """The offset behind the last record of each partition, as of `at` or later."""

    at: datetime
    offsets: Mapping[int, int]


@dataclass(frozen=True)
class Watermark:
    """Minutes that end at or before `at` are final (None: nothing is). `drained`: every replay is read to its end."""

    at: datetime | None
    drained: bool


class SeenEnds:
    """The ends of the last hours, oldest first, and with them as of when all records are known to be committed."""

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._seen: list[Ends] = []
        self._complete: datetime | None = None

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, ends: Ends) -> None:
        """Take note of what was seen last. What was seen before it at a later time was so by a clock that was ahead."""
        while self._seen and self._seen[-1].at >= ends.at:
            self._seen.pop()
        if self._complete is not None and self._complete > ends.at:
            self._complete = None
        self._seen.append(ends)
        if len(self._seen) > self._limit:
            del self._seen[1 : self._limit // 2 : 2]  # fewer of the old ones: the watermark moves in larger steps there

    def complete_at(self, partitions: Sequence[Partition]) -> datetime | None:
        """The latest time as of which every record in Kafka is committed; None: not known."""
        committed = {partition.partition: partition.next_offset or 0 for partition in partitions}
        for place in reversed(range(len(self._seen))):
            ends = self._seen[place]
            if all(committed.get(number, 0) >= end for number, end in ends.offsets.items()):
                self._complete = ends.at
                del self._seen[:place]
                break
        return self._complete


def wall_watermark(
    partitions: Sequence[Partition],
    replays: Sequence[DeclaredReplay],
    complete_at: datetime | None,
    now: datetime,
    lateness: timedelta,
    step: timedelta,
) -> Watermark:
    """The watermark on live feeds: `lateness` before the time as of which all records are committed.

    It stands still while that is not known: with a worker down, in a rebalance, without an answer from the brokers.
    `now` bounds it, should clocks differ, and so does a replay beside the feeds, until it is read to its end.
    """
    replayed = event_watermark(partitions, replays, lateness, step)
    if complete_at is None:
        return Watermark(None, replayed.drained)
    at = min(complete_at, now) - lateness
    if replays and not replayed.drained:
        return Watermark(None if replayed.at is None else min(at, replayed.at), False)
    return Watermark(at, replayed.drained)


def event_watermark(
    partitions: Sequence[Partition], replays: Sequence[DeclaredReplay], lateness: timedelta, step: timedelta
) -> Watermark:
    """The watermark in a replay: the least of the highest event times over all partitions, less `lateness`.

    A partition that has committed none holds it. Partitions that are caught up count too: at full speed one is caught
    up for an instant while the others are days behind, and must not let them be judged early. Once every replay has
    ended and is committed to its last offset, nothing can be behind, and the highest event time of all plus `step` lets
    the last step be judged.
    """
    reached = [partition.max_event_time for partition in partitions if partition.max_event_time is not None]
    if is_drained(partitions, replays):
        return Watermark(max(reached) + step if reached else None, True)
    if not partitions or len(reached) < len(partitions):
        return Watermark(None, False)
    return Watermark(min(reached) - lateness, False)


def assumed_watermark(found: Watermark, last: datetime | None, step: timedelta) -> Watermark:
    """`found` of a replay of which no record had an event time of its own: once it is drained, all of its trends are
    judged, the `last` of which is of that minute (None: there is none)."""
    if not found.drained or found.at is not None or last is None:
        return found
    return Watermark(last + step, True)


def is_drained(partitions: Sequence[Partition], replays: Sequence[DeclaredReplay]) -> bool:
    """Whether there was a replay, and all that were declared are committed to the last record they wrote.

    Of a replay that was abandoned nobody knows the last record: all that the partitions hold must be committed.
    """
    committed = {partition.partition: partition.next_offset or 0 for partition in partitions}
    ends = [replay.end_offsets for replay in replays if replay.finished]
    if any(replay.abandoned for replay in replays):
        ends.append({partition.partition: partition.end_offset or 0 for partition in partitions})
    return (
        bool(replays)
        and all(replay.finished or replay.abandoned for replay in replays)
        and all(committed.get(number, 0) >= end for part in ends for number, end in part.items())
    )


def read_partitions(connection: psycopg.Connection[Any], topic: str) -> list[Partition]:
    """The ledger of `topic`."""
    with connection.cursor(row_factory=class_row(Partition)) as cursor:
        return cursor.execute(QUERIES["ledger"], {"topic": topic}).fetchall()


def read_replays(connection: psycopg.Connection[Any]) -> list[DeclaredReplay]:
    """All replays that are declared."""
    rows = fetch(connection, "replays", {"silent_s": _SILENT_S})
    return [
        DeclaredReplay(row.finished, {int(p): int(end) for p, end in row.end_offsets.items()}, bool(row.abandoned))
        for row in rows
    ]
