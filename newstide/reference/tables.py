"""docs/reference/tables.md: tables and views of the store, from the catalogue of a migrated database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, text

from core.settings import load_settings
from core.store.connection import open_engine
from core.store.migration import migrate
from newstide.embedded.postgres import EmbeddedPostgres
from newstide.reference.markdown import code, plain, table

HEAD = """# Tables

The store is one schema of Postgres, `public`; `newstide migrate` brings it up to date. Read it as you like, through a
role that may only read; write to it through newstide alone. All times are in UTC. `\\d+ TABLE` in `psql` shows these
descriptions too."""

_RELATIONS = """
SELECT relation.oid, relation.relname AS name, relation.relkind AS kind,
       coalesce(obj_description(relation.oid, 'pg_class'), '') AS meaning
FROM pg_class AS relation
WHERE relation.relnamespace = 'public'::regnamespace AND relation.relkind IN ('r', 'p', 'v')
  AND NOT relation.relispartition AND relation.relname <> 'alembic_version'
ORDER BY relation.relname
"""
_COLUMNS = """
SELECT attname AS name, format_type(atttypid, atttypmod) AS type, NOT attnotnull AS nullable,
       coalesce(col_description(attrelid, attnum), '') AS meaning,
       EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND indisprimary AND attnum = ANY(indkey)) AS key
FROM pg_attribute
WHERE attrelid = :relation AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
"""


def tables_page() -> str:
    """The page, from a database made for it."""
    with TemporaryDirectory() as home, EmbeddedPostgres(Path(home)) as server:
        engine = open_engine(load_settings(database={"url": server.url}))
        migrate(engine)
        with engine.connect() as connection:
            page = describe_tables(connection)
        engine.dispose()
    return page


def describe_tables(connection: Connection) -> str:
    """The page, from a database that is up to date."""
    lines = HEAD.splitlines()
    for relation in connection.execute(text(_RELATIONS)).all():
        columns = connection.execute(text(_COLUMNS), {"relation": relation.oid}).all()
        title = f"{relation.name} (view)" if relation.kind == "v" else relation.name
        lines += ["", f"## {title}", ""]
        if relation.meaning:
            lines += [plain(relation.meaning), ""]
        lines += table(("column", "type", "", "meaning"), [_row(column, relation.kind) for column in columns])
    return "\n".join(lines) + "\n"


def undescribed_tables(connection: Connection) -> list[str]:
    """Tables and views without a comment."""
    return [relation.name for relation in connection.execute(text(_RELATIONS)).all() if not relation.meaning]


def _row(column: Any, kind: str) -> Sequence[str]:
    marks = [mark for mark, holds in (("key", column.key), ("null", column.nullable and kind != "v")) if holds]
    return code(column.name), column.type, ", ".join(marks), plain(column.meaning)
