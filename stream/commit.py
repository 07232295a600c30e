"""The one transaction of a batch. Either all of it is in the store, or none: this file is where exactness lives.

Locks are taken in one order by every worker (ledger, keys, bands, stories, trends; each sorted), so waits do not
become deadlocks; where stored messages have to change their stories, more bands and stories come after the first ones,
and if two batches then wait for each other, Postgres ends one and it is tried again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from core.sources import source_key
from core.store.arrays import plain_array, text_array, time_array
from core.store.partitions import ensure_partitions
from core.store.sql import load_queries
from stream.assignment import Run
from stream.batch import Batch, Classified, Record, latest
from stream.repeats import Repeats, count_repeats
from stream.series import TrendChanges, count
from stream.story_store import (
    assign_stories,
    first_messages,
    recount_moved,
    store_assignment,
    store_first_messages,
)

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

Connection = psycopg.Connection[Any]


@dataclass(slots=True)
class Committed:
    """What a transaction changed: uids stored for the first time, and what the ledger saw, by partition."""

    stored: frozenset[UUID] = frozenset()
    gaps: dict[int, int] = field(default_factory=dict)
    repeats: Repeats = field(default_factory=Repeats)


class Committer:
    """Commits batches of one topic on one connection. Not thread-safe; one per worker."""

    def __init__(self, topic: str, window: timedelta) -> None:
        self._topic = topic
        self._window = window
        self._partitions_until = date.min

    def commit(self, connection: Connection, batch: Batch) -> Committed:
        """Store `batch` and advance the ledger, atomically. Raises psycopg.Error with nothing changed."""
        today = datetime.now(UTC).date()
        if today >= self._partitions_until:
            self._partitions_until = ensure_partitions(connection, today)
        with connection.transaction():
            ledger = self._lock_ledger(connection, batch.records)
            stored = self._store_messages(connection, batch.classified, today)
            unread = [item for item in batch.classified if _is_unread(item.item.record, ledger)]
            repeats = count_repeats(connection, unread, stored)
            gaps = self._advance_ledger(connection, batch, stored, ledger)
        return Committed(frozenset(stored), gaps, repeats)

    def _store_messages(self, connection: Connection, classified: Sequence[Classified], today: date) -> set[UUID]:
        once = {item.item.uid: item for item in reversed(classified)}
        if not once:
            return set()
        uids = sorted(once)
        contents = plain_array(once[uid].item.message.content_hash for uid in uids)
        keys = {"uids": plain_array(uids), "contents": contents, "today": today}
        rows = connection.execute(_SQL["insert_keys"], keys)
        stored = {row[0] for row in rows}
        fresh = [item for uid, item in reversed(once.items()) if uid in stored]
        if not fresh:
            return stored
        new = [Run(item.text, item.position, item.position.at) for item in fresh]
        assignment = assign_stories(connection, new, self._window, today)
        touched = assignment.moved | set(assignment.stories.values())
        known = first_messages(connection, touched)
        headlines = {item.item.uid: item.headline for item in fresh}
        store_assignment(connection, assignment, new, headlines, today)
        _copy_messages(connection, fresh, assignment.stories, today)
        recounted = recount_moved(connection, assignment, today) if assignment.moved else {}
        counted = [item.counted(assignment.stories[item.item.uid]) for item in fresh]
        changes, firsts, gone = count(counted, known, assignment.moved, recounted)
        store_first_messages(connection, firsts, gone)
        _add_to_trends(connection, changes)
        _name_sources(connection, fresh)
        return stored

    def _lock_ledger(
        self, connection: Connection, records: Sequence[Record]
    ) -> dict[int, tuple[int | None, datetime | None]]:
        partitions = sorted({record.partition for record in records})
        parameters = {"topic": self._topic, "partitions": plain_array(partitions)}
        rows = connection.execute(_SQL["lock_ledger"], parameters).fetchall()
        if len(rows) < len(partitions):
            connection.execute(_SQL["open_ledger"], parameters)
            rows = connection.execute(_SQL["lock_ledger"], parameters).fetchall()
        return {partition: (next_offset, event_time) for partition, next_offset, event_time in rows}

    def _advance_ledger(
        self,
        connection: Connection,
        batch: Batch,
        stored: set[UUID],
        ledger: Mapping[int, tuple[int | None, datetime | None]],
    ) -> dict[int, int]:
        records: defaultdict[int, list[Record]] = defaultdict(list)
        for record in batch.records:
            records[record.partition].append(record)
        times: defaultdict[int, list[datetime]] = defaultdict(list)
        messages: defaultdict[int, set[UUID]] = defaultdict(set)
        for item in batch.classified:
            if item.item.message.has_own_time:
                times[item.item.record.partition].append(item.item.message.published_at)
            if item.item.uid in stored:
                messages[item.item.record.partition].add(item.item.uid)
        rejected: defaultdict[int, int] = defaultdict(int)
        for reject in batch.rejected:
            # A redelivered dead letter was counted by the batch that advanced past it.
            reached = ledger[reject.record.partition][0]
            rejected[reject.record.partition] += reached is None or reject.record.offset >= reached
        gaps = {partition: _gap(ledger[partition][0], found) for partition, found in records.items()}
        partitions = sorted(records)
        connection.execute(
            _SQL["advance_ledger"],
            {
                "topic": self._topic,
                "partition": plain_array(partitions),
                "next_offset": plain_array(records[p][-1].offset + 1 for p in partitions),
                "end_offset": plain_array(max((r.end_offset or 0) for r in records[p]) or None for p in partitions),
                "max_event_time": time_array(latest(times[p]) for p in partitions),
                "messages": plain_array(len(messages[p]) for p in partitions),
                "dead_letters": plain_array(rejected[p] for p in partitions),
                "gaps": plain_array(gaps[p] for p in partitions),
            },
        )
        return {partition: gap for partition, gap in gaps.items() if gap}


def _is_unread(record: Record, ledger: Mapping[int, tuple[int | None, datetime | None]]) -> bool:
    reached = ledger[record.partition][0]
    return reached is None or record.offset >= reached


def _gap(expected: int | None, records: Sequence[Record]) -> int:
    """Offsets skipped between what the ledger expected and `records` of one partition, in order."""
    gap = 0
    for record in records:
        if expected is not None and record.offset > expected:
            gap += record.offset - expected
        expected = max(expected or 0, record.offset + 1)
    return gap


def _name_sources(connection: Connection, fresh: Sequence[Classified]) -> None:
    """Keep the names of sources that are not written like their keys. The last locks taken, so none waits in a ring."""
    written = {source_key(name): name for name in sorted({item.item.message.source for item in fresh}, reverse=True)}
    named = sorted((key, name) for key, name in written.items() if key != name)
    if named:
        columns = {"keys": text_array(key for key, _ in named), "names": text_array(name for _, name in named)}
        connection.execute(_SQL["name_sources"], columns)


def _copy_messages(
    connection: Connection, fresh: Sequence[Classified], stories: Mapping[UUID, UUID], today: date
) -> None:
    with connection.cursor() as cursor, cursor.copy(_SQL["copy_messages"]) as copy:
        for item in fresh:
            message = item.item.message
            copy.write_row(
                (
                    item.item.uid,
                    today,
                    source_key(message.source),
                    message.id,
                    message.kind,
                    message.published_at,
                    message.received_at,
                    message.title,
                    message.text,
                    message.url,
                    message.author,
                    message.language,
                    text_array(item.item.entities),
                    text_array(message.marks),
                    msgspec.json.encode(message.extra).decode(),
                    stories[item.item.uid],
                    item.text.id,
                    item.sentiment,
                    plain_array(item.sentiment_scores),
                    item.topic,
                    plain_array(item.topic_scores),
                    item.model,
                )
            )


def _add_to_trends(connection: Connection, changes: TrendChanges) -> None:
    rows = changes.rows()
    if not rows:
        return
    parameters: dict[str, Any] = {
        "kind": text_array(cell[0] for cell, _ in rows),
        "name": text_array(cell[1] for cell, _ in rows),
        "minute": time_array(cell[2] for cell, _ in rows),
    }
    parameters |= {f"c{column}": plain_array(counts[column] for _, counts in rows) for column in range(9)}
    connection.execute(_SQL["add_to_trends"], parameters)
    minutes = changes.messages_by_minute()
    connection.execute(
        _SQL["note_trend_change"], {"minutes": time_array(minutes), "messages": plain_array(minutes.values())}
    )
