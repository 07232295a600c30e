"""Connections to Postgres notice a host that vanishes without a word."""

from __future__ import annotations

import os
import socket
import sys

import psycopg
import pytest
from sqlalchemy import text

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


SHOWN = "SELECT current_setting('search_path'), current_setting('statement_timeout'), current_setting('TimeZone')"


@pytest.mark.parametrize(
    "query",
    [
        "options=-c%20search_path%3Dours%20-c%20statement_timeout%3D7s%20-c%20TimeZone%3DAsia/Tokyo",
        "options=-csearch_path%3Dours&options=-c+statement_timeout%3D7s",
    ],
    ids=["one", "several"],
)
def test_options_in_the_url_are_kept(database_url: str, query: str) -> None:
    """Else two installations that share a database by their schemas would both write into `public`."""
    settings = load_settings(database={"url": f"{database_url}?{query}"})
    engine = open_engine(settings, options="-c work_mem=3MB")
    with connect(settings, application_name="of a test") as written, engine.connect() as read:
        assert written.execute(SHOWN).fetchone() == ("ours", "7s", "UTC")
        assert written.info.get_parameters()["application_name"] == "of a test"
        assert read.execute(text(f"{SHOWN}, current_setting('work_mem')")).one() == ("ours", "7s", "UTC", "3MB")
    engine.dispose()
