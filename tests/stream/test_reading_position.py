"""Where reading goes on is the ledger's to say: databases restored from a backup, lost groups, other logs."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from core.kafka import client_options, ensure_topics
from core.settings import Settings
from core.store.connection import connect
from tests.stream.harness import (
    Input,
    Workers,
    as_input,
    ask,
    assert_exact,
    hang_up,
    make_settings,
    one_broker,
    produce,
    scenario_messages,
    wait_until,
)
from tests.stream.recovery import accounted, archived, assert_accounted, behind, stored

ANOTHER_GROUP = """
from core.settings import load_settings
from stream import faust_app
from stream.worker import run_worker

class AnotherGroup(faust_app.LedgerApp):
    def __init__(self, name, **options):
        super().__init__("a-group-that-has-read-nothing", **options)

faust_app.LedgerApp = AnotherGroup
run_worker(load_settings(), 0)
"""

KILLED_BEFORE_PUBLISHING = """
import os
import signal
from core.settings import load_settings
from stream.sending import Sender
from stream.worker import run_worker

publish, calls = Sender.publish, 0

async def publish_or_die(sender, classified):
    global calls
    calls += 1
    if calls == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    await publish(sender, classified)

Sender.publish = publish_or_die
run_worker(load_settings(), 0)
"""

POISON: list[Input] = [(b"bad-1", b"no json"), (b"bad-2", b"{}"), (b"bad-3", b"[]")]


def records(first: int, last: int) -> list[Input]:
    return as_input(scenario_messages(last)[first:])


def copy_database(settings: Settings, directory: Path, name: str) -> Settings:
    """What a backup taken now would bring back."""
    url = settings.database.url or ""
    hang_up()
    with psycopg.connect(url.rsplit("/", 1)[0] + "/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {url.rsplit('/', 1)[1]}")  # type: ignore[arg-type]
    return make_settings(settings.kafka.bootstrap_servers or "", url.rsplit("/", 1)[0] + f"/{name}", directory)


def recreate(settings: Settings) -> None:
    """Delete `messages` and make it anew, as an operator would."""
    topic = settings.topic("messages")
    admin = KafkaAdminClient(**client_options(settings))
    admin.delete_topics([topic])
    wait_until(lambda: topic not in admin.list_topics(), "the topic is gone")
    time.sleep(1)
    ensure_topics(settings)
    admin.close()


def read_all(settings: Settings, topic: str) -> list[bytes]:
    """Values of all records of `topic`."""
    consumer = KafkaConsumer(**client_options(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    places = [TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic) or ()]
    consumer.assign(places)
    seen: list[bytes] = []
    while found := consumer.poll(2_000):
        seen += [record.value for records in found.values() for record in records]
    consumer.close()
    return seen


def count_records(settings: Settings, topic: str) -> int:
    return len(read_all(settings, topic))


def published(settings: Settings) -> Counter[tuple[str, str]]:
    """How often each message stands in `classified`, by source and id."""
    found: Counter[tuple[str, str]] = Counter()
    for value in read_all(settings, settings.topic("classified")):
        record = json.loads(value)
        found[record["source"], record["id"]] += 1
    return found


def supervised(workers: Workers, *indexes: int) -> Callable[[Callable[[], bool]], Callable[[], bool]]:
    """Wrap a condition so that each look at it also restarts workers that ended, as a supervisor does."""

    def wrap(condition: Callable[[], bool]) -> Callable[[], bool]:
        def look() -> bool:
            for index in indexes:
                if not workers.running(index):
                    workers.wait_for_exit(index)
                    workers.start(index)
            return condition()

        return look

    return wrap


@one_broker
def test_a_restored_database_reads_again_what_it_lacks(settings: Settings, workers: Workers, tmp_path: Path) -> None:
    """The group's offsets are far ahead of the backup; without the ledger all between would be lost."""
    first, second = records(0, 150), records(150, 300)
    produce(settings, first)
    workers.start(0)
    wait_until(lambda: accounted(settings) == len(first), "the first half committed")
    assert workers.end(0, signal.SIGTERM) == 0
    restored = copy_database(settings, tmp_path, f"{(settings.database.url or '').rsplit('/', 1)[1]}_restored")
    produce(settings, [*second, *POISON])
    workers.start(0)
    total = len(first) + len(second) + len(POISON)
    wait_until(lambda: accounted(settings) == total and archived(settings) == len(POISON), "all committed")
    assert workers.end(0, signal.SIGTERM) == 0

    after = Workers(restored, tmp_path)
    try:
        after.start(7)
        wait_until(lambda: accounted(restored) == total, "the restored database has all")
        wait_until(lambda: archived(restored) == len(POISON), "and its dead letters")
    finally:
        after.close()
    assert_exact(restored, [*first, *second])
    assert_accounted(restored)


