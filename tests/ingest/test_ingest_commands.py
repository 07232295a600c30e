from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from core.settings import Settings
from tests.ingest.ingest_helpers import Topics
from tests.ports import free_port

Write = Callable[[str, str | bytes], Path]


def environment(settings: Settings, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEWSTIDE_")}
    return kept | {
        "NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers or "",
        "NEWSTIDE_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "NEWSTIDE_METRICS__INGEST_PORT": "0",
        **more,
    }


def newstide(folder: Path, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "newstide", *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def wait_for_checkpoint(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the replay that runs in `folder` has noted that a row is acknowledged, or ends."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        stored = [json.loads(file.read_text())["row"] for file in folder.glob(".newstide/replay/*.json")]
        if stored and stored[0] > 0:
            return
        time.sleep(0.02)


def test_replay_prints_one_summary_line(settings: Settings, topics: Topics, write: Write, tmp_path: Path) -> None:
    path = write("x.jsonl", '{"t": "first"}\n{oops\n{"t": "second"}\n')
    done = newstide(tmp_path, environment(settings), "ingest", "replay", str(path), "--map", "text=t", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["read"], summary["produced"], summary["dead_letters"]) == (3, 2, 1)
    assert sum(summary["end_offsets"].values()) == 2
    assert {message.text for message in topics.messages(2)} == {"first", "second"}


def test_a_killed_replay_resumes_without_a_gap(
    settings: Settings, topics: Topics, write: Write, tmp_path: Path
) -> None:
    count = 15_000
    lines = "".join(json.dumps({"id": i, "text": f"message {i} about shares"}) + "\n" for i in range(count))
    path = write("x.jsonl", lines)
    arguments = ["ingest", "replay", str(path), "--map", "id=id,text=text", "--json"]
    env = environment(settings)
    with subprocess.Popen(
        [sys.executable, "-m", "newstide", *arguments], cwd=tmp_path, env=env, stdout=subprocess.DEVNULL
    ) as process:
        wait_for_checkpoint(tmp_path, process)
        process.kill()
    resumed = newstide(tmp_path, env, *arguments, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    summary = json.loads(resumed.stdout.splitlines()[-1])
    assert summary["resumed_after"] > 0
    assert summary["resumed_after"] + summary["produced"] == count
    assert {int(message.id) for message in topics.messages(count)} == set(range(count))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_replay_that_was_stopped_early_does_not_exit_as_if_done(
    settings: Settings, topics: Topics, write: Write, tmp_path: Path, number: signal.Signals
) -> None:
    """`newstide ingest replay big.csv && rm big.csv` must not remove what was not read."""
    first = {"text": "The mill", "published_at": "2023-05-09T00:00:00Z"}
    later = {"text": "The mill burns", "published_at": "2024-05-09T00:00:00Z"}
    path = write("x.jsonl", f"{json.dumps(first)}\n{json.dumps(later)}\n")
    arguments = ["ingest", "replay", str(path), "--json"]
    command = [sys.executable, "-m", "newstide", *arguments, "--speed", "1"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(settings), stdout=subprocess.PIPE) as process:
        wait_for_checkpoint(tmp_path, process)
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(said.splitlines()[-1])["finished"] is False
    resumed = newstide(tmp_path, environment(settings), *arguments, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert {message.text for message in topics.messages(2)} == {"The mill", "The mill burns"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["replay", "none.jsonl"], "does not exist"),
        (["replay", "x.jsonl", "--map", "text=tt"], "did you mean `t`"),
        (["replay", "x.jsonl", "--map", "txt=t"], "did you mean `text`"),
        (["replay", "x.jsonl", "--map", "text=t", "--speed", "fast"], "--speed is 'fast'"),
        (["bridge", "--topic", "none", "--map", "text=t", "--source", "a"], "does not exist"),
        (["run"], "feeds.toml can't be read: there is no such file"),
        (["serve"], "NEWSTIDE_INGEST__PUSH_TOKEN"),
    ],
)
def test_mistakes_are_explained_in_a_line(
    settings: Settings, write: Write, tmp_path: Path, arguments: list[str], said: str
) -> None:
    write("x.jsonl", '{"t": "first"}\n')
    done = newstide(tmp_path, environment(settings), "ingest", *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_brokers_the_way_out_is_named(settings: Settings, write: Write, tmp_path: Path) -> None:
    env = environment(settings)
    del env["NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS"]
    done = newstide(tmp_path, env, "ingest", "replay", str(write("x.jsonl", '{"text": "x"}\n')))
    assert done.returncode == 1
    assert "newstide up" in done.stderr


def test_run_serves_pushes_and_stops_gracefully(settings: Settings, topics: Topics, tmp_path: Path) -> None:
    port = free_port()
    env = environment(settings, NEWSTIDE_INGEST__PUSH_TOKEN="token", NEWSTIDE_INGEST__PUSH_PORT=str(port))
    with subprocess.Popen(
        [sys.executable, "-m", "newstide", "ingest", "run"], cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 60
            while True:
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                assert time.monotonic() < deadline
                try:
                    httpx.get(f"{address}/healthz")
                    break
                except httpx.TransportError:
                    time.sleep(0.05)
            headers = {"Authorization": "Bearer token"}
            pushed = httpx.post(f"{address}/v1/messages", json={"source": "a", "text": "x"}, headers=headers)
            assert pushed.status_code == 202
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            if process.poll() is None:
                process.kill()
    assert [message.text for message in topics.messages(1)] == ["x"]
