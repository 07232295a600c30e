"""Bringing the schema up to date with Alembic; safe to call from many processes at once."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = 0x6E657773  # any constant that all newstide processes share


def migrate(engine: Engine, revision: str = "head") -> None:
    """Upgrade the schema to `revision`, by default the newest.

    An advisory lock lets one process do it and the others wait.
    """
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
