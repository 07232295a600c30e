"""No regular query reads more of a longer history. `benchmarks/bench_queries.py` shows it at 5 million messages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from core.settings import Settings, load_settings
from core.store.connection import connect

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from history import fill
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
