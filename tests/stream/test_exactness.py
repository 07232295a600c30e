"""Nothing lost, nothing twice: whatever is killed while messages flow, the store equals a recount of the input."""

from __future__ import annotations

import random
import signal
import threading
import time
from pathlib import Path

import pytest

from core.settings import Settings
from newstide.embedded.postgres import EmbeddedPostgres
from tests.stream.harness import (
    Input,
    Workers,
    as_input,
    ask,
    assert_exact,
    committed,
    foreign_messages,
    make_settings,
    one_broker,
    produce,
    produce_just_ahead,
    scenario_messages,
    wait_until,
)

COUNT = 1500

FAULTY_CLASSIFIER = """
from core.settings import load_settings
from stream.worker import run_worker

class Faulty:
    def __init__(self, real):
        self.real, self.calls = real, 0
        self.name, self.languages = real.name, real.languages
        self.labels, self.self_test = real.labels, real.self_test
        self.entity_labels = real.entity_labels

    def predict(self, texts):
        self.fail(texts)
        return self.real.predict(texts)

    def read(self, texts, mentions=()):
        self.fail(texts)
        return self.real.read(texts, mentions)

    def fail(self, texts):
        self.calls += 1
        if self.calls == 3 or any("faulty fabric" in text.lower() for text in texts):
            raise RuntimeError("thrown on purpose")

run_worker(load_settings(), 0, wrap=Faulty)
"""

LOST_THREAD = """
import time

from core.settings import load_settings
from stream.model_watch import ModelWatch
from stream.worker import run_worker

ModelWatch._run = lambda self: time.sleep(5)

run_worker(load_settings(), 0)
"""

BROKEN_MODEL = """
from core.errors import BundleError
from core.settings import load_settings
from stream.worker import run_worker

class Broken:
    def __init__(self, real):
        self.real, self.calls = real, 0
        self.name, self.languages, self.labels = real.name, real.languages, real.labels
        self.entity_labels = real.entity_labels

    def self_test(self):
        raise BundleError("the model answers nonsense")

    def predict(self, texts):
        self.fail()
        return self.real.predict(texts)

    def read(self, texts, mentions=()):
        self.fail()
        return self.real.read(texts, mentions)

    def fail(self):
        self.calls += 1
        if self.calls > 2:
            raise RuntimeError("thrown on purpose")

run_worker(load_settings(), 0, wrap=Broken)
"""


