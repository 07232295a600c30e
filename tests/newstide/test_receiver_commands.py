"""`newstide alerts check` and `newstide alerts test`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from alerting.delivery.channel import DeliveryFailed
from core.errors import InputError
from core.settings import PROJECT
from newstide.commands.alerts import alerts

_FAULTY = (
    "budget = 0\n[[rule]]\nname = 'a'\nreceivers = ['desc']\n[[receiver]]\nname = 'desk'\ntype = 'apprise'\nurl = 'x'"
)


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """alerts.toml in the working directory, to be written."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "alerts.toml"


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Address of a server that takes what is posted to /hook, and what it took."""
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200 if self.path == "/hook" else 403)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}", taken
    server.shutdown()
    thread.join()
    server.server_close()


def command(*arguments: str) -> Result:
    return CliRunner().invoke(alerts, arguments)


def test_check_says_what_the_rules_mean(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules.write_bytes((PROJECT / "alerts.example.toml").read_bytes())
    monkeypatch.setenv("SLACK_URL", "json://127.0.0.1/s3cretword")
    told, shown = command("check", "--json"), command("check")
    assert told.exit_code == shown.exit_code == 0
    found = json.loads(told.stdout)
    assert found["budget_per_week"] == 1
    assert found["rules"][2] == {
        "name": "Markets",
        "series": ["all", "topic=Fed | Central Banks", "topic=Markets"],
        "signals": ["negative", "share", "positive"],
        "severity": "info",
        "weight": 1.0,
        "receivers": ["research"],
        "when": "at 08:00, 17:30 Europe/Berlin",
        "continue": False,
    }
    (warning,) = found["warnings"]
    assert warning.startswith("receiver `research`: secrets/mail_url can't be read")
    assert "at once, but not 22:00-07:00 Europe/Berlin" in shown.stdout
    assert "env:SLACK_URL" in shown.stdout
    assert warning in shown.stderr
    assert "s3cretword" not in told.output + shown.output
    assert list(rules.parent.iterdir()) == [rules], "to check makes no store"


def test_check_names_every_fault(rules: Path) -> None:
    rules.write_text(_FAULTY, encoding="utf-8")
    fault = command("check").exception
    assert isinstance(fault, InputError)
    assert len(str(fault).splitlines()) == 2
    assert "did you mean `desk`?" in str(fault)


def test_an_address_of_no_use_is_a_fault_and_never_shown(rules: Path) -> None:
    rules.write_text("[[receiver]]\nname = 'desk'\ntype = 'apprise'\nurl = 'env:DESK'", encoding="utf-8")
    told = subprocess.run(
        [sys.executable, "-m", "newstide", "alerts", "check"],
        env={
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "DESK": "nosuchservice://s3cretword",
            "NEWSTIDE_LOG_LEVEL": "debug",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 1
    assert "receiver `desk`: Apprise does not understand" in told.stderr
    assert "s3cretword" not in told.stderr + told.stdout


def test_test_sends_one_message_or_says_why_not(
    rules: Path, server: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    at, taken = server
    rules.write_text(
        f"[[receiver]]\nname = 'desk'\ntype = 'apprise'\nurl = 'json://{at}/hook'\n"
        f"[[receiver]]\nname = 'closed'\ntype = 'webhook'\nurl = 'http://{at}/other'\n",
        encoding="utf-8",
    )
    told = command("test", "desk")
    assert (told.exit_code, told.stdout) == (0, "desk took the message\n")
    assert taken[0]["message"] == "A test of newstide: nothing has happened"
    refused = command("test", "closed").exception
    assert isinstance(refused, DeliveryFailed)
    assert "answered with status 403" in str(refused)
    unknown = command("test", "dsk").exception
    assert isinstance(unknown, InputError)
    assert "there is no receiver `dsk`; did you mean `desk`?" in str(unknown)
    monkeypatch.setenv("NEWSTIDE_ALERTING__WEBHOOK_URL", f"http://{at}/hook")
    assert command("test", "webhook").exit_code == 0
    assert taken[-1]["test"] is True
