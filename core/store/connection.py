"""Connecting to Postgres: one URL from the settings, for SQLAlchemy (reads) and psycopg (the worker's transaction)."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from core.errors import DatabaseUnreachable, SettingsError
from core.settings import Settings

log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
_IN_UTC = "-c timezone=UTC"
_FILES = ("sslrootcert", "sslcert", "sslkey")
_SYSTEM = "system"  # libpq: the authorities that the system trusts
# A host that vanishes, without closing its connections, is noticed within half a minute, by one who waits for an answer
# and by one who sends; else by the system's defaults, which are hours. For TCP only: a socket file has no such host.
_VANISHED = {"keepalives_idle": "15", "keepalives_interval": "5", "keepalives_count": "3", "tcp_user_timeout": "30000"}
# What libpq and OpenSSL say where no later try can succeed.
_TLS_FAULT = re.compile("certificate verify failed|does not match host name|server does not support SSL")


def database_url(settings: Settings, options: str = "") -> URL:
    """SQLAlchemy URL of the configured database, with options for TLS and against hosts that vanish; its sessions are
    in UTC. `options`: more of libpq's, as `-c name=value`, behind those that the URL itself has.

    Raises SettingsError if it is no such URL.
    """
    if not settings.database.url:
        raise SettingsError(
            "setting `database.url` is empty: run `newstide up`, which brings its own database, "
            "or set NEWSTIDE_DATABASE__URL to postgresql://user:password@host:port/name"
        )
    try:
        url = make_url(settings.database.url)
    except ArgumentError:
        raise SettingsError(
            "setting `database.url` is no URL; expected postgresql://user:password@host:port/name"
        ) from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise SettingsError(f"setting `database.url` names {url.get_backend_name()!r}; newstide needs postgresql://")
    tls = {
        name: str(value)
        for name in ("sslmode", *_FILES)
        if (value := getattr(settings.database, name)) is not None and name not in url.query
    }
    for name in _FILES:
        if name in tls and tls[name] != _SYSTEM and not Path(tls[name]).is_file():
            raise SettingsError(f"setting `database.{name}` is {tls[name]!r}; there is no such file")
    noticing = {name: value for name, value in _VANISHED.items() if name not in url.query}
    session = " ".join([*url.normalized_query.get("options", ()), _IN_UTC, options]).strip()
    ours = {**tls, **noticing, "connect_timeout": "10", "options": session}
    return url.set(drivername="postgresql+psycopg").update_query_dict(ours)


def open_engine(settings: Settings, pool_size: int = 5, options: str = "") -> Engine:
    """A pooled engine, not yet connected, whose sessions are in UTC; `options`: more of libpq's, as `-c name=value`."""
    return create_engine(database_url(settings, options), pool_size=pool_size, pool_pre_ping=True)


def connect(settings: Settings, **options: Any) -> psycopg.Connection[Any]:
    """A new psycopg connection in UTC. Raises psycopg.OperationalError where the server does not answer."""
    url = database_url(settings)
    _, given = url.get_dialect()().create_connect_args(url)
    return psycopg.connect(**given, **options)


def wait_for_database(settings: Settings, report: Callable[[str], None] = log.warning) -> None:
    """Return once Postgres answers; say what is waited for; raise DatabaseUnreachable after the start timeout,
    and at once where its TLS is not what `database.sslmode` asks for."""
    url = database_url(settings)
    given = {name: value for name, value in url.query.items() if name in ("host", "port")}
    where = url.set(drivername="postgresql", query=given).render_as_string(hide_password=True)
    deadline = time.monotonic() + settings.database.start_timeout_s
    pause = _FIRST_PAUSE_S
    while True:
        try:
            connect(settings).close()
            return
        except (psycopg.OperationalError, OperationalError) as error:
            # a line of libpq's that begins with a tab goes on from the one before, with advice
            reason = [line for line in str(error).strip().splitlines() if not line.startswith("\t")][-1]
            if _TLS_FAULT.search(str(error)):
                raise DatabaseUnreachable(
                    f"Postgres at {where} is not talked to: {reason}; see `database.sslmode`, `database.sslrootcert`, "
                    "and that the server's certificate names the host in `database.url`"
                ) from error
            if time.monotonic() + pause > deadline:
                raise DatabaseUnreachable(
                    f"Postgres at {where} did not answer within {settings.database.start_timeout_s:g} s ({reason}); "
                    "check `database.url`, that the server runs, and its credentials"
                ) from error
            report(f"waiting for Postgres at {where}: {reason}; next try in {pause:.1f} s")
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)
