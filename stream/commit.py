"""The one transaction of a batch. Either all of it is in the store, or none: this file is where exactness lives.

Locks are taken in one order by every worker (ledger, keys, bands, stories, trends; each sorted), so waits do not
become deadlocks; where stored messages have to change their stories, more bands and stories come after the first ones,
and if two batches then wait for each other, Postgres ends one and it is tried again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from core.fitting import SENTIMENTS
from core.sources import source_key
from core.store.arrays import plain_array, text_array, time_array
from core.store.partitions import ensure_partitions
from core.store.sql import load_queries
from stream.batch import Batch, Classified, Labels, latest
from stream.ledger import Tally, TopicLedger, Unread
from stream.repeats import Repeats, count_repeats
from stream.rereading import as_stored
from stream.series import COLUMNS, TrendChanges, count
from stream.story_records import Run
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
    """What a transaction changed: records that were read, uids stored for the first time, gaps by partition.

    `classified` are the batch's messages that are to be published, as the store has them.
    """

    unread: Unread
    stored: frozenset[UUID]
    gaps: dict[int, int]
    repeats: Repeats
    classified: list[Classified]


class Committer:
    """Commits batches of one topic on one connection. Not thread-safe; one per worker.

    `today` tells the day (UTC) under which messages are stored; days of other workers may differ.
    """

    def __init__(
        self,
        ledger: TopicLedger,
        window: timedelta,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._ledger = ledger
        self._window = window
        self._today = today
        self._partitions_until = date.min

    def commit(self, connection: Connection, batch: Batch) -> Committed:
        """Store `batch` and advance the ledger, atomically.

        Raises psycopg.Error, and what `TopicLedger.lock` raises, with nothing changed.
        """
        today = self._today()
        if today >= self._partitions_until:
            self._partitions_until = ensure_partitions(connection, today)
        with connection.transaction():
            unread = self._ledger.lock(connection, batch.records)
            fresh = [item for item in batch.classified if item.item.record in unread]
            stored = self._store_messages(connection, fresh, today)
            repeats = count_repeats(connection, fresh, stored)
            gaps = self._ledger.advance(connection, unread, _tallies(batch, unread, stored))
            classified = as_stored(connection, batch.classified, unread)
        return Committed(unread, frozenset(stored), gaps, repeats, classified)

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


def _tallies(batch: Batch, unread: Unread, stored: set[UUID]) -> dict[int, Tally]:
    """What became of the unread records of each partition."""
    tallies: defaultdict[int, Tally] = defaultdict(Tally)
    left = set(stored)
    for item in batch.classified:
        if item.item.record not in unread:
            continue
        tally = tallies[item.item.record.partition]
        if item.item.uid in left:
            left.discard(item.item.uid)
            tally.messages += 1
        else:
            tally.duplicates += 1
        if item.item.message.has_own_time:
            tally.max_event_time = latest(filter(None, (tally.max_event_time, item.item.message.published_at)))
    for reject in batch.rejected:
        if reject.record in unread:
            tallies[reject.record.partition].dead_letters += 1
    return tallies


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
                    item.item.language,
                    text_array(item.item.entities),
                    text_array(message.marks),
                    msgspec.json.encode(message.extra).decode(),
                    stories[item.item.uid],
                    item.text.id,
                    *_label_columns(item.labels, item.item.entities),
                )
            )


def _label_columns(labels: Labels | None, entities: Sequence[str]) -> tuple[str | None, ...]:
    if labels is None:
        return (None,) * 7
    sentiment_scores, topic_scores = plain_array(labels.sentiment_scores), plain_array(labels.topic_scores)
    columns = (labels.sentiment, sentiment_scores, labels.topic, topic_scores, labels.model)
    if not labels.towards:
        return (*columns, None, None)
    own = [labels.towards.get(entity, (None, [None] * len(SENTIMENTS))) for entity in entities]
    return (*columns, text_array(label for label, _ in own), plain_array(one for _, scores in own for one in scores))


def _add_to_trends(connection: Connection, changes: TrendChanges) -> None:
    rows = changes.rows()
    if not rows:
        return
    parameters: dict[str, Any] = {
        "kind": text_array(cell[0] for cell, _ in rows),
        "name": text_array(cell[1] for cell, _ in rows),
        "minute": time_array(cell[2] for cell, _ in rows),
    }
    parameters |= {name: plain_array(counts[at] for _, counts in rows) for at, name in enumerate(COLUMNS)}
    connection.execute(_SQL["add_to_trends"], parameters)
    minutes = changes.messages_by_minute()
    connection.execute(
        _SQL["note_trend_change"], {"minutes": time_array(minutes), "messages": plain_array(minutes.values())}
    )
