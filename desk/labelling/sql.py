"""The named queries of this package."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from core.store.sql import load_queries

QUERIES = {name: text(body) for name, body in load_queries(Path(__file__).with_name("labelling.sql")).items()}
