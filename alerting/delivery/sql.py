"""The named queries of this package."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from core.store.sql import fetch_named, load_queries

QUERIES = load_queries(Path(__file__).with_name("queries.sql"))

fetch = partial(fetch_named, QUERIES)
