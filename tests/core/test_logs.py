"""What is logged, how, and what never is."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.logs import configure_logging
from core.settings import AlertingSettings, DatabaseSettings, IngestSettings, Settings
from core.settings import secrets as secrets_of
from ingest.feeds_file import load_feeds_file

SECRETS = Settings(
    database=DatabaseSettings(url="postgresql://news:pa%40ss-word@db:5432/news?sslpassword=key-phrase"),
    ingest=IngestSettings.model_validate({"push_token": "a-long-token"}),
    alerting=AlertingSettings(webhook_url="https://hooks.example/services/T0/B0/abcdef"),
)


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def settings(**values: object) -> Settings:
    return SECRETS.model_copy(update=values)


def test_json_lines_hold_what_a_collector_needs(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings(log_format="json"), "worker-3")
    logging.getLogger("stream.engine").warning("two\nlines %d", 7)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("stream.engine").exception("failed")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first["message"] == "two\nlines 7"
    assert (first["level"], first["logger"], first["component"]) == ("warning", "stream.engine", "worker-3")
    assert first["time"].endswith("+00:00")
    assert first["process"] == os.getpid()
    assert "ValueError: broken" in second["exception"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_stranger_wrote_can_not_pass_for_a_record(capsys: pytest.CaptureFixture[str], form: str) -> None:
    configure_logging(settings(log_format=form), "worker-3")
    evil = "gone\r\n2026-01-31 12:00:00.000Z INFO core: all is well\x1b[2J\x9b1m\u202eeslaf\u2028\x85end"
    log = logging.getLogger("ingest.polling")
    log.warning("a feed is down: %s", evil)
    try:
        raise ValueError(evil)
    except ValueError:
        log.exception("it failed")
    written = capsys.readouterr().err
    assert not set(written) - {"\n"} & {chr(code) for code in (*range(32), *range(127, 160), 0x202E, 0x2028)}
    if form == "text":
        records = [line for line in written.split("\n") if line and not line.startswith("    ")]
        assert [line.partition("ingest.polling: ")[2] for line in records] == ["a feed is down: gone ", "it failed"]
        assert "    2026-01-31 12:00:00.000Z INFO core: all is well" in written
    else:
        assert [json.loads(line)["level"] for line in written.splitlines()] == ["warning", "error"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_ever_logged(capsys: pytest.CaptureFixture[str], form: str) -> None:
    configure_logging(settings(log_format=form), "ingest")
    log = logging.getLogger("anything")
    for secret in secrets_of(SECRETS):
        log.warning("the value is %s", secret)
    log.warning("Authorization: Bearer abc.def-secret")
    log.warning("GET https://api.example/v1?api_key=s3cr3t-key&page=2 with ftp://me:hunter22@files.example/x")
    try:
        raise RuntimeError("can't reach postgresql://news:pa%40ss-word@db:5432/news")
    except RuntimeError:
        log.exception("failed")
    shown = capsys.readouterr().err
    for secret in (
        "pa%40ss-word",
        "pa@ss-word",
        "key-phrase",
        "a-long-token",
        "abcdef",
        "s3cr3t-key",
        "hunter22",
        "abc.def",
    ):
        assert secret not in shown
    assert "page=2" in shown


def test_what_a_feeds_file_names_is_hidden_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    configure_logging(settings(log_format="text"), "ingest")
    path = tmp_path / "feeds.toml"
    path.write_text(
        '[[feed]]\nsource = "a"\nurl = "https://me:hunter22@e.com/f?page_token=p4ge%2Fsecret"\n'
        'headers = { X-Wire = "h3ader-value", Accept = "application/json", User-Agent = "newstide" }\n'
        '[[source]]\ntype = "stocktwits"\nsource = "b"\nsymbols = ["ACME"]\ntoken = "st0ck-token"\n'
    )
    load_feeds_file(path)
    logging.getLogger("anything").warning("hunter22 p4ge/secret h3ader-value st0ck-token newstide ACME")
    assert capsys.readouterr().err.rstrip().endswith("anything: *** *** *** *** newstide ACME")


@pytest.mark.parametrize(("level", "seen"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_the_level_holds_everywhere(capsys: pytest.CaptureFixture[str], level: str, seen: int) -> None:
    configure_logging(settings(log_level=level), "up")
    log = logging.getLogger("newstide.stack")
    log.debug("a")
    log.info("b")
    log.warning("c")
    logging.getLogger("kafka.conn").info("chatter")
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == seen + (level == "debug")


def test_a_command_that_fails_says_why_in_the_form_of_the_log() -> None:
    def fail(**environment: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", "newstide", "alerts", "run"],
            env={
                **os.environ,
                "NEWSTIDE_DATABASE__URL": "mysql://u:pass-word@h/n",
                "NEWSTIDE_METRICS__ALERTING_PORT": "0",
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 1
        return ended.stderr

    assert fail().startswith("newstide: setting `database.url` names 'mysql'")
    (line,) = fail(NEWSTIDE_LOG_FORMAT="json").splitlines()
    assert json.loads(line)["component"] == "alerts"
