"""The offset ledger and the replays that hold back the watermark, as several rooms read and write them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from core.store.sql import load_queries, records

_SQL = {name: text(body) for name, body in load_queries(Path(__file__).with_suffix(".sql")).items()}


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """The ledger row of a partition in its present epoch.

    `next_offset` is None until the partition's log was looked at. Of the offsets from `first_offset` up to
    `next_offset` each one is among `messages`, `duplicates`, `dead_letters` or `gaps`.
    """

    partition: int
    epoch: int
    topic_id: str | None
    first_offset: int | None
    next_offset: int | None
    end_offset: int | None
    max_event_time: datetime | None
    messages: int
    duplicates: int
    dead_letters: int
    gaps: int


@dataclass(frozen=True, slots=True)
class Epoch:
    """What became of the offsets of a partition in one epoch; `current` if it is still being read.

    Epoch 0, and an epoch without a `first_offset`, was counted before ledgers accounted for every offset.
    """

    topic: str
    partition: int
    epoch: int
    first_offset: int | None
    next_offset: int | None
    messages: int
    duplicates: int
    dead_letters: int
    gaps: int
    current: bool

    @property
    def unaccounted(self) -> int | None:
        """Offsets read of which nothing is known (negative: counted twice); None where that can't be said."""
        if self.first_offset is None or self.next_offset is None:
            return None
        counted = self.messages + self.duplicates + self.dead_letters + self.gaps
        return self.next_offset - self.first_offset - counted


@dataclass(frozen=True, slots=True)
class LedgerChange:
    """A step of the ledger after its topic: `begin` a row or an epoch at `start`, or `close` a partition that is gone.

    `epoch` is the one that the step was decided on; a row that has another by now is left alone.
    """

    partition: int
    epoch: int | None
    action: str
    start: int = 0
    end: int = 0


def read_ledger(engine: Engine, topic: str) -> list[PartitionProgress]:
    """Rows of `topic`, by partition."""
    with engine.connect() as connection:
        return records(PartitionProgress, connection.execute(_SQL["rows"], {"topic": topic}))


def read_epochs(engine: Engine) -> list[Epoch]:
    """All epochs of all topics, those that are over too, in order."""
    with engine.connect() as connection:
        return epochs_of(connection)


def epochs_of(connection: Connection) -> list[Epoch]:
    """The same, as one transaction sees them."""
    return records(Epoch, connection.execute(_SQL["epochs"]))


def change_ledger(
    engine: Engine, topic: str, topic_id: str | None, changes: Sequence[LedgerChange], *, replayed: bool
) -> list[LedgerChange]:
    """Make `changes` in one transaction; those that nobody made before.

    `replayed`: replays write to this topic; where one ended in a log that is gone, nothing waits for it any more.
    """
    with engine.begin() as connection:
        epochs = {row.partition: row.epoch for row in connection.execute(_SQL["lock"], {"topic": topic})}
        made = [change for change in changes if epochs.get(change.partition) == change.epoch]
        for change in made:
            _change(connection, topic, topic_id, change, replayed)
        return made


def skip_offsets(engine: Engine, topic: str, row: PartitionProgress, next_offset: int) -> bool:
    """Count the offsets from that of `row` up to `next_offset` as gaps; False if the row has moved meanwhile."""
    with engine.begin() as connection:
        parameters = {
            "topic": topic,
            "partition": row.partition,
            "epoch": row.epoch,
            "expected": row.next_offset,
            "next_offset": next_offset,
        }
        return connection.execute(_SQL["skip"], parameters).rowcount == 1


def note_ends(engine: Engine, topic: str, ends: Mapping[int, tuple[int, int]]) -> None:
    """Note how far the logs reach: for each partition the epoch and the offset after its last record."""
    if not ends:
        return
    with engine.begin() as connection:
        parameters = [
            {"topic": topic, "partition": partition, "epoch": epoch, "end": end}
            for partition, (epoch, end) in sorted(ends.items())
        ]
        connection.execute(_SQL["note_end"], parameters)


def end_replay(
    engine: Engine, replay: UUID, end_offsets: Mapping[int, int], summary: Mapping[str, Any], topic: str | None = None
) -> None:
    """Declare where a replay into `topic` ended: for each partition the offset after its last record.

    Where the topic's log began anew after the replay did, that is at most as far as the log is known to reach.
    """
    ends = {str(partition): end for partition, end in end_offsets.items()}
    with engine.begin() as connection:
        parameters = {"id": replay, "topic": topic, "ends": json.dumps(ends), "summary": json.dumps(dict(summary))}
        connection.execute(_SQL["end_replay"], parameters)


def _change(connection: Connection, topic: str, topic_id: str | None, change: LedgerChange, replayed: bool) -> None:
    parameters = {
        "topic": topic,
        "partition": change.partition,
        "epoch": change.epoch,
        "topic_id": topic_id,
        "start": change.start,
        "end": change.end,
    }
    if change.action == "open":
        connection.execute(_SQL["open"], parameters)
    elif change.action == "begin_reading":
        connection.execute(_SQL["begin_reading"], parameters)
    elif change.action == "adopt_id":
        connection.execute(_SQL["adopt_id"], parameters)
    else:
        connection.execute(_SQL["keep_history"], parameters)
        connection.execute(_SQL[change.action], parameters)
        if replayed:
            connection.execute(_SQL["forget_replay_ends"], parameters)
