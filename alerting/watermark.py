"""Up to which event time the trends are complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import psycopg

from alerting.sql import QUERIES


@dataclass(frozen=True)
class Partition:
    """A row of the offset ledger: what is committed, what is known to exist, the highest event time committed."""

    number: int
    next_offset: int | None
    end_offset: int | None
    max_event_time: datetime | None


@dataclass(frozen=True)
class Replay:
    """A row of table `replay`: whether it has ended, and the offset behind its last record in each partition."""

    finished: bool
    end_offsets: Mapping[int, int]


@dataclass(frozen=True)
class Watermark:
    """Minutes that end at or before `at` are final (None: nothing is). `drained`: every replay is read to its end."""

    at: datetime | None
    drained: bool


def find_watermark(
    partitions: Sequence[Partition],
    replays: Sequence[Replay],
    *,
    clock: Literal["wall", "event"],
    now: datetime,
    lateness: timedelta,
    step: timedelta,
) -> Watermark:
    """The watermark of a ledger.

    `event`: the least of the highest event times over all partitions, less `lateness`; a partition that has committed
    none holds it. Partitions that are caught up count too: at full speed one is caught up for an instant while the
    others are days behind, and must not let them be judged early. Once every replay has ended and is committed to its
    last offset, nothing can be behind, and the highest event time of all plus `step` lets the last step be judged.

    `wall`: `now` less `lateness`, held back by each partition that has records left to commit.
    """
    drained = _is_drained(partitions, replays)
    times = [partition.max_event_time for partition in partitions]
    reached = [time for time in times if time is not None]
    if clock == "wall":
        behind = [p for p in partitions if p.end_offset is not None and p.end_offset > (p.next_offset or 0)]
        # a partition that never committed an event time says nothing about when its records are of
        if any(p.max_event_time is None for p in behind):
            return Watermark(None, drained)
        held = [p.max_event_time for p in behind if p.max_event_time is not None]
        return Watermark(min([now, *held]) - lateness, drained)
    if drained:
        return Watermark(max(reached) + step if reached else None, True)
    if not times or len(reached) < len(times):
        return Watermark(None, False)
    return Watermark(min(reached) - lateness, False)


def _is_drained(partitions: Sequence[Partition], replays: Sequence[Replay]) -> bool:
    committed = {partition.number: partition.next_offset or 0 for partition in partitions}
    return bool(replays) and all(
        replay.finished and all(committed.get(number, 0) >= end for number, end in replay.end_offsets.items())
        for replay in replays
    )


def read_partitions(connection: psycopg.Connection[Any], topic: str) -> list[Partition]:
    """The ledger of `topic`."""
    return [Partition(*row) for row in connection.execute(QUERIES["ledger"], {"topic": topic})]


def read_replays(connection: psycopg.Connection[Any]) -> list[Replay]:
    """All replays that were ever begun."""
    rows = connection.execute(QUERIES["replays"]).fetchall()
    return [
        Replay(
            finished is not None, {int(p): int(end) for p, end in ((summary or {}).get("end_offsets") or {}).items()}
        )
        for finished, summary in rows
    ]
