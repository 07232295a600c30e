"""Daily partitions of `message`: made ahead of time, dropped when retention says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from core.store.sql import load_queries

_SQL = load_queries(Path(__file__).with_name("retention.sql"))
_AHEAD_DAYS = 2
_LOCK = 0x70617274  # any constant that all newstide processes share


def ensure_partitions(connection: psycopg.Connection[Any], today: date) -> date:
    """Make the partitions of `today` and the next days; the first day that has none is returned.

    A partition is made as a table of its own and then attached, which does not block writers of the others. Call it
    outside a transaction.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        for ahead in range(_AHEAD_DAYS):
            connection.execute("SELECT make_message_partition(%s)", (today + timedelta(days=ahead),))
    return today + timedelta(days=_AHEAD_DAYS)


@dataclass(frozen=True)
class Partition:
    """A table of one day. `detach_pending`: detaching began, and was cut short."""

    name: str
    attached: bool
    detach_pending: bool

    @property
    def day(self) -> date:
        return datetime.strptime(self.name, "message_%Y%m%d").date()


def old_partitions(connection: psycopg.Connection[Any], before: date) -> Iterator[Partition]:
    """The days before `before`, the oldest first; also those that a retention left half dropped."""
    with connection.cursor(row_factory=class_row(Partition)) as cursor:
        partitions = cursor.execute(_SQL["partitions"]).fetchall()
    return (partition for partition in partitions if partition.name < _name(before))


def drop_partition(connection: psycopg.Connection[Any], partition: Partition) -> None:
    """Drop one day, without a lock that stops anybody who reads or writes other days; from any half-way on.

    What it held is noted in `dropped_day` first. Call it outside a transaction. Raises psycopg.errors.LockNotAvailable
    if somebody reads the old day for longer than `lock_timeout`; it is then finished by the next call.
    """
    table = sql.Identifier(partition.name)
    if partition.attached:
        connection.execute(sql.SQL(_SQL["note_dropped_day"]).format(table=table), {"day": partition.day})
        how = "FINALIZE" if partition.detach_pending else "CONCURRENTLY"
        connection.execute(sql.SQL("ALTER TABLE message DETACH PARTITION {} " + how).format(table))
    connection.execute(sql.SQL("DROP TABLE {}").format(table))


def _name(day: date) -> str:
    return f"message_{day:%Y%m%d}"
