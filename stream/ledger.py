"""The offset ledger inside a worker's transaction: which records are still unread, and what became of each offset.

The ledger row decides, under its lock: a record below `next_offset` was committed by another delivery and changes
nothing. Offsets that are missing from the records count as gaps only once Kafka has shown that it holds none of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

from core.errors import NewstideError
from core.store.arrays import plain_array, time_array
from core.store.sql import load_queries
from stream.batch import Record

_SQL = load_queries(Path(__file__).with_name("ledger.sql"))

Connection = psycopg.Connection[Any]
HeldOffsets = Callable[[int, int, int], Iterable[int]]
"""Offsets at which a partition's log holds records, from the second argument up to, not including, the third."""


class LedgerMismatch(NewstideError):
    """The records at hand do not continue the ledger; the worker ends, and reads on from the ledger when it starts."""


class LedgerRow(NamedTuple):
    """A locked row. `current` is False for an epoch that is over: what was read of it still counts there."""

    partition: int
    epoch: int
    next_offset: int | None
    current: bool


@dataclass(slots=True)
class Tally:
    """What became of the records of one partition."""

    messages: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    max_event_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """The records of a batch that the ledger has not seen, and the offsets missing between them, by partition."""

    rows: Mapping[int, LedgerRow]
    records: Mapping[int, Sequence[Record]]
    ids: Collection[int]
    gaps: Mapping[int, int] = field(default_factory=dict)

    def __contains__(self, record: Record) -> bool:
        return id(record) in self.ids


class TopicLedger:
    """The ledger rows of one topic. `held_offsets` asks Kafka; without it, missing offsets are believed."""

    def __init__(self, topic: str, held_offsets: HeldOffsets | None = None) -> None:
        self._topic = topic
        self._held_offsets = held_offsets

    def lock(self, connection: Connection, records: Sequence[Record]) -> Unread:
        """Lock the rows of the records' partitions; what of `records` is new. Call it inside the transaction.

        Raises LedgerMismatch if Kafka holds records between the ledger and `records`, or the ledger is behind their
        epoch; psycopg.Error; KafkaError if Kafka could not be asked.
        """
        by_partition: defaultdict[int, list[Record]] = defaultdict(list)
        for record in records:
            by_partition[record.partition].append(record)
        epochs = {partition: found[-1].epoch for partition, found in by_partition.items()}
        rows = self._lock_rows(connection, epochs)
        fresh: dict[int, list[Record]] = {}
        gaps: dict[int, int] = {}
        for partition, found in by_partition.items():
            unread, missing = find_unread(found, rows[partition].next_offset)
            if missing:
                self._confirm(partition, unread, missing)
            fresh[partition] = unread
            gaps[partition] = sum(map(len, missing))
        return Unread(rows, fresh, {id(record) for unread in fresh.values() for record in unread}, gaps)

    def advance(self, connection: Connection, unread: Unread, tallies: Mapping[int, Tally]) -> dict[int, int]:
        """Account for all of `unread`; the gaps, by partition."""
        for current, statement in ((True, "advance_ledger"), (False, "advance_history")):
            partitions = sorted(
                partition
                for partition, records in unread.records.items()
                if records and unread.rows[partition].current is current
            )
            if not partitions:
                continue
            records = [unread.records[partition] for partition in partitions]
            counted = [tallies[partition] for partition in partitions]
            ends = [max(record.end_offset or 0 for record in found) or None for found in records]
            connection.execute(
                _SQL[statement],
                {
                    "topic": self._topic,
                    "partition": plain_array(partitions),
                    "epoch": plain_array(unread.rows[partition].epoch for partition in partitions),
                    "first_offset": plain_array(found[0].offset for found in records),
                    "next_offset": plain_array(found[-1].offset + 1 for found in records),
                    "end_offset": plain_array(ends),
                    "max_event_time": time_array(tally.max_event_time for tally in counted),
                    "messages": plain_array(tally.messages for tally in counted),
                    "duplicates": plain_array(tally.duplicates for tally in counted),
                    "dead_letters": plain_array(tally.dead_letters for tally in counted),
                    "gaps": plain_array(unread.gaps[partition] for partition in partitions),
                },
            )
        return {partition: gap for partition, gap in unread.gaps.items() if gap}

    def _lock_rows(self, connection: Connection, epochs: Mapping[int, int]) -> dict[int, LedgerRow]:
        found = self._lock(connection, "lock_ledger", epochs)
        read = {partition: row.epoch for partition, row in found.items()}
        if others := {partition: epoch for partition, epoch in epochs.items() if read.get(partition) != epoch}:
            # Also where there is no row: a partition that was closed has rows in the history alone.
            found |= self._lock(connection, "lock_history", others)
        if absent := {partition: epoch for partition, epoch in epochs.items() if partition not in found}:
            connection.execute(_SQL["open_ledger"], self._parameters(absent))
            found |= self._lock(connection, "lock_ledger", absent)
        for partition, epoch in epochs.items():
            if found[partition].epoch != epoch:
                raise LedgerMismatch(
                    f"partition {partition} of {self._topic} is in epoch {found[partition].epoch} of the ledger, but "
                    f"records of epoch {epoch} are at hand: the database is older than they are"
                )
        return found

    def _lock(self, connection: Connection, statement: str, epochs: Mapping[int, int]) -> dict[int, LedgerRow]:
        with connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(_SQL[statement], self._parameters(epochs)).fetchall()
        return {row["partition"]: LedgerRow(**row, current=statement == "lock_ledger") for row in rows}

    def _parameters(self, epochs: Mapping[int, int]) -> dict[str, Any]:
        partitions = sorted(epochs)
        return {
            "topic": self._topic,
            "partition": plain_array(partitions),
            "epoch": plain_array(epochs[partition] for partition in partitions),
        }

    def _confirm(self, partition: int, unread: Sequence[Record], missing: Sequence[range]) -> None:
        if self._held_offsets is None:
            return
        read = {record.offset for record in unread}
        for offset in self._held_offsets(partition, missing[0].start, missing[-1].stop):
            if offset not in read:
                raise LedgerMismatch(
                    f"partition {partition} of {self._topic}: Kafka holds a record at offset {offset}, which the "
                    f"ledger expects and the consumer left out ({len(missing)} holes up to offset {missing[-1].stop})"
                )


def find_unread(records: Sequence[Record], next_offset: int | None) -> tuple[list[Record], list[range]]:
    """Of one partition's records, in order of arrival, those at or behind `next_offset`, each once; missing offsets."""
    unread: list[Record] = []
    missing: list[range] = []
    for record in records:
        if next_offset is not None:
            if record.offset < next_offset:
                continue
            if record.offset > next_offset:
                missing.append(range(next_offset, record.offset))
        unread.append(record)
        next_offset = record.offset + 1
    return unread, missing
