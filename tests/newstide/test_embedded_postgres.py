"""The embedded database, started for real. As root, pytest's closed temporary directories are part of the test."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from core.errors import EmbeddedPartError
from newstide.embedded import account, postgres
from newstide.embedded.postgres import EmbeddedPostgres
from tests.ports import free_port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    directory = tmp_path_factory.mktemp("closed", numbered=False)
    directory.chmod(0o700)
    with EmbeddedPostgres(directory / "deeper") as started:
        yield started


def ask(server: EmbeddedPostgres, query: str) -> object:
    with psycopg.connect(server.url) as connection:
        row = connection.execute(query).fetchone()
    return row[0] if row else None


def test_it_answers_on_loopback_with_a_password_only(server: EmbeddedPostgres) -> None:
    assert server.owned
    assert ask(server, "SELECT current_database()") == "newstide"
    assert ask(server, "SHOW server_encoding") == "UTF8"
    assert ask(server, "SHOW synchronous_commit") == "on"
    assert ask(server, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(server, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'") == 0
    assert (server.home / "password").stat().st_mode & 0o777 == 0o600
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://newstide:wrong@127.0.0.1:{server.port}/newstide")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user to run it as")
def test_root_runs_it_as_somebody_else(server: EmbeddedPostgres) -> None:
    assert Path(f"/proc/{server.pid}").stat().st_uid != 0


def test_a_second_user_of_the_directory_attaches(server: EmbeddedPostgres) -> None:
    with EmbeddedPostgres(server.home.parent) as second:
        assert not second.owned
        assert second.pid is None
        assert second.url == server.url
    assert ask(server, "SELECT 1") == 1, "leaving must not stop a server that somebody else started"


def test_a_directory_of_any_name_and_by_any_name_is_recognised(tmp_path: Path) -> None:
    directory = tmp_path / os.fsdecode(b"caf\xe9")  # no UTF-8
    directory.mkdir()
    link = tmp_path / "link"
    link.symlink_to(directory)
    with EmbeddedPostgres(link) as server:
        assert server.owned
        for name in (directory, link):
            with EmbeddedPostgres(name) as second:
                assert (second.owned, second.url) == (False, server.url)


def test_data_outlives_stop_and_kill(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path)
    server.start()
    try:
        first = server.url
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS value")
        server.stop()
        server.start()
        assert server.url == first
        with psycopg.connect(server.url) as connection:
            connection.execute("INSERT INTO kept VALUES (2)")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        with EmbeddedPostgres(tmp_path) as other:
            assert other.owned
            assert ask(other, "SELECT sum(value) FROM kept") == 3
    finally:
        server.stop()


def test_a_lock_file_with_a_recycled_process_id_does_not_stop_it(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        lines = (server.data / "postmaster.pid").read_text().splitlines()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        lines[0] = str(stranger.pid)
        (server.data / "postmaster.pid").write_text("\n".join(lines) + "\n")
        with EmbeddedPostgres(tmp_path) as again:
            assert again.owned
            assert ask(again, "SELECT 1") == 1
    finally:
        stranger.kill()
        stranger.wait()


IN_A_CONTAINER = """
import sys
from pathlib import Path
from newstide.embedded.postgres import EmbeddedPostgres

with EmbeddedPostgres(Path(sys.argv[1])) as server:
    print(server.owned, server.pid, flush=True)
    sys.stdin.read()
"""
CONTAINER = ["unshare", "--pid", "--ipc", "--mount-proc", "--fork"]


def test_a_server_of_another_container_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which(CONTAINER[0]) is None or subprocess.run([*CONTAINER, "true"], check=False).returncode != 0:
        pytest.skip("namespaces can't be made here")
    monkeypatch.setattr(postgres, "ATTACH_TIMEOUT_S", 2.0)
    outside = EmbeddedPostgres(tmp_path)
    inside = subprocess.Popen(
        [*CONTAINER, sys.executable, "-c", IN_A_CONTAINER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert inside.stdout is not None
        owned, pid = inside.stdout.readline().split()
        assert owned == "True"
        noted = (outside.data / "postmaster.pid").read_text()
        assert noted.splitlines()[0] == pid
        with pytest.raises(EmbeddedPartError, match=rf"{outside.home} is used by a server .*another container"):
            outside.start()
        assert (outside.data / "postmaster.pid").read_text() == noted
        assert outside.in_use()
    finally:
        inside.communicate(timeout=60)
    assert inside.returncode == 0
    assert not outside.in_use()
    with outside:
        assert outside.owned


def test_what_is_locked_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "ATTACH_TIMEOUT_S", 0.5)
    with EmbeddedPostgres(tmp_path) as server:
        lines = (server.data / "postmaster.pid").read_text().splitlines()
    lock_file = server.data / "postmaster.pid"
    lock_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    with (server.home / "running").open() as running:
        fcntl.flock(running, fcntl.LOCK_EX)
        with pytest.raises(EmbeddedPartError, match="NEWSTIDE_EMBEDDED__DIRECTORY"):
            server.start()
        assert lock_file.exists()
    with server:
        assert server.owned


def test_half_a_database_is_made_anew(tmp_path: Path) -> None:
    partial = tmp_path / "postgres" / "data.partial"
    partial.mkdir(parents=True)
    (partial / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(tmp_path) as server:
        assert ask(server, "SELECT 1") == 1
    assert not partial.exists()


def test_a_taken_port_is_named(tmp_path: Path, server: EmbeddedPostgres) -> None:
    with pytest.raises(EmbeddedPartError, match=rf"127\.0\.0\.1:{server.port}.*NEWSTIDE_EMBEDDED__DATABASE_PORT"):
        EmbeddedPostgres(tmp_path, server.port).start()


def test_damaged_data_is_an_error_that_quotes_the_log(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, free_port()) as server:
        pass
    (server.data / "global" / "pg_control").unlink()
    with pytest.raises(EmbeddedPartError, match="pg_control") as caught:
        server.start()
    assert str(server.log) in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another user")
def test_a_directory_nobody_can_reach_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "_CAPABILITIES", ("",))  # as in a container that grants none of them
    tmp_path.chmod(0o700)
    with pytest.raises(EmbeddedPartError, match="NEWSTIDE_EMBEDDED__DIRECTORY"):
        EmbeddedPostgres(tmp_path / "below").start()


def test_a_file_in_the_way_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedPartError, match="NEWSTIDE_EMBEDDED__DIRECTORY"):
        EmbeddedPostgres(tmp_path / "file").start()
