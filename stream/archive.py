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

import psycopg

from core import metrics
from core.dead_letters import UNKNOWN, Stage, letter_id, read_dead_letter
from core.store.sql import load_queries
from stream.batch import Record

log = logging.getLogger(__name__)

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


@dataclass(frozen=True, slots=True)
class Letter:
    """A record of the `dead-letters` topic with its headers."""

    record: Record
    headers: Iterable[Any] | None


class Archive:
    """Stores letters on a connection of its own; blocks while the database is away."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], retry_max_s: float) -> None:
        self._connect = connect
        self._retry_max_s = retry_max_s
        self._connection: psycopg.Connection[Any] | None = None
        self.stopping = threading.Event()

    def store(self, letters: Sequence[Letter]) -> None:
        """Insert `letters`; one that is known already was delivered again and changes nothing."""
        pause = 0.1
        while True:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = self._connect()
                columns = _columns(letters)
                self._connection.execute(_SQL["archive_dead_letters"], columns)
                for stage, count in Counter(columns["stage"]).items():
                    metrics.DEAD_LETTERS.labels(stage if stage in get_args(Stage) else UNKNOWN).inc(count)
                return
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                log.warning("%d dead letters are held, the database failed: %s", len(letters), error)
                if self._connection is not None:
                    self._connection.close()
            if self.stopping.wait(pause):
                raise InterruptedError("stopped while the database was away; the letters come again")
            pause = min(pause * 2, self._retry_max_s)


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
