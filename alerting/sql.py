"""The named queries of this room."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from core.store.sql import fetch_rows, load_queries

QUERIES = load_queries(Path(__file__).with_name("queries.sql"))


def fetch(connection: psycopg.Connection[Any], query: str, parameters: Mapping[str, Any] | None = None) -> list[Any]:
    """Rows of the query of that name, their columns as attributes."""
    return fetch_rows(connection, QUERIES[query], parameters)
