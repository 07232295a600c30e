"""What a worker tells the ledger and learns from it between batches: where to read, ends of partitions, and its lag."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from kafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError

from core import metrics
from core.epochs import Reconciler
from core.store.faults import is_outage
from core.store.ledger import read_ledger
from core.store.sql import load_queries

log = logging.getLogger(__name__)

_SQL = load_queries(Path(__file__).with_name("ledger.sql"))
_STANDING_LOOKS = 3  # a batch that is under way moves its partition sooner than that

Connect = Callable[[], psycopg.Connection[Any]]
Place = tuple[str, int]
"""A topic and a partition."""


class Position(NamedTuple):
    """An offset of a partition, and the epoch in which it stands."""

    epoch: int
    offset: int


class ReadFrom(NamedTuple):
    """Where the ledger says a partition is to be read on, in which epoch, and the first offset that its log holds."""

    epoch: int
    offset: int
    log_start: int


def find_positions(reconciler: Reconciler) -> dict[Place, ReadFrom]:
    """Where to read on all partitions of all topics that are read, once the ledger knows their logs.

    Raises KafkaError and SQLAlchemy's errors.
    """
    reconciler.reconcile()
    found = {}
    for topic in reconciler.topics:
        logs = reconciler.logs.get(topic)
        for row in read_ledger(reconciler.engine, topic):
            if row.next_offset is not None and logs is not None and row.partition in logs.partitions:
                start = logs.partitions[row.partition].start
                found[topic, row.partition] = ReadFrom(row.epoch, max(row.next_offset, start), start)
    return found


class EndOffsets:
    """Notes in the ledger how far each partition reaches, so that alerting can tell a quiet one from one behind."""

    def __init__(self, topic: str, connect: Connect) -> None:
        self._topic = topic
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None
        self._noted: dict[int, Position] = {}

    def note(self, ends: Mapping[int, Position]) -> None:
        """Write the `ends` that changed. A database that is away, or read only, is tried at the next call.

        Raises psycopg.Error for what no waiting heals.
        """
        changed = {partition: end for partition, end in ends.items() if self._noted.get(partition) != end}
        if not changed:
            return
        try:
            if self._connection is None or self._connection.closed:
                self._connection = self._connect()
            self._connection.execute(
                _SQL["note_end_offsets"],
                {
                    "topic": self._topic,
                    "partition": list(changed),
                    "epoch": [end.epoch for end in changed.values()],
                    "end_offset": [end.offset for end in changed.values()],
                },
            )
            self._noted.update(changed)
        except psycopg.Error as error:
            if not is_outage(error):
                raise
            log.debug("end offsets not noted: %s", error)
            if self._connection is not None:
                self._connection.close()


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the ledger and the logs showed: records behind, by place, and places in another epoch by now."""

    behind: dict[Place, int] = field(default_factory=dict)
    moved: list[Place] = field(default_factory=list)


class LedgerWatch:
    """The ledger and the logs as seen from outside of the worker's own consumer, which is what may stall.

    It also keeps the ledger true to the logs while the worker runs. For one thread.
    """

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self._standing: Counter[tuple[Place, Position]] = Counter()

    def look(self, mine: Mapping[Place, int], idle: bool) -> Look | None:
        """Look after the places that are `mine`, read in these epochs; None while brokers or database do not answer.

        While `idle`, with nothing of them under way, a place that stands where its log holds nothing is moved on.
        """
        try:
            self._reconciler.reconcile()
            behind: dict[Place, int] = {}
            moved = []
            standing: Counter[tuple[Place, Position]] = Counter()
            for topic in self._reconciler.topics:
                logs = self._reconciler.logs.get(topic)
                for row in read_ledger(self._reconciler.engine, topic):
                    place = (topic, row.partition)
                    if place not in mine:
                        continue
                    if row.epoch != mine[place]:
                        moved.append(place)
                        continue
                    span = logs.partitions.get(row.partition) if logs is not None else None
                    end = max(span.end if span is not None else 0, row.end_offset or 0)
                    behind[place] = max(end - (row.next_offset or 0), 0)
                    if not behind[place] or not idle:
                        continue
                    at = (place, Position(row.epoch, row.next_offset or 0))
                    standing[at] = self._standing[at] + 1
                    if standing[at] >= _STANDING_LOOKS:
                        skipped = self._reconciler.skip_empty(topic, row)
                        metrics.LEDGER_GAPS.labels(*map(str, place)).inc(skipped)
                        behind[place] -= min(skipped, behind[place])
            self._standing = standing
            return Look(behind, moved)
        except (DBAPIError, KafkaError, OSError) as error:
            log.debug("lag unknown: %s", error)
            self.close()
            return None

    def close(self) -> None:
        """Close the connections to the brokers; the next look opens them again."""
        self._reconciler.reader.close()


class ShownLag:
    """The lag by place in the metrics of this worker."""

    def __init__(self) -> None:
        self._shown: frozenset[Place] = frozenset()

    def update(self, behind: Mapping[Place, int]) -> None:
        """Show the lag of the places read now; what another worker reads by now is that one's to show."""
        for place in self._shown - behind.keys():
            metrics.LAG.remove(*map(str, place))
        for place, records in behind.items():
            metrics.LAG.labels(*map(str, place)).set(records)
            metrics.LEDGER_GAPS.labels(*map(str, place))  # at 0 before the first gap
        self._shown = frozenset(behind)
