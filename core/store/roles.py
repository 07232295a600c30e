"""The database roles of least privilege: what each kind of process may do, and nothing else.

They are groups that can't log in: the accounts of the processes are made members. The schema belongs to whoever
migrates it, who alone runs `newstide migrate`, `newstide retention` and `newstide roles`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from core.errors import NewstideError
from core.store.sql import load_queries

_SQL = load_queries(Path(__file__).with_suffix(".sql"))
WRITER, READER, TRAINER, BOARDS = "newstide_writer", "newstide_reader", "newstide_trainer", "newstide_boards"
ROLES = {
    WRITER: "ingest, workers, alerting",
    READER: "the desk",
    TRAINER: "data sets, training, promotion",
    BOARDS: "Grafana's boards",
}
"""The roles, and who takes which."""


class RolesRefused(NewstideError):
    """The database does not let this user make roles or grant rights; the message says what is needed."""


def make_roles(connection: psycopg.Connection[Any]) -> list[str]:
    """Make the roles that are missing, and give each its rights, no more; the names of those that were made.

    One transaction. Raises RolesRefused where the user of `connection` may not.
    """
    try:
        with connection.transaction():
            made = [role for role in ROLES if role not in _existing(connection)]
            for role in made:
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
            grant_rights(connection)
            return made
    except psycopg.errors.InsufficientPrivilege as error:
        raise RolesRefused(
            f"roles can't be made: {str(error).splitlines()[0]}; run it as the owner of the schema, with the right to "
            f"make roles, or let an administrator make {', '.join(ROLES)} first"
        ) from error


def grant_rights(connection: psycopg.Connection[Any]) -> None:
    """Give those of the roles that exist their rights on the present tables, and take away all others."""
    with connection.transaction():
        schema = connection.execute("SELECT current_schema()").fetchone()
        for role in _existing(connection):
            names = {"schema": sql.Identifier(schema[0] if schema else "public"), "role": sql.Identifier(role)}
            for statements in (sql.SQL(_SQL["revoke"]).format(**names), sql.SQL(_SQL[role])):
                connection.execute(statements)


def _existing(connection: psycopg.Connection[Any]) -> list[str]:
    return [name for (name,) in connection.execute(_SQL["existing"], {"names": list(ROLES)})]
