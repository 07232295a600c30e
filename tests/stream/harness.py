"""Runs real workers against a real broker and database, and counts the input again in the plainest way there is."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from kafka import KafkaProducer

from core.bundle import load_bundle
from core.classifier import Classifier, text_form
from core.dead_letters import DeadLetter
from core.errors import UndecodableMessage
from core.kafka import client_options, ensure_topics, wait_for_broker
from core.language import language_of
from core.records import Message, decode, encode
from core.settings import Settings, load_settings
from core.store.connection import connect
from core.text import headline_form, story_form
from newstide.embedded.broker import EmbeddedBroker
from newstide.embedded.process import read_tail
from newstide.scenario import generate_feed
from stream.batch import Record
from stream.commit import Committer
from stream.entities import load_watchlist
from stream.ledger import TopicLedger
from stream.pipeline import Pipeline
from stream.stories import StoryText, are_copies, story_text
from tests.ports import free_port
from tests.stream.forking import REPOSITORY, Forked, server

SENTIMENTS = ("negative", "neutral", "positive")
COUNTED = (*SENTIMENTS, "unread")

Input = tuple[bytes | None, bytes | None]  # key and value of a record


@contextmanager
def embedded_broker(directory: Path) -> Iterator[str]:
    with EmbeddedBroker(directory) as broker:
        yield broker.bootstrap_servers


@contextmanager
def real_kafka(directory: Path, **properties: str) -> Iterator[str]:
    """One broker of Apache Kafka from KAFKA_HOME. In its `properties`, `{port}` and `{next}` are its two ports."""
    script = Path(os.environ["KAFKA_HOME"]) / "kafka"
    cluster = directory / "kafka"
    port = free_port(2)
    more = [f"--set={key}={value.format(port=port, next=port + 1)}" for key, value in properties.items()]
    started = subprocess.run(
        [sys.executable, str(script), "start", str(cluster), "--port", str(port), *more],
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.returncode == 0, f"{started.stderr}\n{read_tail(cluster / 'broker-0.log')}"
    try:
        yield started.stdout.strip()
    finally:
        subprocess.run([sys.executable, str(script), "stop", str(cluster)], check=True, capture_output=True)


def kafka_is_here() -> bool:
    home = os.environ.get("KAFKA_HOME")
    return bool(home) and (Path(home or "") / "kafka").is_file() and shutil.which("java") is not None


needs_kafka = pytest.mark.skipif(not kafka_is_here(), reason="no real Apache Kafka here (KAFKA_HOME and java)")

_REALEST = pytest.param("kafka", marks=pytest.mark.kafka) if kafka_is_here() else "embedded"

one_broker = pytest.mark.parametrize("bootstrap_servers", [_REALEST], indirect=True)
"""For a test whose fault is not the broker's: a real Apache Kafka where there is one, else the embedded broker."""


class Workers:
    """Worker processes of one test."""

    def __init__(self, settings: Settings, logs: Path) -> None:
        self.settings = settings
        self.logs = logs
        self._running: dict[int, subprocess.Popen[bytes] | Forked] = {}

    def start(self, index: int, script: str | None = None) -> None:
        """Start worker `index`: the command itself, or a Python `script` that calls run_worker in its own way."""
        place = self.logs / f"worker-{index}.log"
        if script is None:
            self._running[index] = server().start(["worker", "--index", str(index)], self._environment(), place)
            return
        with place.open("ab") as log:
            self._running[index] = subprocess.Popen(
                [sys.executable, "-c", script], env=self._environment(), stdout=log, stderr=log, cwd=REPOSITORY
            )

    def end(self, index: int, how: signal.Signals, within_s: float = 90) -> int:
        process = self._running.pop(index)
        process.send_signal(how)
        return process.wait(within_s)

    def wait_for_exit(self, index: int, within_s: float = 180) -> int:
        return self._running.pop(index).wait(within_s)

    def running(self, index: int) -> bool:
        return self._running[index].poll() is None

    def log(self, index: int) -> str:
        return (self.logs / f"worker-{index}.log").read_text(errors="replace")

    def close(self) -> None:
        for index in list(self._running):
            self.end(index, signal.SIGKILL)

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS": self.settings.kafka.bootstrap_servers or "",
            "NEWSTIDE_DATABASE__URL": self.settings.database.url or "",
            "NEWSTIDE_KAFKA__TOPIC_PREFIX": self.settings.kafka.topic_prefix,
            "NEWSTIDE_KAFKA__PARTITIONS": str(self.settings.kafka.partitions),
            "NEWSTIDE_STREAM__BATCH_SIZE": str(self.settings.stream.batch_size),
            "NEWSTIDE_STREAM__BUNDLE": str(self.settings.stream.bundle or self.settings.bundle_directory),
            "NEWSTIDE_METRICS__WORKER_PORT": "0",
            "OMP_NUM_THREADS": "1",
        }


