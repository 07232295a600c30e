"""The archive of dead letters: the `dead-letters` topic copied into Postgres, each letter once, for the operator."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import psycopg
from kafka.errors import KafkaError

from core import metrics
from core.dead_letters import UNKNOWN, Stage, letter_id, read_dead_letter
from core.store.faults import is_content_refused, is_outage
from core.store.sql import fetch_rows, load_queries
from stream.batch import Record
from stream.ledger import Tally, TopicLedger

log = logging.getLogger(__name__)

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


@dataclass(frozen=True, slots=True)
class Letter:
    """A record of the `dead-letters` topic with its headers."""

    record: Record
    headers: Iterable[Any] | None


class Archive:
    """Stores letters on a connection of its own; blocks while the database is away."""

    def __init__(self, ledger: TopicLedger, connect: Callable[[], psycopg.Connection[Any]], retry_max_s: float) -> None:
        self._ledger = ledger
        self._connect = connect
        self._retry_max_s = retry_max_s
        self._connection: psycopg.Connection[Any] | None = None
        self.waiting_for_database = False
        self.stopping = threading.Event()

    def store(self, letters: Sequence[Letter]) -> None:
        """Insert `letters` and advance the ledger; one that is known already was delivered again and changes nothing.

        Raises what can't be handled by trying again, or by leaving one letter out.
        """
        try:
            self._store_until_done(letters)
        except Exception as error:
            if not is_content_refused(error):
                raise
            if len(letters) == 1:
                record = letters[0].record
                log.error("the dead letter %s can't be archived, it stays in Kafka only: %s", record.origin, error)
                self._store_until_done(letters, left_out=True)
                return
            middle = len(letters) // 2
            self.store(letters[:middle])
            self.store(letters[middle:])

    def _store_until_done(self, letters: Sequence[Letter], left_out: bool = False) -> None:
        pause = 0.1
        while True:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = self._connect()
                with self._connection.transaction():
                    stages = self._store(self._connection, letters, left_out)
                self.waiting_for_database = False
                for stage, count in stages.items():
                    metrics.DEAD_LETTERS.labels(stage if stage in get_args(Stage) else UNKNOWN).inc(count)
                return
            except (psycopg.Error, KafkaError) as error:
                if isinstance(error, psycopg.Error) and not is_outage(error):
                    raise
                self.waiting_for_database = True
                log.warning("%d dead letters are held, the database or Kafka failed: %s", len(letters), error)
                if self._connection is not None:
                    self._connection.close()
            if self.stopping.wait(pause):
                raise InterruptedError("stopped while the database was away; the letters come again")
            pause = min(pause * 2, self._retry_max_s)

    def _store(self, connection: psycopg.Connection[Any], letters: Sequence[Letter], left_out: bool) -> Counter[str]:
        """How many were stored, by stage."""
        unread = self._ledger.lock(connection, [letter.record for letter in letters])
        fresh = [letter for letter in letters if letter.record in unread]
        tallies = {partition: Tally() for partition in unread.records}
        columns = _columns(fresh)
        known = set() if left_out else _insert(connection, columns)
        stages: Counter[str] = Counter()
        for letter, identity, stage in zip(fresh, columns["id"], columns["stage"], strict=True):
            tally = tallies[letter.record.partition]
            if left_out:
                tally.dead_letters += 1
            elif identity in known:
                known.discard(identity)
                tally.messages += 1
                stages[stage] += 1
            else:
                tally.duplicates += 1
        self._ledger.advance(connection, unread, tallies)
        return stages


def _insert(connection: psycopg.Connection[Any], columns: dict[str, list[Any]]) -> set[UUID]:
    """Ids of the letters that are new."""
    return {row.id for row in fetch_rows(connection, _SQL["archive_dead_letters"], columns)}


def _columns(letters: Sequence[Letter]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        name: [] for name in ("id", "origin", "stage", "topic", "key", "value", "reason", "failed_at", "context")
    }
    for letter in letters:
        dead = read_dead_letter(letter.record.key, letter.record.value, letter.headers)
        origin = _text(letter.record.origin if dead.origin == UNKNOWN else dead.origin)
        columns["id"].append(letter_id(origin, dead.content))
        columns["origin"].append(origin)
        columns["stage"].append(_text(dead.stage))
        columns["topic"].append(_text(dead.topic))
        columns["key"].append(dead.key)
        columns["value"].append(dead.value or b"")
        columns["reason"].append(_text(dead.reason))
        columns["failed_at"].append(dead.at or datetime.now(UTC))
        columns["context"].append(json.dumps({_text(name): _text(text) for name, text in dead.context.items()}))
    return columns


def _text(value: str) -> str:
    return value.replace("\x00", "\N{REPLACEMENT CHARACTER}")
