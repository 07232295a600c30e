"""The changes of the trends that wait to be judged, where nobody judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from core.store.sql import load_queries

_SQL = load_queries(Path(__file__).with_name("trend_changes.sql"))


def compact_trend_changes(connection: psycopg.Connection[Any]) -> None:
    """Join the rows of `trend_change` to one a day of event time: they pile up while no alerting process runs.

    Days that are one row already are left alone.
    One that judges at this moment loses its transaction to this one and tries again.
    """
    connection.execute(_SQL["compact"])
