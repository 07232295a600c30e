"""Bringing the schema up to date with Alembic, and asking whether it is; safe from many processes at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from core.errors import NewstideError
from core.settings import Settings
from core.store.connection import open_engine
from core.store.roles import grant_rights

_SCRIPTS = Path(__file__).parent / "migrations"
_REVISIONS = sorted(path.name.partition("_")[0] for path in (_SCRIPTS / "versions").glob("[0-9]*.py"))
_COMMENTS = Path(__file__).with_name("comments.sql")
_LOCK = 0x6E657773  # any constant that all newstide processes share
_LOOK_EVERY_S = 1.0


class SchemaNotCurrent(NewstideError):
    """The schema is not the one of this version: `newstide migrate` brings an older one up to date."""


class SchemaTooNew(NewstideError):
    """A later version of newstide has changed the schema: upgrade this one, or restore a backup of its time."""


def migrate(engine: Engine, revision: str = "head") -> None:
    """Upgrade the schema to `revision`, by default the newest; the roles of least privilege get their rights on it.

    An advisory lock lets one process do it and the others wait. Raises SchemaTooNew for a schema of a later version,
    and SchemaNotCurrent where the engine's user may not change it; where nothing is to do, no right is needed.
    """
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        if _revision(connection) == _REVISIONS[-1]:
            return
        try:
            _upgrade(connection, revision)
        except ProgrammingError as error:
            if not isinstance(error.orig, InsufficientPrivilege):
                raise
            raise SchemaNotCurrent(
                "the schema is not the one of this version, and this user may not change it "
                f"({str(error.orig).splitlines()[0]}); run `newstide migrate` as the schema's owner"
            ) from error
        if revision == "head":
            connection.exec_driver_sql(_COMMENTS.read_text(encoding="utf-8"))
            driver = connection.connection.driver_connection
            assert driver is not None
            grant_rights(driver)


def migrate_store(settings: Settings) -> None:
    """`migrate` the store of `settings` on a connection of its own."""
    engine = open_engine(settings, pool_size=1)
    try:
        migrate(engine)
    finally:
        engine.dispose()


def check_schema(engine: Engine) -> None:
    """Return if the schema is this version's. Raises SchemaNotCurrent if it is older, SchemaTooNew if it is newer."""
    newest = _REVISIONS[-1]
    with engine.connect() as connection:
        found = _revision(connection)
    if found != newest:
        state = f"at revision {found}" if found else "not there yet"
        raise SchemaNotCurrent(f"the schema is {state}, and this version needs {newest}; run `newstide migrate`")


def await_schema(engine: Engine, wait_s: float, report: Callable[[str], None]) -> None:
    """`check_schema` until the schema is current; gives up after `wait_s` seconds with the latest reason.

    A database that does not answer is waited for too; `report` is given each new reason. Raises SchemaNotCurrent, and
    at once SchemaTooNew.
    """
    deadline = time.monotonic() + wait_s
    said = None
    while True:
        try:
            return check_schema(engine)
        except SchemaNotCurrent as error:
            reason = error
        except OperationalError as error:
            reason = SchemaNotCurrent(f"the database does not answer: {str(error.orig).strip().splitlines()[-1]}")
        if time.monotonic() + _LOOK_EVERY_S > deadline:
            raise reason
        if str(reason) != said:
            said = str(reason)
            report(f"waiting: {said}")
        time.sleep(_LOOK_EVERY_S)


def _upgrade(connection: Connection, revision: str) -> None:
    # Every process looks at the schema when it starts, and hardly one has to change it: Alembic takes half a second
    # to import.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _revision(connection: Connection) -> str | None:
    """The revision that Alembic noted in the store; None before the first one."""
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar() is None:
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found is not None and found not in _REVISIONS:
        raise SchemaTooNew(
            f"the schema is at revision {found}, which this version does not know: a later version of newstide has "
            "changed it; upgrade this one"
        )
    return found
