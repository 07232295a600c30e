"""Whatever dies under `newstide up` comes back, and nothing is lost or counted twice."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from newstide.embedded.broker import EmbeddedBroker
from newstide.embedded.postgres import EmbeddedPostgres
from newstide.scenario import generate_feed
from tests.newstide.stacks import PATIENCE_S, RunningStack, answer, processes_in
from tests.ports import free_port
from tests.stream.harness import (
    as_input,
    ask,
    assert_exact,
    committed,
    make_settings,
    needs_kafka,
    produce,
    real_kafka,
    scenario_messages,
)

COUNT = 2500
COUNT_WITH_A_SURGE = 5200
BAD_LINES = ["{not json", '{"id": "nothing to read", "source": "wire", "text": ""}']


def write_feed(file: Path, count: int = COUNT) -> Path:
    """The scenario's first messages, and two lines that no message can be made of."""
    lines = [json.dumps(row) for row in itertools.islice(generate_feed(), count)]
    lines[count // 2 : count // 2] = BAD_LINES
    file.write_text("\n".join(lines) + "\n")
    return file


def assert_store_is_exact(directory: Path, count: int = COUNT) -> None:
    """Trends equal a recount of the input, the audit finds nothing, and both bad lines are archived once."""
    assert answer(directory, "audit", "--json")["differences"] == []
    letters = answer(directory, "dead-letters", "list", "--json")
    assert len(letters) == len(BAD_LINES)
    with EmbeddedPostgres(directory / "newstide") as server:
        settings = make_settings("unused:1", server.url, directory / "newstide")
        assert_exact(settings, as_input(scenario_messages(count)))


@contextmanager
def serve_files(directory: Path) -> Iterator[str]:
    """The address of a web server for the files of `directory`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(directory)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_everything_is_killed_again_and_again(tmp_path: Path) -> None:
    count = COUNT_WITH_A_SURGE
    feed = write_feed(tmp_path / "feed.jsonl", count)
    command = ("--replay", str(feed), "--workers", "2", "--until-drained")
    quiet, troubled = tmp_path / "quiet", tmp_path / "troubled"
    quiet.mkdir()
    troubled.mkdir()
    assert answer(quiet, "up", *command, "--json")["messages"] == count
    choose = random.Random(5)
    # The replay ends before the others; a fast machine may be done before the last kills.
    first = choose.sample(["database", "broker", "worker"], 3)
    then = choose.sample([("alerts", signal.SIGKILL), ("broker", signal.SIGKILL), ("worker", signal.SIGTERM)], 3)
    kills = [*((role, signal.SIGKILL) for role in ("replay", *first)), *then]
    with RunningStack(troubled, *command) as stack:
        stack.wait_for(lambda: bool(stack.pids("replay")), "the replay begins")
        killed = []
        for role, how in kills:
            time.sleep(choose.uniform(0.5, 2))
            while stack.process.poll() is None and not stack.kill(role, how):
                time.sleep(0.1)
            killed += [role] if stack.process.poll() is None else []
        assert {"replay", "database", "broker", "worker"} <= set(killed)
        assert stack.process.wait(600) == 0, stack.said()
        assert "Traceback" not in stack.said()
        assert stack.lines("the embedded database ended")
        assert stack.lines("the embedded database is back after")
        assert stack.lines("the embedded broker is back after")
        assert f"{count} messages in" in stack.said().splitlines()[-1]
        assert "2 dead letters" in stack.said().splitlines()[-1]
    assert processes_in(troubled) == []
    assert_store_is_exact(troubled, count)
    alerts = [answer(directory, "alerts", "list", "--json") for directory in (quiet, troubled)]
    assert alerts[0]
    assert alerts[1] == alerts[0]


@pytest.mark.slow
def test_the_next_stack_goes_on_where_a_killed_one_left_everything_lying_about(tmp_path: Path) -> None:
    feed = write_feed(tmp_path / "feed.jsonl", 600)
    command = ("--replay", str(feed), "--until-drained", "--json")
    with RunningStack(tmp_path, *command) as stack:
        stack.wait_for(lambda: bool(stack.pids("replay")), "the replay begins")
        stack.process.kill()
        stack.process.wait()
    summary = answer(tmp_path, "up", *command)
    assert summary["messages"] == 600
    assert_store_is_exact(tmp_path, 600)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_replay_that_somebody_asks_to_stop_goes_on(tmp_path: Path, how: signal.Signals) -> None:
    """It ends in order, and not as if it were done."""
    count = 100
    rows = [
        {"id": n, "text": f"Mill {n} burns", "published_at": f"2024-05-09T00:{n // 60:02}:{n % 60:02}Z"}
        for n in range(count)
    ]
    feed = tmp_path / "feed.jsonl"
    feed.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with RunningStack(tmp_path, "--replay", str(feed), "--speed", "10", "--until-drained") as stack:
        checkpoints = tmp_path / "newstide" / "replay"
        stack.wait_for(
            lambda: any(json.loads(file.read_text())["row"] for file in checkpoints.glob("*.json")),
            "a first checkpoint",
        )
        assert stack.kill("replay", how)
        assert stack.process.wait(PATIENCE_S) == 0, stack.said()
        assert stack.lines("replay ended (exit status 130); starting it again")
        assert f"{count} messages in" in stack.said().splitlines()[-1]
    assert answer(tmp_path, "audit", "--json")["differences"] == []


@pytest.mark.slow
def test_what_a_push_was_promised_outlives_the_broker(tmp_path: Path) -> None:
    port = free_port()
    settings = {"NEWSTIDE_INGEST__PUSH_TOKEN": "let me in", "NEWSTIDE_INGEST__PUSH_PORT": str(port)}
    with RunningStack(tmp_path, **settings) as stack:

        def push(number: int) -> bool:
            message = {"id": str(number), "source": "desk", "text": f"Acme opens plant number {number}"}
            try:
                answered = httpx.post(
                    f"http://127.0.0.1:{port}/v1/messages",
                    json=message,
                    headers={"Authorization": "Bearer let me in"},
                    timeout=40,
                )
            except httpx.HTTPError:
                return False
            return answered.status_code == 202

        for number in range(3):
            stack.wait_for(partial(push, number), "a push is accepted")
            assert stack.kill("broker")
        stack.wait_for(partial(push, 3), "a push is accepted after the last kill")
        assert len(stack.lines("the embedded broker is back after")) == 3
        assert stack.end() == 0, stack.said()
    with EmbeddedPostgres(tmp_path / "newstide") as server:
        stored = ask(make_settings("unused:1", server.url, tmp_path), "SELECT id FROM message")
    assert {row[0] for row in stored} == {"0", "1", "2", "3"}


@pytest.mark.slow
def test_what_feeds_said_outlives_the_broker(tmp_path: Path) -> None:
    items = "".join(f"<item><guid>urn:{n}</guid><title>Plant number {n} opens</title></item>" for n in range(20))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "feed.xml").write_text(f'<rss version="2.0"><channel>{items}</channel></rss>')
    with serve_files(tmp_path / "site") as address:
        feeds = tmp_path / "feeds.toml"
        feeds.write_text(f'[[feed]]\nurl = "{address}/feed.xml"\nsource = "desk"\nkind = "news"\ninterval_s = 3600\n')
        with RunningStack(tmp_path, "--feeds", str(feeds)) as stack:
            stack.wait_for(lambda: bool(stack.pids("worker")), "a worker is there")
            assert stack.kill("worker", signal.SIGSTOP)  # nothing can be committed
            log = tmp_path / "newstide" / "logs" / "ingest.log"
            stack.wait_for(lambda: log.exists() and "is up" in log.read_text(), "the feed is read")
            assert "messages 0 " in stack.lines("messages")[-1]
            assert stack.kill("broker")
            stack.wait_for(lambda: "messages 20 " in stack.lines("messages")[-1], "all is committed")
            assert stack.end() == 0, stack.said()


@pytest.mark.slow
def test_a_process_that_cannot_start_ends_the_stack_with_its_log(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = {
            "NEWSTIDE_INGEST__PUSH_TOKEN": "let me in",
            "NEWSTIDE_INGEST__PUSH_PORT": str(taken.getsockname()[1]),
        }
        with RunningStack(tmp_path, **settings) as stack:
            assert stack.process.wait(PATIENCE_S) == 1
            assert "ingest ended 5 times in a row by itself" in stack.said()
            assert "can't listen on" in stack.said()
            assert "Traceback" not in stack.said()
    assert processes_in(tmp_path) == []


@pytest.mark.slow
def test_workers_alone_keep_the_database_they_brought(tmp_path: Path) -> None:
    records = as_input(scenario_messages(600))
    with EmbeddedBroker(tmp_path / "broker") as broker:
        brokers = {"NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers, "NEWSTIDE_KAFKA__PARTITIONS": "4"}
        with RunningStack(tmp_path, command=("worker", "--workers", "2"), **brokers) as workers:
            workers.wait_for(lambda: len(workers.pids("worker")) >= 3, "two workers and who watches them")
            server = EmbeddedPostgres(tmp_path / "newstide")
            server.start()
            assert not server.owned
            settings = make_settings(broker.bootstrap_servers, server.url, tmp_path / "newstide")
            produce(settings, records[:300])
            workers.wait_for(lambda: committed(settings) > 0, "something is committed")
            for _ in range(2):
                assert workers.kill("database")
                time.sleep(1)
            produce(settings, records[300:])
            workers.wait_for(lambda: committed(settings) == len(records), "all is committed")
            assert workers.lines("the embedded database is back after")
            assert_exact(settings, records)
            assert workers.end(signal.SIGTERM) == 0, workers.said()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_configured_database_that_restarts_is_waited_for(tmp_path: Path) -> None:
    feed = write_feed(tmp_path / "feed.jsonl", 1500)
    with EmbeddedPostgres(tmp_path / "theirs") as theirs:
        command = ("--replay", str(feed), "--until-drained")
        with RunningStack(tmp_path, *command, NEWSTIDE_DATABASE__URL=theirs.url) as stack:
            settings = make_settings("unused:1", theirs.url, tmp_path / "newstide")
            stack.wait_for(lambda: committed(settings) > 0, "something is committed")
            assert theirs.pid is not None
            os.kill(theirs.pid, signal.SIGKILL)
            stack.wait_for(lambda: bool(stack.lines("the database is away (")), "the database is missed")
            theirs.start()
            stack.wait_for(lambda: bool(stack.lines("the database answers again")), "the database is found")
            assert stack.process.wait(300) == 0, stack.said()
            assert "Traceback" not in stack.said()
        assert_exact(settings, as_input(scenario_messages(1500)))


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.timeout(600)
@needs_kafka
def test_a_real_broker_that_restarts_is_waited_for(tmp_path: Path) -> None:
    feed = write_feed(tmp_path / "feed.jsonl")
    script = Path(os.environ["KAFKA_HOME"]) / "kafka"
    with real_kafka(tmp_path) as bootstrap_servers:
        command = ("--replay", str(feed), "--workers", "2", "--until-drained")
        with RunningStack(tmp_path, *command, NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS=bootstrap_servers) as stack:
            stack.wait_for(
                lambda: any("messages 0 " not in line for line in stack.lines("messages")), "something is committed"
            )
            for _ in range(2):
                subprocess.run([sys.executable, str(script), "kill", str(tmp_path / "kafka"), "0"], check=True)
                time.sleep(5)
                subprocess.run([sys.executable, str(script), "run", str(tmp_path / "kafka"), "0"], check=True)
                stack.kill("worker")
                stack.kill("database")
                time.sleep(10)
            assert stack.process.wait(400) == 0, stack.said()
            assert "Traceback" not in stack.said()
    assert_store_is_exact(tmp_path)