shared_brokers: set[str] = set()
"""Those that serve the tests of a whole module, which keep to topics of their own."""


def make_settings(bootstrap_servers: str, url: str, directory: Path, batch_size: int = 64) -> Settings:
    own = {"topic_prefix": f"{directory.name}."} if bootstrap_servers in shared_brokers else {}
    return load_settings(
        kafka={"bootstrap_servers": bootstrap_servers, "partitions": 4, **own},
        database={"url": url},
        embedded={"directory": directory},
        stream={"batch_size": batch_size},
        metrics={"worker_port": 0},
    )


def scenario_messages(count: int) -> list[Message]:
    """Messages of the project's own feed: syndicated copies, edited copies and spam among them."""
    received = datetime.now(UTC)
    messages = []
    for row in generate_feed():
        if len(messages) == count:
            break
        fields = {name: row[name] for name in ("id", "source", "kind", "text") if name in row}
        published = datetime.fromisoformat(row["published_at"])
        messages.append(
            Message(
                **fields,
                title=row.get("title", ""),
                entities=row.get("entities", []),
                published_at=published,
                received_at=received,
            )
        )
    return messages


_FOREIGN = (
    ("sina", "阿里巴巴股价大跌，公司回应监管调查"),
    ("cls", "【阿里巴巴股价大跌】公司回应监管调查。"),
    ("zeitung", "Die Aktien der Deutschen Bank brechen nach einer Gewinnwarnung deutlich ein"),
    ("gazeta", "Акции банка резко упали после публикации отчёта за квартал"),
    ("ticker", "DAX +2%"),  # read where nobody states its language
)


def foreign_messages(count: int) -> list[Message]:
    """Messages that the shipped model does not read, among them copies of stories, and some that state English."""
    received = datetime.now(UTC)
    messages = []
    for number in range(count):
        source, text = _FOREIGN[number % len(_FOREIGN)]
        published = datetime(2026, 3, 2, 9, tzinfo=UTC) + timedelta(minutes=7 * number)
        stated = ("", "de", "") if source == "ticker" else ("", "en", "")
        messages.append(
            Message(
                id=f"foreign {number}",
                source=source,
                kind="news",
                published_at=published,
                received_at=received,
                text=text,
                language=stated[number % 3],
                entities=["BABA"] if number % 5 == 0 else [],
            )
        )
    return messages


def as_input(messages: Sequence[Message]) -> list[Input]:
    return [(message.id.encode(), encode(message)) for message in messages]


