"""The named queries of this room."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from core.store.sql import load_queries

QUERIES = load_queries(Path(__file__).with_name("queries.sql"))


def fetch(connection: psycopg.Connection[Any], query: str, parameters: Mapping[str, Any] | None = None) -> list[Any]:
    """Rows of the query of that name, their columns as attributes."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(QUERIES[query], parameters).fetchall()
