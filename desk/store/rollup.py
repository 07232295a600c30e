"""The queries of the roll-up."""

from __future__ import annotations

from desk.store.sql import queries_beside

QUERIES = queries_beside(__file__)
