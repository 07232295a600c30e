"""Named queries: SQL lives in `.sql` files, each statement under a `-- name: what_it_does` line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.rows import namedtuple_row

Record = TypeVar("Record")

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load_queries(file: Path) -> dict[str, str]:
    """Statements of `file` by name."""
    parts = _NAME.split(file.read_text(encoding="utf-8"))
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def records(kind: type[Record], rows: Iterable[Any]) -> list[Record]:
    """A `kind` for each of SQLAlchemy's `rows`, fields filled from the columns of the same names."""
    return [kind(**row._mapping) for row in rows]


def fetch_rows(
    connection: psycopg.Connection[Any], statement: str, parameters: Mapping[str, Any] | None = None
) -> list[Any]:
    """Rows of `statement` through psycopg, their columns as attributes."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(statement, parameters).fetchall()


def fetch_named(
    queries: Mapping[str, str],
    connection: psycopg.Connection[Any],
    name: str,
    parameters: Mapping[str, Any] | None = None,
) -> list[Any]:
    """Rows of the statement of that name, their columns as attributes."""
    return fetch_rows(connection, queries[name], parameters)
