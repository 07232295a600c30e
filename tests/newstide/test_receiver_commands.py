"""`newstide alerts check` and `newstide alerts test`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from core.errors import NewstideError
from core.settings import PROJECT
from newstide.commands.alerts import alerts

_FAULTY = (
    "budget = 0\n[[rule]]\nname = 'a'\nreceivers = ['desc']\n[[receiver]]\nname = 'desk'\ntype = 'apprise'\nurl = 'x'"
)


Invoke = Callable[..., Result]


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """`newstide alerts` in this process and in that directory; what it raises stands in `stderr`, as users see it."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str, **environment: str) -> Result:
        result = CliRunner().invoke(alerts, words, env=environment)
        if isinstance(result.exception, NewstideError):
            result.stderr_bytes = f"{result.stderr}newstide: {result.exception}\n".encode()
        return result

    return call


def newstide(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same as a process, with the logs that it writes."""
    return subprocess.run(
        [sys.executable, "-m", "newstide", "alerts", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_check_says_what_the_rules_mean(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").write_bytes((PROJECT / "alerts.example.toml").read_bytes())
    told = invoke("check", "--json", SLACK_URL="json://127.0.0.1/s3cretword")
    assert told.exit_code == 0, told.output
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
    shown = invoke("check", SLACK_URL="json://127.0.0.1/s3cretword")
    assert "at once, but not 22:00-07:00 Europe/Berlin" in shown.stdout
    assert "env:SLACK_URL" in shown.stdout
    assert "s3cretword" not in told.stdout + told.stderr + shown.stdout + shown.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["alerts.toml"], "to check makes no store"


def test_check_names_every_fault_and_every_address_of_no_use(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").write_text(_FAULTY, encoding="utf-8")
    told = invoke("check")
    assert told.exit_code == 1
    assert told.stderr.count("alerts.toml: ") == 2
    assert "did you mean `desk`?" in told.stderr
    (tmp_path / "alerts.toml").write_text("[[receiver]]\nname = 'desk'\ntype = 'apprise'\nurl = 'env:DESK'")
    told = newstide(tmp_path, "check", DESK="nosuchservice://s3cretword", NEWSTIDE_LOG_LEVEL="debug")
    assert told.returncode == 1
    assert "receiver `desk`: Apprise does not understand" in told.stderr
    assert "s3cretword" not in told.stderr


def test_test_sends_one_message_or_says_why_not(invoke: Invoke, tmp_path: Path) -> None:
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200 if self.path == "/hook" else 403)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        at = f"127.0.0.1:{server.server_port}"
        (tmp_path / "alerts.toml").write_text(
            f"[[receiver]]\nname = 'desk'\ntype = 'apprise'\nurl = 'json://{at}/hook'\n"
            f"[[receiver]]\nname = 'closed'\ntype = 'webhook'\nurl = 'http://{at}/other'\n",
            encoding="utf-8",
        )
        told = invoke("test", "desk")
        assert (told.exit_code, told.stdout) == (0, "desk took the message\n"), told.output
        assert taken[0]["message"] == "A test of newstide: nothing has happened"
        told = invoke("test", "webhook", NEWSTIDE_ALERTING__WEBHOOK_URL=f"http://{at}/hook")
        assert told.exit_code == 0, told.output
        assert taken[1]["test"] is True
        told = invoke("test", "closed")
        assert told.exit_code == 1
        assert "answered with status 403" in told.stderr
        told = invoke("test", "dsk")
        assert told.exit_code == 1
        assert "there is no receiver `dsk`; did you mean `desk`?" in told.stderr
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
