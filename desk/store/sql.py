"""The named queries beside a file of this package."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import TextClause, text

from core.store.sql import load_queries


def queries_beside(file: str) -> dict[str, TextClause]:
    """Statements by name of the `.sql` file that is called like the Python file `file`."""
    return {name: text(body) for name, body in load_queries(Path(file).with_suffix(".sql")).items()}
