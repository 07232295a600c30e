"""Connections to Postgres notice a host that vanishes without a word."""

from __future__ import annotations

import os
import socket
import sys

import psycopg
import pytest

from core.settings import Settings, load_settings
from core.store.connection import connect, open_engine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="how long a socket waits is read with Linux's names")


def patience(connection: psycopg.Connection) -> tuple[int, float]:
    """Seconds that `connection` waits for a host that is gone: with nothing sent, and with something sent."""
    with socket.socket(fileno=os.dup(connection.fileno())) as opened:
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, every, count = (
            opened.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        return idle + every * count, opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) / 1000


def both(settings: Settings) -> set[tuple[int, float]]:
    engine = open_engine(settings)
    with connect(settings) as written, engine.connect() as read:
        found = {patience(written), patience(read.connection.driver_connection)}
    engine.dispose()
    return found


def test_a_host_that_vanishes_is_noticed_within_half_a_minute(database_url: str) -> None:
    assert both(load_settings(database={"url": database_url})) == {(30, 30)}


def test_the_url_may_say_otherwise(database_url: str) -> None:
    url = f"{database_url}?keepalives_idle=100&tcp_user_timeout=5000"
    assert both(load_settings(database={"url": url})) == {(115, 5)}
