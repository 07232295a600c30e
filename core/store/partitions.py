"""Daily partitions of `message`: made ahead of time, dropped when retention says so."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import psycopg
from psycopg import sql

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
            day = today + timedelta(days=ahead)
            name = _name(day)
            if connection.execute("SELECT to_regclass(%s)", (name,)).fetchone() != (None,):
                continue
            table = sql.Identifier(name)
            connection.execute(sql.SQL("CREATE TABLE {} (LIKE message INCLUDING ALL)").format(table))
            connection.execute(
                sql.SQL("ALTER TABLE message ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                    table, sql.Literal(day), sql.Literal(day + timedelta(days=1))
                )
            )
    return today + timedelta(days=_AHEAD_DAYS)


def drop_old_partitions(connection: psycopg.Connection[Any], before: date) -> int:
    """Drop messages stored before `before`, with their keys, and stories first stored before it; partitions dropped.

    Trends stay. A message redelivered after its key is gone would count again, so keep retention above the brokers'.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        rows = connection.execute(
            "SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid "
            "WHERE inhparent = 'message'::regclass"
        ).fetchall()
        old = [name for (name,) in rows if name < _name(before)]
        for name in old:
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
        connection.execute("DELETE FROM message_key WHERE stored_on < %s", (before,))
        connection.execute("DELETE FROM shadow_message WHERE stored_at < %s", (before,))
        connection.execute(
            "DELETE FROM story_series USING story WHERE story_series.story = story.id AND story.stored_on < %s",
            (before,),
        )
        connection.execute("DELETE FROM story_band WHERE stored_on < %s", (before,))
        connection.execute(
            "DELETE FROM story_text USING story WHERE story_text.story = story.id AND story.stored_on < %s", (before,)
        )
        connection.execute("DELETE FROM story WHERE stored_on < %s", (before,))
    return len(old)


def _name(day: date) -> str:
    return f"message_{day:%Y%m%d}"
