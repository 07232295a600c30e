"""The audit: trends counted again from the stored messages, and every difference from the trend rows.

Message counts and summed probabilities follow from the messages alone; story counts from the stored assignment of
messages to stories. An exact pipeline gives no differences, whatever was killed while it ran.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from core.store.sql import load_queries

_SQL = load_queries(Path(__file__).with_name("recount.sql"))


@dataclass(frozen=True, slots=True)
class Difference:
    """A trend row that is not what the messages say. Either side is None where there is no such row."""

    kind: str
    name: str
    minute: datetime
    stored: dict[str, Any] | None
    counted: dict[str, Any] | None


def differences(engine: Engine, limit: int = 100) -> list[Difference]:
    """Up to `limit` differences between the trends and a recount; none if the store is exact.

    Messages dropped by retention can't be counted again: on such a store, rows of those days show up here.
    """
    with engine.connect() as connection:
        rows = connection.execute(text(_SQL["differences"]), {"limit": limit})
        return [Difference(*row) for row in rows]


def totals(engine: Engine) -> dict[str, int]:
    """Number of `messages` and `stories` ever counted, and of `dead_letters` not yet replayed."""
    with engine.connect() as connection:
        row = connection.execute(text(_SQL["totals"])).one()
        return dict(row._mapping)
