"""The offset ledger and the replays that hold back the watermark, as several rooms read and write them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine, text


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """One ledger row. `next_offset` is None until something of the partition was committed."""

    partition: int
    next_offset: int | None
    end_offset: int | None
    max_event_time: datetime | None
    messages: int
    dead_letters: int
    gaps: int


def open_ledger(engine: Engine, topic: str, partitions: Sequence[int]) -> None:
    """Make sure that every partition of `topic` has its row."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO offset_ledger (topic, partition) SELECT :topic, unnest(CAST(:partitions AS integer[])) "
                "ON CONFLICT DO NOTHING"
            ),
            {"topic": topic, "partitions": list(partitions)},
        )


def read_ledger(engine: Engine, topic: str) -> list[PartitionProgress]:
    """Rows of `topic`, by partition."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT partition, next_offset, end_offset, max_event_time, messages, dead_letters, gaps "
                "FROM offset_ledger WHERE topic = :topic ORDER BY partition"
            ),
            {"topic": topic},
        )
        return [PartitionProgress(*row) for row in rows]


def forget_offsets(engine: Engine) -> None:
    """Begin the ledger anew, for a broker that kept nothing of its last life; unfinished replays died with it."""
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM offset_ledger"))
        connection.execute(text("DELETE FROM replay"))


def begin_replay(engine: Engine, name: str) -> UUID:
    """Declare the replay of a stack: the watermark waits until it has ended.

    Those of former stacks no longer hold anything back; those that give signs of life do (see core.store.replays).
    """
    replay = uuid4()
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM replay WHERE seen_at IS NULL"))
        connection.execute(text("INSERT INTO replay (id, name) VALUES (:id, :name)"), {"id": replay, "name": name})
    return replay


def end_replay(engine: Engine, replay: UUID, end_offsets: Mapping[int, int], summary: Mapping[str, Any]) -> None:
    """Declare where a replay ended: for each partition the offset after its last record."""
    content = {**summary, "end_offsets": {str(partition): end for partition, end in end_offsets.items()}}
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE replay SET finished_at = now(), summary = CAST(:summary AS jsonb) WHERE id = :id"),
            {"id": replay, "summary": json.dumps(content)},
        )
