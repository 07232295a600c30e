"""The keeper of the embedded database, with a real server and real signals."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from newstide.embedded import keeper as keeping
from newstide.embedded import process
from newstide.embedded.keeper import DatabaseKeeper
from newstide.embedded.postgres import EmbeddedPostgres

PATIENCE_S = 60.0


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def ask(server: EmbeddedPostgres, query: str) -> object:
    with psycopg.connect(server.url) as connection:
        row = connection.execute(query).fetchone()
    return row[0] if row else None


def write(server: EmbeddedPostgres, query: str) -> None:
    with psycopg.connect(server.url) as connection:
        connection.execute(query)


def kill(keeper: DatabaseKeeper, how: signal.Signals) -> None:
    """Send the signal to the server and wait until the keeper has started it again."""
    before = keeper.restarts
    assert keeper.server.pid is not None
    os.kill(keeper.server.pid, how)
    wait_for(lambda: keeper.restarts > before)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all: making a database takes longer than recovering it."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def keeper(directory: Path, said: list[str]) -> Iterator[DatabaseKeeper]:
    with DatabaseKeeper(EmbeddedPostgres(directory), said.append) as started:
        yield started


@pytest.mark.parametrize(
    ("how", "described"),
    [
        (signal.SIGKILL, "(killed by SIGKILL)"),
        (signal.SIGQUIT, "(exit status 0)"),  # what `pg_ctl stop -m immediate` sends
        (signal.SIGINT, "(exit status 0)"),  # what `pg_ctl stop` sends
    ],
)
def test_a_server_that_ends_is_back_on_its_port_with_its_data(
    keeper: DatabaseKeeper, said: list[str], how: signal.Signals, described: str
) -> None:
    url = keeper.server.url
    write(keeper.server, "CREATE TABLE IF NOT EXISTS kept (value integer)")
    before = ask(keeper.server, "SELECT count(*) FROM kept")
    for number in range(2):
        write(keeper.server, f"INSERT INTO kept VALUES ({number})")
        kill(keeper, how)
        assert keeper.is_up
    assert keeper.server.url == url
    assert ask(keeper.server, "SELECT count(*) FROM kept") == int(str(before)) + 2
    assert len(said) == 4, "one line for each end and one for each return"
    assert said[0] == f"the embedded database ended {described}; starting it again"
    assert said[1].startswith("the embedded database is back after ")


def test_a_killed_connection_is_the_servers_own_business(keeper: DatabaseKeeper, said: list[str]) -> None:
    with psycopg.connect(keeper.server.url) as victim:
        os.kill(victim.info.backend_pid, signal.SIGKILL)

        def answers() -> bool:
            try:
                return ask(keeper.server, "SELECT 1") == 1
            except psycopg.OperationalError:
                return False

        wait_for(answers)
    assert (keeper.restarts, said) == (0, [])


def test_a_connection_that_hangs_does_not_keep_a_killed_server_down(keeper: DatabaseKeeper) -> None:
    with psycopg.connect(keeper.server.url) as hanging:
        os.kill(hanging.info.backend_pid, signal.SIGSTOP)
        kill(keeper, signal.SIGKILL)
        assert ask(keeper.server, "SELECT 1") == 1


def test_a_lock_file_cut_short_does_not_stop_it(keeper: DatabaseKeeper) -> None:
    assert keeper.server.pid is not None
    os.kill(keeper.server.pid, signal.SIGSTOP)  # so that it can't look after the file any more
    (keeper.server.data / "postmaster.pid").write_text("")
    kill(keeper, signal.SIGKILL)
    assert ask(keeper.server, "SELECT 1") == 1


def test_a_server_that_cannot_start_is_tried_until_it_can(keeper: DatabaseKeeper, said: list[str]) -> None:
    control = keeper.server.data / "global" / "pg_control"
    content, owner = control.read_bytes(), control.stat()
    assert keeper.server.pid is not None
    control.unlink()
    os.kill(keeper.server.pid, signal.SIGKILL)
    wait_for(lambda: keeper.failure is not None)
    wait_for(lambda: keeper.failing_for_s > 1)
    assert not keeper.is_up
    control.write_bytes(content)
    os.chown(control, owner.st_uid, owner.st_gid)
    control.chmod(0o600)
    wait_for(lambda: keeper.is_up)
    assert keeper.failure is None
    assert "pg_control" in said[1], said
    assert "trying again until it starts" in said[1]
    assert len(said) == 3, "the same fault is told once"
    assert ask(keeper.server, "SELECT 1") == 1


def test_who_attached_goes_on_when_the_owner_leaves(directory: Path, said: list[str]) -> None:
    with DatabaseKeeper(EmbeddedPostgres(directory)) as owner:
        with DatabaseKeeper(EmbeddedPostgres(directory), said.append) as second:
            url = second.server.url
            assert not second.server.owned
            owner.__exit__(None, None, None)
            wait_for(lambda: second.restarts == 1)
            assert second.server.owned
            assert second.server.url == url
            assert ask(second.server, "SELECT 1") == 1
        assert not second.server.is_running()


def test_the_log_stays_small_while_the_server_runs(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_LOOK_AT_LOGS_EVERY_S", 0.0)
    monkeypatch.setattr(process, "MAX_LOG_BYTES", 100_000)
    with DatabaseKeeper(EmbeddedPostgres(directory)) as keeper:
        with keeper.server.log.open("ab") as log:
            log.write(b"as if for months\n" * 10_000)
        wait_for(lambda: keeper.server.log.stat().st_size < 100_000)
        with pytest.raises(psycopg.errors.UndefinedTable), psycopg.connect(keeper.server.url) as connection:
            connection.execute("SELECT 1 FROM nowhere")
        wait_for(lambda: b"nowhere" in keeper.server.log.read_bytes())
        assert keeper.server.log.stat().st_size < 100_000, "written at its new end"
        assert b"as if for months\n" * 10_000 in keeper.server.log.with_name("server.log.old").read_bytes()


def test_it_can_be_left_while_the_server_does_not_start(directory: Path) -> None:
    with DatabaseKeeper(EmbeddedPostgres(directory)) as keeper:
        control = keeper.server.data / "global" / "pg_control"
        hidden = control.replace(control.with_name("hidden"))
        assert keeper.server.pid is not None
        os.kill(keeper.server.pid, signal.SIGKILL)
        wait_for(lambda: not keeper.is_up)
    hidden.replace(control)
    assert not keeper.server.is_running()


def test_a_port_that_somebody_else_took_is_given_up_where_that_is_allowed(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_MOVE_AFTER_S", 0.5)
    with DatabaseKeeper(EmbeddedPostgres(directory), may_move=True) as keeper:
        port = keeper.server.port
        assert keeper.server.pid is not None
        os.kill(keeper.server.pid, signal.SIGSTOP)
        os.kill(keeper.server.pid, signal.SIGKILL)
        with socket.socket() as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            wait_for(lambda: _binds(stranger, port))
            stranger.listen()
            wait_for(lambda: keeper.restarts == 1)
            assert keeper.server.port != port
            assert ask(keeper.server, "SELECT 1") == 1


def _binds(stranger: socket.socket, port: int) -> bool:
    try:
        stranger.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