def test_lost_group_offsets_read_nothing_twice(settings: Settings, workers: Workers) -> None:
    sent = records(0, 200)
    produce(settings, sent)
    workers.start(0)
    wait_until(lambda: accounted(settings) == len(sent), "all committed")
    wait_until(lambda: count_records(settings, settings.topic("classified")) == len(sent), "all published")
    assert workers.end(0, signal.SIGTERM) == 0
    workers.start(0, ANOTHER_GROUP)
    more = records(200, 210)
    produce(settings, more)
    wait_until(lambda: accounted(settings) == len(sent) + len(more), "the rest committed")
    published = len(sent) + len(more)
    wait_until(lambda: count_records(settings, settings.topic("classified")) >= published, "the rest published")
    assert count_records(settings, settings.topic("classified")) == published
    assert_exact(settings, [*sent, *more])
    assert_accounted(settings)


@one_broker
@pytest.mark.parametrize("call", [1, 3])
def test_a_worker_killed_between_commit_and_publishing_publishes_after_all(
    settings: Settings, workers: Workers, call: int
) -> None:
    """Also at its very first batch, before its group has committed an offset."""
    sent = [*records(0, 200), *POISON]
    produce(settings, sent)
    workers.start(0, KILLED_BEFORE_PUBLISHING.format(call=call))
    assert workers.wait_for_exit(0) == -signal.SIGKILL
    killed_at = stored(settings)
    assert killed_at > sum(published(settings).values()), "something was committed that was not published"
    workers.start(0)
    wait_until(lambda: accounted(settings) == len(sent), "all committed")
    wait_until(lambda: archived(settings) == len(POISON), "the dead letters archived, each once")
    wait_until(lambda: len(published(settings)) == 200, "all published")
    assert set(published(settings)) == set(ask(settings, "SELECT source, id FROM message"))
    assert_accounted(settings)
    assert_exact(settings, sent)
    assert ask(settings, "SELECT sum(duplicates)::integer FROM offset_ledger WHERE topic LIKE '%messages'") == [(0,)]


def test_a_topic_re_created_while_nobody_reads(settings: Settings, workers: Workers) -> None:
    """Fewer records than before, so that the old offsets would hide all of them."""
    first, second = records(0, 200), records(200, 260)
    produce(settings, first)
    workers.start(0)
    wait_until(lambda: accounted(settings) == len(first), "the first log committed")
    assert workers.end(0, signal.SIGTERM) == 0
    recreate(settings)
    produce(settings, [*first[:20], *second])
    workers.start(0)
    workers.start(1)
    wait_until(lambda: accounted(settings) == len(first) + 20 + len(second), "the second log committed")
    assert_exact(settings, [*first, *second])
    assert_accounted(settings)
    rows = ask(settings, "SELECT epoch FROM offset_ledger WHERE topic LIKE '%messages'")
    assert rows == [(2,)] * 4, "two workers began one epoch each"
    assert ask(settings, "SELECT sum(duplicates) FROM offset_ledger")[0][0] == 20


def test_a_topic_re_created_under_running_workers(settings: Settings, workers: Workers) -> None:
    first, second = records(0, 200), records(200, 300)
    produce(settings, first)
    workers.start(0)
    workers.start(1)
    wait_until(lambda: accounted(settings) == len(first), "the first log committed")
    recreate(settings)
    produce(settings, second)
    keep = supervised(workers, 0, 1)
    wait_until(keep(lambda: stored(settings) == len(first) + len(second)), "the second log committed")
    wait_until(keep(lambda: behind(settings) == 0), "nothing is behind")
    assert_exact(settings, [*first, *second])
    assert_accounted(settings)


@one_broker
@pytest.mark.parametrize("quiet", [True, False], ids=["quiet", "busy"])
def test_a_database_put_back_under_a_running_worker(
    settings: Settings, workers: Workers, monkeypatch: pytest.MonkeyPatch, quiet: bool
) -> None:
    """With new records the hole is seen at once; without any the watchdog sees it, once, and not for ever."""
    monkeypatch.setenv("NEWSTIDE_STREAM__WATCHDOG_S", "6")
    first, second = records(0, 120), records(120, 130)
    produce(settings, first)
    workers.start(0)
    wait_until(lambda: accounted(settings) == len(first), "the first committed")
    with connect(settings, autocommit=True) as connection:
        tables = "message, message_key, story, story_text, story_band, story_series, trend, trend_change"
        connection.execute(
            f"BEGIN; TRUNCATE {tables}; UPDATE offset_ledger SET next_offset = first_offset, messages = 0, "
            "duplicates = 0, dead_letters = 0, gaps = 0, max_event_time = NULL; COMMIT"  # type: ignore[arg-type]
        )
    if not quiet:
        produce(settings, second)
    sent = first if quiet else [*first, *second]
    exits: list[int] = []

    def all_back() -> bool:
        if not workers.running(0):
            exits.append(workers.wait_for_exit(0))
            workers.start(0)
        return accounted(settings) == len(sent)

    wait_until(all_back, "all read again")
    assert exits == [75 if quiet else 70]
    assert_exact(settings, sent)
    assert_accounted(settings)