@pytest.fixture(scope="module")
def records() -> list[Input]:
    """The feed, with messages that no model reads in between, and one in ten delivered a second time a little later, as
    producers do after a crash."""
    chosen = random.Random(7)
    messages = scenario_messages(COUNT)
    for message in foreign_messages(COUNT // 20):
        messages.insert(chosen.randrange(len(messages)), message)
    sent = as_input(messages)
    again = [(position + chosen.randrange(1, 300), record) for position, record in enumerate(sent)]
    twice = chosen.sample(again, len(sent) // 10)
    ordered = [*enumerate(sent), *twice]
    return [record for _, record in sorted(ordered, key=lambda pair: pair[0])]


def all_committed(settings: Settings, records: list[Input]) -> None:
    wait_until(lambda: committed(settings) == len(records), f"{len(records)} records committed")


def test_kill_9_at_random_moments(settings: Settings, workers: Workers, records: list[Input]) -> None:
    workers.start(0)
    workers.start(1)
    # Messages must still flow at the last kill: a worker that has caught up loses nothing by dying.
    feed = threading.Thread(target=produce_just_ahead, args=(settings, records))
    feed.start()
    moments = random.Random(11)
    wait_until(lambda: committed(settings) > 0, "something committed")
    for number in range(4):
        before = committed(settings)
        wait_until(lambda before=before: committed(settings) > before, "progress before the next kill")  # type: ignore[misc]
        time.sleep(moments.uniform(0.0, 0.7))
        victim = number % 2
        assert workers.end(victim, signal.SIGKILL) == -signal.SIGKILL
        assert feed.is_alive(), "the kill came too late to interrupt anything"
        workers.start(victim)
    feed.join()
    all_committed(settings, records)
    assert_exact(settings, records)


@one_broker
def test_sigterm_in_the_middle_of_a_batch(settings: Settings, workers: Workers, records: list[Input]) -> None:
    produce(settings, records)
    workers.start(0)
    for _ in range(2):
        before = committed(settings)
        wait_until(lambda before=before: committed(settings) > before, "progress before the stop")  # type: ignore[misc]
        assert workers.end(0, signal.SIGTERM) == 0, workers.log(0)[-2000:]
        assert committed(settings) < len(records), "the stop came too late to be in the middle of anything"
        workers.start(0)
    all_committed(settings, records)
    assert_exact(settings, records)


@one_broker
def test_postgres_away_for_20_seconds(bootstrap_servers: str, tmp_path: Path, records: list[Input]) -> None:
    with EmbeddedPostgres(tmp_path / "own") as server:
        settings = make_settings(bootstrap_servers, server.url, tmp_path)
        running = Workers(settings, tmp_path)
        try:
            running.start(0)
            running.start(1)
            feed = threading.Thread(target=produce, args=(settings, records, 300))
            feed.start()
            wait_until(lambda: committed(settings) > 200, "200 records committed")
            server.stop()
            time.sleep(20)
            assert running.running(0)
            assert running.running(1)
            server.start()
            feed.join()
            all_committed(settings, records)
            assert_exact(settings, records)
            assert "messages are held" in running.log(0) + running.log(1)
        finally:
            running.close()


@one_broker
def test_poison_among_good_ones(settings: Settings, workers: Workers, records: list[Input]) -> None:
    poison: list[Input] = [
        (b"p1", b"not json"),
        (b"p2", b'\xff\xfe{"id":1}'),
        (b"p3", None),
        (b"p4", b"{}"),
        (b"p5", records[0][1].replace(b'"text":"', b'"text":"nul \\u0000 inside ') if records[0][1] else None),
        (b"p6", b'{"id":"p6","source":"  ","kind":"news","published_at":"2025-03-02T00:00:00Z",'
                b'"received_at":"2025-03-02T00:00:00Z","text":"x"}'),
        (b"p7", b'{"id":"p7","source":"x","kind":"news","published_at":"0000-00-00T00:00:00Z",'
                b'"received_at":"2025-03-02T00:00:00Z","text":"x"}'),
        (None, b'{"id":"p8"' * 50),
    ]  # fmt: skip
    mixed = list(records[:600])
    for position, record in enumerate(poison):
        mixed.insert(40 + position * 70, record)
    produce(settings, mixed)
    workers.start(0)
    all_committed(settings, mixed)
    assert_exact(settings, mixed)
    wait_until(
        lambda: ask(settings, "SELECT count(*) FROM dead_letter")[0][0] == len(poison), "all poison in the archive"
    )
    archived = ask(settings, "SELECT key, value, reason, stage, topic FROM dead_letter")
    assert sorted(value for _, value, *_ in archived) == sorted(value or b"" for _, value in poison)
    assert all(
        reason and stage == "stream" and topic == settings.topic("messages") for *_, reason, stage, topic in archived
    )
    assert {key for key, *_ in archived} == {key for key, _ in poison}


@one_broker
def test_an_exception_inside_the_classifier(settings: Settings, workers: Workers, records: list[Input]) -> None:
    """Thrown once for a whole batch it costs nothing; thrown for one text it sets that message aside."""
    good = records[:600]
    victim = scenario_messages(1)[0]
    victim.id, victim.text, victim.title = "victim", "Faulty fabric recalled by the maker", ""
    produce(settings, [*good[:300], *as_input([victim]), *good[300:]])
    workers.start(0, FAULTY_CLASSIFIER)
    wait_until(lambda: committed(settings) == len(good) + 1, "all committed")
    assert_exact(settings, good)
    wait_until(lambda: ask(settings, "SELECT count(*) FROM dead_letter")[0][0] == 1, "the victim in the archive")
    ((reason, value),) = ask(settings, "SELECT reason, value FROM dead_letter")
    assert "thrown on purpose" in reason
    assert value == as_input([victim])[0][1]


@one_broker
def test_a_worker_ends_with_a_thread_that_it_can_not_do_without(settings: Settings, workers: Workers) -> None:
    workers.start(0, LOST_THREAD)
    assert workers.wait_for_exit(0) == 70
    assert "thread models ended" in workers.log(0)


@one_broker
def test_a_model_that_breaks_sets_nothing_aside(settings: Settings, workers: Workers, records: list[Input]) -> None:
    """When the model itself fails, good messages must wait for a better worker."""
    good = records[:600]
    produce(settings, good)
    workers.start(0, BROKEN_MODEL)
    assert workers.wait_for_exit(0) == 70
    assert committed(settings) < len(good)
    workers.start(0)
    all_committed(settings, good)
    assert_exact(settings, good)
    assert ask(settings, "SELECT count(*) FROM dead_letter") == [(0,)]
