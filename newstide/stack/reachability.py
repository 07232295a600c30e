"""Whether somebody listens where the database and the brokers are said to be."""

from __future__ import annotations

import socket

from core.settings import Settings
from core.store.connection import database_url

_KNOCK_S = 0.5
_POSTGRES_PORT, _KAFKA_PORT = 5432, 9092


def is_reachable(settings: Settings) -> bool:
    """False if the database, or every broker, refuses a TCP connection; a database on a Unix socket is not asked."""
    url = database_url(settings)
    brokers = [server.strip() for server in (settings.kafka.bootstrap_servers or "").split(",") if server.strip()]
    if url.host and not url.host.startswith("/") and not _listens(url.host, url.port or _POSTGRES_PORT):
        return False
    return not brokers or any(_listens(*_split(server)) for server in brokers)


def _split(server: str) -> tuple[str, int]:
    host, _, port = server.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdigit() else (server.strip("[]"), _KAFKA_PORT)


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=_KNOCK_S).close()
    except OSError:
        return False
    return True
