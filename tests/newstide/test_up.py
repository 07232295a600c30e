"""The front door as a user meets it: whole stacks in processes of their own, on embedded parts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from newstide.scenario import generate_feed
from tests.newstide.stacks import answer, environment, newstide, processes_in

COUNT = 1500


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with columns of its own names, two bad lines, and one message twice."""
    file = tmp_path_factory.mktemp("feed") / "feed.jsonl"
    rows = [row for row, _ in zip(generate_feed(), range(COUNT), strict=False)]
    lines = [
        json.dumps({"key": row["id"], "body": row["text"], "when": row["published_at"], "where": row["source"]})
        for row in rows
    ]
    lines[700:700] = ["{not json", json.dumps({"key": "empty", "body": "", "when": rows[0]["published_at"]})]
    lines.append(lines[5])
    file.write_text("\n".join(lines) + "\n")
    return file


MAP = "id=key,text=body,published_at=when,source=where?"


def counts(rows: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[int, ...]]:
    return {(row["series"], row["at"]): (row["negative"], row["neutral"], row["positive"]) for row in rows}


def test_one_worker_a_replay_again_and_three_workers_end_with_the_same(tmp_path: Path, feed: Path) -> None:
    found = []
    for workers in ("1", "3"):
        directory = tmp_path / workers
        directory.mkdir()
        summary = answer(
            directory, "up", "--replay", str(feed), "--map", MAP, "--workers", workers, "--until-drained", "--json"
        )
        assert summary["messages"] == COUNT
        assert summary["dead_letters"] == 2
        assert set(summary) >= {"messages", "stories", "dead_letters", "alerts", "seconds", "messages_per_second"}
        assert (summary["duplicates"], summary["changed_duplicates"], summary["marks"]) == (1, 0, {})
        assert answer(directory, "audit", "--json")["differences"] == []
        letters = answer(directory, "dead-letters", "list", "--json")
        assert sorted(letter["value"] for letter in letters)[1] == "{not json"
        found.append((counts(answer(directory, "trends", "--json")), answer(directory, "alerts", "list", "--json")))
        assert processes_in(directory) == []
        if workers == "1":  # replaying the same again adds nothing
            again = answer(directory, "up", "--replay", str(feed), "--map", MAP, "--until-drained", "--json")
            assert (again["messages"], again["stories"]) == (summary["messages"], summary["stories"])
            assert answer(directory, "audit", "--json")["differences"] == []
    (one, one_alerts), (three, three_alerts) = found
    assert one == three
    assert [(a["series"], a["opened_at"][:10]) for a in one_alerts] == [
        (a["series"], a["opened_at"][:10]) for a in three_alerts
    ]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(tmp_path: Path, how: signal.Signals) -> None:
    with (tmp_path / "up.log").open("wb") as log:
        stack = subprocess.Popen(
            [sys.executable, "-m", "newstide", "up"], env=environment(tmp_path), cwd=tmp_path, stdout=log, stderr=log
        )
    deadline = time.monotonic() + 60
    while not any("worker" in command for command in processes_in(tmp_path)):
        assert time.monotonic() < deadline, (tmp_path / "up.log").read_text()
        time.sleep(0.2)
    second = newstide(tmp_path, "up")
    assert second.returncode == 1
    assert "runs already" in second.stderr
    stack.send_signal(how)
    stack.wait(60)
    deadline = time.monotonic() + 20
    while processes_in(tmp_path):
        assert time.monotonic() < deadline, processes_in(tmp_path)
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("arguments", "settings", "fault"),
    [
        (("up", "--until-drained"), {}, "--until-drained needs --replay"),
        (("up", "--replay", "nowhere.jsonl"), {}, "nowhere.jsonl does not exist"),
        (("trends", "--series", "company=X"), {}, "no such series"),
        (("trends",), {"NEWSTIDE_STREAM__WORKER": "2"}, "did you mean NEWSTIDE_STREAM__WORKERS"),
        (("trends",), {"NEWSTIDE_DATABASE__URL": "mysql://x/y"}, "postgresql://"),
        (
            ("migrate",),
            {
                "NEWSTIDE_DATABASE__URL": "postgresql://u:secret@127.0.0.1:1/x",
                "NEWSTIDE_DATABASE__START_TIMEOUT_S": "1",
            },
            "postgresql://u:***@127.0.0.1:1/x did not answer within 1 s (connection failed",
        ),
        (
            ("worker",),
            {"NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1", "NEWSTIDE_KAFKA__START_TIMEOUT_S": "1"},
            "127.0.0.1:1",
        ),
        (("worker",), {}, "no Kafka brokers are set"),
        (("dead-letters", "replay"), {}, "name the letters"),
    ],
)
def test_what_cannot_work_says_why(
    tmp_path: Path, arguments: tuple[str, ...], settings: dict[str, str], fault: str
) -> None:
    ended = newstide(tmp_path, *arguments, **settings)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert fault in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
    assert "secret" not in ended.stderr
