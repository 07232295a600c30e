"""No regular query reads more of a longer history. `benchmarks/bench_queries.py` shows it at 5 million messages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text

from core.settings import Settings, load_settings
from core.store.connection import connect, open_engine
from desk.server import SESSION_OPTIONS
from desk.store import search

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from history import SENTENCES, fill
from query_plans import BOUNDED, WHOLE, costs, unlisted

PER_DAY = 400
FEW = 500


@pytest.fixture
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", database_url)
    return load_settings()


@pytest.fixture
def store(settings: Settings, engine: Engine) -> Iterator[psycopg.Connection[Any]]:
    with connect(settings, autocommit=True) as connection:
        yield connection


def test_no_regular_query_grows_with_history(store: psycopg.Connection[Any]) -> None:
    today = datetime.now(UTC).date()
    fill(store, today - timedelta(days=7), today, PER_DAY)
    store.execute("VACUUM ANALYZE")
    short = {cost.query: cost for cost in costs(store, small=True)}
    fill(store, today - timedelta(days=40), today - timedelta(days=8), PER_DAY)
    store.execute("VACUUM ANALYZE")
    long = {cost.query: cost for cost in costs(store, small=True)}
    assert {name: cost.scanned for name, cost in long.items() if cost.scanned} == {}
    # Totals read the minutes of the series `all`, which retention bounds; retention itself what has become old.
    bounded = {*BOUNDED, *(name for name in long if name.startswith("retention."))}
    # What looks at the newest so many messages finds all of them on so short a history.
    bounded |= {name for name in long if name.startswith("samples.")}
    grown = {
        name: (short[name].rows, cost.rows)
        for name, cost in long.items()
        if name not in bounded and cost.rows > short[name].rows * 1.5 + FEW
    }
    assert grown == {}


def test_every_query_on_a_growing_table_is_measured(store: psycopg.Connection[Any]) -> None:
    today = datetime.now(UTC).date()
    fill(store, today, today, 10)
    assert unlisted(store) == set()
    assert all(WHOLE.values())


def test_a_search_looks_words_up_however_few_messages_are_asked_for(
    store: psycopg.Connection[Any], settings: Settings
) -> None:
    """In the order of time each message would have to be taken apart, which a small limit makes look cheap."""
    now = datetime.now(UTC)
    fill(store, now.date(), now.date(), 5000, SENTENCES)
    store.execute("VACUUM ANALYZE")
    wanted = search.Search("w3", (), now - timedelta(days=1), now + timedelta(days=1))
    values = {**wanted.values(), "before": None, "before_uid": None, "limit": 2}
    engine = open_engine(settings, 1, SESSION_OPTIONS)
    with engine.connect() as connection:
        found, more = search.search_page(connection, wanted, None, 2)
        query = f"EXPLAIN {search.QUERIES['matching'].text}"
        plan = "\n".join(row[0] for row in connection.execute(text(query), values))
        workers = connection.execute(text("SHOW max_parallel_workers_per_gather")).scalar_one()
    engine.dispose()
    assert len(found) == 2
    assert more is not None
    assert "Bitmap Index Scan on message" in plan, plan
    assert "Index Cond: (search_words(" in plan, plan
    assert workers == "0", "workers that Postgres starts for a search take longer than the search"
