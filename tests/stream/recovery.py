"""What a test asks of the ledger: how far it is, and that it accounts for every offset."""

from __future__ import annotations

import psycopg

from core.settings import Settings
from core.store.connection import open_engine
from core.store.recount import audit_store
from tests.stream.harness import ask


def accounted(settings: Settings) -> int:
    """Offsets of `messages` that the ledger accounts for, over all epochs."""
    try:
        rows = ask(
            settings,
            "SELECT coalesce(sum(messages + duplicates + dead_letters + gaps), 0)::bigint FROM "
            "(SELECT topic, messages, duplicates, dead_letters, gaps FROM offset_ledger UNION ALL "
            "SELECT topic, messages, duplicates, dead_letters, gaps FROM offset_history) AS every "
            f"WHERE topic = '{settings.topic('messages')}'",
        )
        return int(rows[0][0])
    except (psycopg.errors.UndefinedTable, psycopg.OperationalError):
        return 0


def archived(settings: Settings) -> int:
    """Dead letters in the archive; 0 while there is no schema."""
    try:
        return int(ask(settings, "SELECT count(*) FROM dead_letter")[0][0])
    except psycopg.errors.UndefinedTable:
        return 0


def assert_accounted(settings: Settings) -> None:
    """Every offset read is a message, a duplicate, a dead letter or a gap, in every epoch of every partition."""
    engine = open_engine(settings)
    try:
        found = audit_store(engine)
    finally:
        engine.dispose()
    assert found.unbalanced == found.unknown == []
    assert found.differences == []
    assert found.counted == found.stored
    assert found.exact


def stored(settings: Settings) -> int:
    return int(ask(settings, "SELECT count(*) FROM message")[0][0])


def behind(settings: Settings) -> int:
    """Records that the logs hold and the ledger has not passed."""
    return int(ask(settings, "SELECT coalesce(sum(end_offset - next_offset), 0) FROM offset_ledger")[0][0])
