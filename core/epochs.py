"""Keeping the ledger true to the topics: new partitions, topics that were re-created, emptied or cut, deleted records.

Any process may look, at any time, also several at once: each step is made by one of them.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import Literal

from sqlalchemy import Engine

from core.settings import Settings
from core.store.ledger import LedgerChange, PartitionProgress, change_ledger, note_ends, read_ledger, skip_offsets
from core.topics import TopicLogs, TopicReader

log = logging.getLogger(__name__)


class Reconciler:
    """Brings the ledger rows of every topic that is read up to date. Not thread-safe.

    Every method raises KafkaError and SQLAlchemy's errors; then another try, later, does the rest.
    """

    def __init__(self, engine: Engine, reader: TopicReader, settings: Settings) -> None:
        self.engine = engine
        self.reader = reader
        self._replayed = settings.topic("messages")
        self.topics = (self._replayed, settings.topic("dead-letters"))
        self.logs: dict[str, TopicLogs | None] = {}  # as found by the latest call
        self._reached: dict[tuple[str, int], tuple[str | None, int, int]] = {}  # what a read has shown already

    def reconcile(self) -> list[LedgerChange]:
        """Open rows for new partitions and begin an epoch where the log is another one; the changes made here.

        A topic that does not exist changes nothing.
        """
        return [change for topic in self.topics for change in self._reconcile(topic)]

    def skip_empty(self, topic: str, row: PartitionProgress) -> int:
        """Let `row` go past offsets at which its log holds nothing (any more); how many they were.

        Call it for a row that stands still though its log seems to go on: one whose records were deleted before they
        were read, or that ends in transaction markers.
        """
        if row.next_offset is None:
            return 0
        logs = self.reader.read(topic)
        if logs is None or row.partition not in logs.partitions or logs.topic_id != row.topic_id:
            return 0
        start = max(row.next_offset, logs.partitions[row.partition].start)
        probe = self.reader.probe(topic, row.partition, start)
        if probe is None or probe.refused or probe.next_offset <= row.next_offset:
            return 0
        if not skip_offsets(self.engine, topic, row, probe.next_offset):
            return 0
        skipped = probe.next_offset - row.next_offset
        log.warning(
            "partition %d of %s holds nothing at %d offsets from %d on; records were deleted before they were read",
            row.partition,
            topic,
            skipped,
            row.next_offset,
        )
        return skipped

    def _reconcile(self, topic: str) -> list[LedgerChange]:
        rows = read_ledger(self.engine, topic)  # before the brokers are asked: a log grows, so it can't be behind these
        logs = self.logs[topic] = self.reader.read(topic)
        if logs is None:
            return []
        refused = {row.partition for row in suspects(rows, logs) if self._is_cut(topic, row, logs)}
        changes = find_changes(rows, logs, refused)
        replayed = topic == self._replayed
        made = change_ledger(self.engine, topic, logs.topic_id, changes, replayed=replayed) if changes else []
        for change in made:
            if change.action in ("begin_epoch", "close"):
                log.warning(
                    "partition %d of %s is not the log it was (re-created, emptied or cut); %s",
                    change.partition,
                    topic,
                    f"a new epoch begins at offset {change.start}" if change.action == "begin_epoch" else "it is gone",
                )
        changed = {change.partition for change in changes}
        ends = {
            row.partition: (row.epoch, logs.partitions[row.partition].end)
            for row in rows
            if row.partition not in changed and logs.partitions[row.partition].end > (row.end_offset or 0)
        }
        note_ends(self.engine, topic, ends)
        return made

    def _is_cut(self, topic: str, row: PartitionProgress, logs: TopicLogs) -> bool:
        """Whether the log really ends before `row`. Some brokers answer with less than there is; a read does not."""
        assert row.next_offset is not None
        seen = (logs.topic_id, row.next_offset, logs.partitions[row.partition].end)
        if self._reached.get((topic, row.partition)) == seen:
            return False
        probe = self.reader.probe(topic, row.partition, row.next_offset)
        if probe is None:
            return False
        # A replica that has just become leader may not know yet how far its log is settled, but lets that be read.
        # Brokers without ids for topics, where they refuse no read, show their end only here.
        if probe.refused or (probe.end is not None and probe.end < row.next_offset and logs.topic_id is None):
            return True
        self._reached[topic, row.partition] = seen
        return False


def suspects(rows: Sequence[PartitionProgress], logs: TopicLogs) -> list[PartitionProgress]:
    """Rows ahead of the end of their log, as far as the brokers' answer (a lower bound) says."""
    return [
        row
        for row in rows
        if row.next_offset is not None
        and row.partition in logs.partitions
        and logs.partitions[row.partition].end < row.next_offset
    ]


def find_changes(rows: Sequence[PartitionProgress], logs: TopicLogs, refused: Collection[int]) -> list[LedgerChange]:
    """What must change so that `rows` fit `logs`; `refused` are partitions whose log does not reach their row."""
    known = {row.partition: row for row in rows}
    changes = []
    for partition, span in sorted(logs.partitions.items()):
        row = known.get(partition)
        action: Literal["open", "begin_epoch", "begin_reading", "adopt_id"] | None = None
        if row is None:
            action = "open"
        elif (row.topic_id and logs.topic_id and row.topic_id != logs.topic_id) or partition in refused:
            action = "begin_epoch"
        elif row.next_offset is None:
            action = "begin_reading"
        elif row.topic_id is None and logs.topic_id is not None:
            action = "adopt_id"
        if action is not None:
            changes.append(LedgerChange(partition, row.epoch if row else None, action, span.start, span.end))
    gone = [row for row in rows if row.partition not in logs.partitions]
    return changes + [LedgerChange(row.partition, row.epoch, "close") for row in gone]
