"""What ends a command though newstide is not at fault: one line, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from core.errors import NewstideError
from newstide.stack.resources import announce
from tests.newstide.stacks import PATIENCE_S, environment, newstide
from tests.tiny_bundles import write_tiny

A_FAULT = """
from newstide.cli import main, newstide

@newstide.command()
def broken():
    raise KeyError("of newstide itself")

main(["broken"])
"""


def signed_in_vain(tmp_path: Path, **settings: str) -> str:
    """What `models sign` says where a directory lies in the way of the signature."""
    write_tiny(tmp_path / "tiny", "tiny", seed=1)
    (tmp_path / ".tiny.manifest.sig").mkdir()
    key = tmp_path / "key.pem"
    private = Ed25519PrivateKey.generate()
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    ended = newstide(tmp_path, "models", "sign", str(tmp_path / "tiny"), "--key", str(key), **settings)
    assert ended.returncode == 1
    return ended.stderr


def test_a_file_that_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    (line,) = signed_in_vain(tmp_path).splitlines()
    assert line.startswith("newstide: the system refused what this command needs: Is a directory (")
    assert str(tmp_path / ".tiny.manifest.sig") in line


def test_where_it_happened_is_told_at_the_level_debug(tmp_path: Path) -> None:
    said = signed_in_vain(tmp_path, NEWSTIDE_LOG_LEVEL="debug")
    assert "Traceback" in said
    assert said.splitlines()[-1].startswith("newstide: the system refused")


def test_a_directory_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = newstide(tmp_path, "up", NEWSTIDE_EMBEDDED__DIRECTORY=str(tmp_path / "file" / "x"))
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(f"newstide: {tmp_path / 'file' / 'x'} can't be used: ")
    assert "NEWSTIDE_EMBEDDED__DIRECTORY" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_note_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "broker.json").mkdir()
    with pytest.raises(NewstideError, match=rf"{tmp_path} can't be used: Is a directory .*NEWSTIDE_EMBEDDED"):
        announce(tmp_path, "127.0.0.1:9092")


def test_a_database_that_ends_meanwhile_is_one_line(database_url: str, tmp_path: Path) -> None:
    with psycopg.connect(database_url) as holder, psycopg.connect(database_url, autocommit=True) as onlooker:
        holder.execute("LOCK TABLE message")
        with subprocess.Popen(
            [sys.executable, "-m", "newstide", "audit"],
            env=environment(tmp_path, NEWSTIDE_DATABASE__URL=database_url),
            stderr=subprocess.PIPE,
            text=True,
        ) as waiting:
            deadline = time.monotonic() + PATIENCE_S
            while waiting.poll() is None and time.monotonic() < deadline:
                onlooker.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                time.sleep(0.05)
            waiting.kill()
            assert waiting.stderr is not None
            said = waiting.stderr.read()
    assert waiting.returncode == 1
    (line,) = said.splitlines()
    assert line.startswith("newstide: the database at `database.url` ended, or can't be used: terminating connection")


def test_a_fault_of_newstide_keeps_its_traceback() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", A_FAULT], env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "by a fault of newstide itself" in ended.stderr
    assert "Traceback" in ended.stderr
