"""The store of a benchmark: an embedded one that goes away with it, or one that is given and stays."""

from __future__ import annotations

import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from history import SENTENCES, fill

from core.settings import Settings, load_settings
from core.store.connection import connect, open_engine
from core.store.migration import migrate
from newstide.embedded.postgres import EmbeddedPostgres

_DAYS_AT_ONCE = 10  # between two lines that say how far it has come


def add_options(parser: ArgumentParser, days: int) -> None:
    """The options of `filled_store`."""
    parser.add_argument("--messages", type=int, default=5_000_000)
    parser.add_argument("--days", type=int, default=days)
    parser.add_argument("--database", help="a database to use, filled if it is empty; embedded if not given")


@contextmanager
def filled_store(url: str | None, messages: int, days: int) -> Iterator[Settings]:
    """Settings of the database at `url`, embedded if None, with the newest schema; an empty one is filled with so many
    messages over so many days, up to now."""
    with ExitStack() as stack:
        if url is None:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="newstide-benchmark-"))
            Path(directory).chmod(0o755)  # Postgres does not run as root, and has to get there
            url = stack.enter_context(EmbeddedPostgres(Path(directory))).url
        settings = load_settings(database={"url": url})
        engine = open_engine(settings)
        migrate(engine)
        engine.dispose()
        _fill(settings, messages, days)
        yield settings


def news_end(connection: psycopg.Connection[Any]) -> datetime:
    """Where the news of a store ends."""
    row = connection.execute("SELECT max(minute) FROM trend WHERE kind = 'all' AND name = 'all'").fetchone()
    if row is None or row[0] is None:
        raise SystemExit("the store has no news")
    found: datetime = row[0] + timedelta(minutes=1)
    return found


def _fill(settings: Settings, messages: int, days: int) -> None:
    began = time.monotonic()
    with connect(settings, autocommit=True) as connection:
        if connection.execute("SELECT EXISTS (SELECT FROM message)").fetchone() == (True,):
            return
        now = datetime.now(UTC)
        first = now.date() - timedelta(days=days - 1)
        while first <= now.date():
            last = min(first + timedelta(days=_DAYS_AT_ONCE - 1), now.date())
            fill(connection, first, last, max(1, messages // days), SENTENCES)
            print(f"{last} is filled after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            first = last + timedelta(days=1)
        connection.execute(
            "INSERT INTO alerting_progress (since, judged_until, drained) VALUES (%s, %s, true)",
            (now - timedelta(days=days), now.replace(second=0, microsecond=0)),
        )
        connection.execute(
            "INSERT INTO offset_ledger (topic, partition, next_offset, messages, max_event_time) "
            "VALUES ('messages', 0, %s, %s, %s)",
            (messages, messages, now),
        )
        connection.execute("VACUUM ANALYZE")
    print(f"filled in {time.monotonic() - began:.0f} s", file=sys.stderr)
