"""The named queries of this room."""

from pathlib import Path

from core.store.sql import load_queries

QUERIES = load_queries(Path(__file__).with_name("queries.sql"))