def scenario_records(topic: str, count: int) -> list[Record]:
    """The first `count` messages of the scenario, as a worker reads them from three partitions."""
    sent = as_input(scenario_messages(count))
    return [Record(topic, number % 3, number // 3, key, value) for number, (key, value) in enumerate(sent)]


def produce(settings: Settings, records: Sequence[Input], per_second: float | None = None) -> None:
    """Send `records` in order; all are acknowledged on return."""
    wait_for_broker(settings)
    ensure_topics(settings)
    producer = KafkaProducer(**client_options(settings), acks="all", enable_idempotence=True)
    begun = time.monotonic()
    for number, (key, value) in enumerate(records):
        producer.send(settings.topic("messages"), key=key, value=value)
        if per_second and number % 20 == 0:
            time.sleep(max(0.0, number / per_second - (time.monotonic() - begun)))
    producer.flush()
    producer.close()


def produce_just_ahead(settings: Settings, records: Sequence[Input], ahead: int = 150) -> None:
    """Send `records`, never more than `ahead` before what is committed: messages flow as long as workers are killed."""
    for start in range(0, len(records), ahead // 2):
        produce(settings, records[start : start + ahead // 2])
        wait_until(lambda start=start: committed(settings) + ahead // 2 >= start, "workers that keep up")  # type: ignore[misc]


def wait_until(true: Callable[[], bool], what: str, within_s: float = 300) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"after {within_s:g} s still not: {what}"
        time.sleep(0.1)


_asking = threading.Lock()
_kept: dict[str, psycopg.Connection[Any]] = {}


def ask(settings: Settings, query: str) -> list[Any]:
    """The rows of a query, over one connection that is kept for the next: tests ask ten times a second."""
    url = settings.database.url or ""
    with _asking:
        if url in _kept:
            with suppress(psycopg.OperationalError):  # the server was away since
                return _kept[url].execute(query).fetchall()
        _hang_up()
        _kept[url] = connect(settings, autocommit=True)
        return _kept[url].execute(query).fetchall()


def hang_up() -> None:
    """Close the connection that `ask` keeps: a database that is copied must have none."""
    with _asking:
        _hang_up()


def _hang_up() -> None:
    while _kept:
        _kept.popitem()[1].close()


def committed(settings: Settings) -> int:
    """Offsets of `messages` committed so far, over all partitions; 0 while there is no schema or no server."""
    query = f"SELECT coalesce(sum(next_offset), 0) FROM offset_ledger WHERE topic = '{settings.topic('messages')}'"
    try:
        return int(ask(settings, query)[0][0])
    except (psycopg.errors.UndefinedTable, psycopg.OperationalError):
        return 0


@cache
def _classifier(bundle: Path) -> Classifier:
    """Kept with what it has read: most tests count the same texts."""
    return Classifier(load_bundle(bundle))


def expected_counts(settings: Settings, records: Sequence[Input]) -> dict[tuple[str, str, datetime], list[int]]:
    """Messages by sentiment and unread, and summed millionths, of every (kind, name, minute), from the input alone."""
    unique: dict[tuple[str, str], Message] = {}
    for _, value in records:
        try:
            message = decode(value)
        except UndecodableMessage:
            continue
        unique.setdefault((message.source, message.id), message)
    classifier = _classifier(settings.bundle_directory)
    watchlist = load_watchlist()
    counts: dict[tuple[str, str, datetime], list[int]] = defaultdict(lambda: [0] * 7)
    for message in unique.values():
        series = [("all", "all"), ("source", message.source)]
        column, millionths = COUNTED.index("unread"), [0, 0, 0]
        if language_of(message.body, message.language) in ("en", ""):
            # One at a time, so that nothing of a batch could leak into the expectation.
            scores = classifier.predict([message.body])
            column = int(scores["sentiment"][0].argmax())
            millionths = [round(float(score) * 1_000_000) for score in scores["sentiment"][0]]
            series.append(("topic", classifier.labels("topic")[int(scores["topic"][0].argmax())]))
        entities = watchlist.link(message.body, message.entities)
        own = {}
        if classifier.entity_labels and column != COUNTED.index("unread"):
            form = text_form(message.body)
            for entity, spans in watchlist.locate(form, entities).items():
                (found,) = classifier.read([form], [[spans]]).mentions[0]
                if found is not None:
                    own[entity] = int(found.argmax()), [round(float(score) * 1_000_000) for score in found]
        series += [("entity", entity) for entity in entities]
        minute = message.published_at.replace(second=0, microsecond=0)
        for kind, name in series:
            cell = counts[kind, name, minute]
            mine, amounts = own.get(name, (column, millionths)) if kind == "entity" else (column, millionths)
            cell[mine] += 1
            for at, amount in enumerate(amounts):
                cell[len(COUNTED) + at] += amount
    return dict(counts)


def stored_counts(settings: Settings) -> dict[tuple[str, str, datetime], list[int]]:
    rows = ask(
        settings,
        "SELECT kind, name, minute, negative, neutral, positive, unread, p_negative, p_neutral, p_positive FROM trend",
    )
    return {(kind, name, minute.astimezone(UTC)): list(counts) for kind, name, minute, *counts in rows}


def stored_story_counts(settings: Settings) -> dict[tuple[str, str, datetime], list[int]]:
    columns = ", ".join(f"{outcome}_stories" for outcome in COUNTED)
    rows = ask(settings, f"SELECT kind, name, minute, {columns} FROM trend")
    return {(kind, name, minute.astimezone(UTC)): list(counts) for kind, name, minute, *counts in rows if any(counts)}


def recounted_stories(settings: Settings) -> dict[tuple[str, str, datetime], list[int]]:
    """Stories counted over the stored assignment: once per series, where and how its first message stands there."""
    first: dict[tuple[Any, str, str], tuple[datetime, Any, str]] = {}
    columns = "story, uid, published_at, sentiment, topic, source, entities, entity_sentiments"
    for story, uid, published_at, sentiment, topic, source, entities, own in ask(
        settings, f"SELECT {columns} FROM message"
    ):
        towards = dict(zip(entities, own or [None] * len(entities), strict=True))
        series = [("all", "all"), ("source", source), *(("entity", entity) for entity in entities)]
        series += [("topic", topic)] if topic is not None else []
        for kind, name in series:
            mine = (published_at, uid, (kind == "entity" and towards[name]) or sentiment or "unread")
            key = (story, kind, name)
            first[key] = min(first.get(key, mine), mine)
    counts: dict[tuple[str, str, datetime], list[int]] = defaultdict(lambda: [0] * len(COUNTED))
    for (_, kind, name), (published_at, _, sentiment) in first.items():
        minute = published_at.astimezone(UTC).replace(second=0, microsecond=0)
        counts[kind, name, minute][COUNTED.index(sentiment)] += 1
    return dict(counts)


def assert_exact(settings: Settings, records: Sequence[Input]) -> None:
    """Every message, every count of every trend row, and every story count: equal, to the last one."""
    keys = Counter((decoded.source, decoded.id) for decoded in _decodable(records))
    stored = Counter(dict.fromkeys(map(tuple, ask(settings, "SELECT source, id FROM message")), 1))
    assert stored == Counter(dict.fromkeys(keys, 1))
    assert ask(settings, "SELECT count(*) FROM message")[0][0] == len(keys), "a message is stored twice"
    assert stored_counts(settings) == expected_counts(settings, records)
    assert stored_story_counts(settings) == recounted_stories(settings)
    assert ask(settings, "SELECT coalesce(sum(gaps), 0) FROM offset_ledger")[0][0] == 0
    assert stored_stories(settings) == stories_by_the_rule(settings)


def stored_stories(settings: Settings) -> set[frozenset[UUID]]:
    """The uids of each story."""
    stories: dict[UUID, set[UUID]] = defaultdict(set)
    for story, uid in ask(settings, "SELECT story, uid FROM message"):
        stories[story].add(uid)
    return {frozenset(members) for members in stories.values()}


def stories_by_the_rule(settings: Settings) -> set[frozenset[UUID]]:
    """The stories of the stored messages, found the plain way: sorted, one after the other."""
    window = timedelta(hours=settings.stream.story_window_hours)
    messages = []
    for at, uid, title, text, entities in ask(settings, "SELECT published_at, uid, title, text, entities FROM message"):
        messages.append((at, uid, story_text(story_form(text, title), entities, uid, headline_form(text, title))))
    stories: list[tuple[datetime, StoryText, set[UUID]]] = []
    by_band: dict[int, list[int]] = defaultdict(list)  # copies share a band; to compare all pairs takes minutes
    for at, uid, text in sorted(messages, key=lambda message: message[:2]):
        for number in sorted({number for band in text.bands for number in by_band[band]}):
            begun, leading, members = stories[number]
            if at - begun <= window and are_copies(leading, text):
                members.add(uid)
                break
        else:
            for band in text.bands:
                by_band[band].append(len(stories))
            stories.append((at, text, {uid}))
    return {frozenset(members) for _, _, members in stories}


def _decodable(records: Sequence[Input]) -> Iterator[Message]:
    for _, value in records:
        try:
            yield decode(value)
        except UndecodableMessage:
            continue


def make_pipeline(
    settings: Settings, topic: str, send_dead_letters: Callable[[Sequence[DeadLetter]], None] = lambda letters: None
) -> Pipeline:
    """The real pipeline on the database of `settings`, for records that a test hands it itself."""
    return Pipeline(
        [Classifier(load_bundle(settings.bundle_directory))],
        load_watchlist(),
        Committer(TopicLedger(topic), timedelta(hours=72)),
        lambda: connect(settings, autocommit=True),
        send_dead_letters,
        retry_max_s=1,
    )
