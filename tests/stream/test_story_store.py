"""Stories in the real store equal the rule applied to the sorted input, whatever came when and to whom."""

from __future__ import annotations

import itertools
import random
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from sqlalchemy import Engine

from core.records import Message
from core.settings import Settings
from core.store.connection import connect, open_engine
from core.store.migration import migrate
from core.text import story_form
from stream.batch import Batch, Classified, Item, Labels, Record
from stream.commit import Committer
from stream.ledger import TopicLedger
from stream.series import COLUMNS, OUTCOMES, SENTIMENTS, millionths, series_of
from stream.stories import are_copies, story_text
from stream.story_store import MOST_TEXTS
from tests.stream.harness import make_settings

TOPIC = "newstide.messages"
WINDOW = timedelta(hours=72)
START = datetime(2025, 3, 3, tzinfo=UTC)
RECEIVED = datetime(2026, 1, 1, tzinfo=UTC)
DAY = RECEIVED.date()
SENTENCE = "regulators in the north open a probe into property loans of the lender after years of warnings by auditors"
WORDS = tuple(SENTENCE.split())
OTHERS = ("quietly", "again", "today", "finally")


def variant(edits: Sequence[tuple[int, int]], figure: int = 0) -> str:
    """A sentence with some words replaced: few edits make a near-duplicate, more of them do not."""
    words = list(WORDS)
    for place, other in edits:
        words[place % len(words)] = OTHERS[other]
    return " ".join(words) + (f" {figure} million" if figure else "")


TEXTS = (
    WORDS[0] + " act",
    "https://example.org/a",
    variant([]),
    variant([], figure=3),
    variant([(4, 0)]),
    variant([(4, 0), (9, 1)]),
    variant([(4, 0), (9, 1), (14, 2)]),
    variant([(14, 2)]),
    variant([(9, 1), (14, 2)]),
    variant([(1, 3), (17, 3)]),
)

times = st.one_of(st.integers(0, 16).map(lambda step: timedelta(hours=18 * step)), st.just(timedelta(hours=72)))
rows = st.lists(st.tuples(st.integers(0, len(TEXTS) - 1), times, st.integers(0, 3)), min_size=12, max_size=40)


def classified(number: int, text: str, at: datetime, sentiment: int = 0, entities: Sequence[str] = ()) -> Classified:
    message = Message(id=str(number), source="wire", kind="news", published_at=at, received_at=RECEIVED, text=text)
    record = Record(TOPIC, 0, number, None, b"")
    scores = [0.1, 0.1, 0.1]
    if sentiment < len(SENTIMENTS):
        scores[sentiment] = 0.8
    return Classified(
        Item(record, message, message.uid, message.body, list(entities), "en"),
        story_text(story_form(text), entities, message.uid),
        Labels(SENTIMENTS[sentiment], scores, "Earnings", [1.0], "test") if sentiment < len(SENTIMENTS) else None,
    )


def by_the_rule(messages: Sequence[Classified]) -> list[list[Classified]]:
    """Stories of the sorted input, the plain way."""
    stories: list[list[Classified]] = []
    for message in sorted(messages, key=lambda m: m.position):
        for story in stories:
            leader = story[0]
            if message.position.at - leader.position.at <= WINDOW and are_copies(leader.text, message.text):
                story.append(message)
                break
        else:
            stories.append([message])
    return stories


def expected_trends(stories: Sequence[Sequence[Classified]]) -> dict[Any, list[int]]:
    cells: defaultdict[Any, list[int]] = defaultdict(lambda: [0] * len(COLUMNS))
    for story in stories:
        counted: set[Any] = set()
        for message in story:
            labels = message.labels
            column = OUTCOMES.index(labels.sentiment if labels else "unread")
            minute = message.position.at.replace(second=0, microsecond=0)
            for kind, name in series_of("wire", labels and labels.topic, message.item.entities):
                cell = cells[kind, name, minute]
                cell[column] += 1
                for i, amount in enumerate(millionths(labels.sentiment_scores) if labels else ()):
                    cell[8 + i] += amount
                if (kind, name) not in counted:
                    counted.add((kind, name))
                    cell[4 + column] += 1
    return dict(cells)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return make_settings("127.0.0.1:1", database_url, tmp_path)


@pytest.fixture
def connections(settings: Settings, engine: Engine) -> Iterator[list[psycopg.Connection[Any]]]:
    opened = [connect(settings, autocommit=True) for _ in range(2)]
    yield opened
    for connection in opened:
        connection.close()


_partitions = itertools.count()


def commit(connection: psycopg.Connection[Any], messages: Sequence[Classified], day: date = DAY) -> None:
    """Commit `messages` as they come, from a partition of their own, under a day of storage."""
    partition = next(_partitions)
    delivered = [
        replace(message, item=replace(message.item, record=Record(TOPIC, partition, offset, None, b"")))
        for offset, message in enumerate(messages)
    ]
    committer = Committer(TopicLedger(TOPIC), WINDOW, lambda: day)
    while True:
        try:
            committer.commit(connection, Batch([message.item.record for message in delivered], delivered))
            return
        except psycopg.errors.DeadlockDetected:
            continue


def empty(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        "TRUNCATE message, message_key, story, story_text, story_band, story_series, trend, trend_change, offset_ledger"
    )


def stored_partition(connection: psycopg.Connection[Any]) -> set[frozenset[UUID]]:
    groups: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for story, uid in connection.execute("SELECT story, uid FROM message"):
        groups[story].add(uid)
    return {frozenset(group) for group in groups.values()}


def stored_trends(connection: psycopg.Connection[Any]) -> dict[Any, list[int]]:
    query = f"SELECT kind, name, minute, {', '.join(COLUMNS)} FROM trend"
    return {(k, n, m.astimezone(UTC)): list(counts) for k, n, m, *counts in connection.execute(query)}


def assert_as_ruled(connection: psycopg.Connection[Any], messages: Sequence[Classified]) -> None:
    stories = by_the_rule(messages)
    assert stored_partition(connection) == {frozenset(m.item.uid for m in story) for story in stories}
    assert stored_trends(connection) == expected_trends(stories)
    # What later batches will read must be right as well.
    found = connection.execute("SELECT first_at, first_uid, last_at, messages, headline FROM story").fetchall()
    assert sorted(found) == sorted(
        (s[0].position.at, s[0].item.uid, s[-1].position.at, len(s), s[0].headline) for s in stories
    )
    runs = connection.execute(
        "SELECT run.text, run.first_uid, run.last_at, run.messages FROM story_text AS run JOIN story ON id = run.story"
    ).fetchall()
    together: defaultdict[tuple[UUID, UUID], list[Classified]] = defaultdict(list)
    for story in stories:
        for message in story:
            if message.text.bands:
                together[message.text.id, story[0].item.uid].append(message)
    assert sorted(runs) == sorted(
        (text, run[0].item.uid, run[-1].position.at, len(run)) for (text, _), run in together.items()
    )
    assert connection.execute("SELECT count(*) FROM story_text").fetchone() == (len(runs),)


def told(found: Sequence[tuple[int, timedelta, int]]) -> list[Classified]:
    """A message for each text, time after the start and sentiment."""
    return [
        classified(number, TEXTS[text], START + after, sentiment)
        for number, (text, after, sentiment) in enumerate(found)
    ]


def batches(messages: Sequence[Classified], chance: random.Random) -> list[list[Classified]]:
    shuffled = chance.sample(list(messages), len(messages))
    found = []
    while shuffled:
        size = chance.choice((1, 2, 5, 20))
        found.append(shuffled[:size])
        shuffled = shuffled[size:]
    return found


@profile(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, st.randoms(use_true_random=False))
def test_any_order_gives_the_stories_of_the_rule(
    connections: list[psycopg.Connection[Any]], found: list[tuple[int, timedelta, int]], chance: random.Random
) -> None:
    empty(connections[0])
    messages = told(found)
    for number, batch in enumerate(batches(messages, chance)):
        commit(connections[number % 2], batch, DAY + timedelta(days=chance.randrange(5)))
    assert_as_ruled(connections[0], messages)
    first_days = "SELECT bool_and(story.stored_on <= message.stored_on) FROM message JOIN story ON story.id = story"
    assert connections[0].execute(first_days).fetchone() == (True,)


@profile(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, st.randoms(use_true_random=False))
def test_two_workers_at_once_give_the_stories_of_the_rule(
    connections: list[psycopg.Connection[Any]], found: list[tuple[int, timedelta, int]], chance: random.Random
) -> None:
    empty(connections[0])
    messages = told(found)
    halves = [batches(messages[0::2], chance), batches(messages[1::2], chance)]
    failed: list[BaseException] = []

    def work(connection: psycopg.Connection[Any], mine: list[list[Classified]]) -> None:
        try:
            for batch in mine:
                commit(connection, batch)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=work, args=pair) for pair in zip(connections, halves, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert_as_ruled(connections[0], messages)


def test_a_story_ends_with_its_window(connections: list[psycopg.Connection[Any]]) -> None:
    weekly = [classified(n, TEXTS[2], START + timedelta(days=7 * n)) for n in range(52)]
    hourly = [classified(100 + n, TEXTS[0], START + timedelta(hours=n)) for n in range(80)]
    for message in chain(weekly, reversed(hourly)):
        commit(connections[0], [message])
    assert_as_ruled(connections[0], weekly + hourly)
    assert len(stored_partition(connections[0])) == 52 + 2


def test_texts_with_nothing_left_are_stories_of_their_own(connections: list[psycopg.Connection[Any]]) -> None:
    texts = ("https://example.org/a", "https://example.org/a", "\N{ROCKET}\N{ROCKET}", "...")
    messages = [classified(number, text, START) for number, text in enumerate(texts)]
    commit(connections[0], messages)
    assert_as_ruled(connections[0], messages)
    assert len(stored_partition(connections[0])) == 4


def test_twenty_thousand_reversed_copies_move_nothing(
    connections: list[psycopg.Connection[Any]],
) -> None:
    """Each batch is earlier than all before it; none of the stored messages may be touched for that."""
    messages = [classified(n, TEXTS[3], START + timedelta(milliseconds=180 * n)) for n in range(20_000)]
    messages.reverse()
    for start in range(0, len(messages), 500):
        commit(connections[0], messages[start : start + 500])
    assert len(stored_partition(connections[0])) == 1
    ((first_uid, count),) = connections[0].execute("SELECT first_uid, messages FROM story").fetchall()
    assert (first_uid, count) == (messages[-1].item.uid, 20_000)
    updated = "SELECT sum(n_tup_upd) FROM pg_stat_user_tables WHERE relname LIKE 'message\\_2%'"
    connections[0].execute("SELECT pg_stat_force_next_flush()")
    assert connections[0].execute(updated).fetchone() == (0,)


def test_a_template_that_many_texts_share_is_bounded(connections: list[psycopg.Connection[Any]]) -> None:
    """Thousands of different texts in one band: the band keeps the last thousand, and the texts stay apart."""
    chance = random.Random(5)
    messages = []
    for number in range(1_200):
        message = classified(number, " ".join(chance.sample(WORDS, 12)), START + timedelta(seconds=number))
        shared = replace(message.text, bands=(message.text.bands[0], 4711, *message.text.bands[2:]))
        messages.append(replace(message, text=shared))
    for start in range(0, len(messages), 250):
        commit(connections[0], messages[start : start + 250])
    ((texts,),) = connections[0].execute("SELECT cardinality(texts) FROM story_band WHERE band = 4711").fetchall()
    assert texts == MOST_TEXTS


def test_a_store_of_an_earlier_version_keeps_its_stories(empty_database_url: str, tmp_path: Path) -> None:
    settings = make_settings("127.0.0.1:1", empty_database_url, tmp_path)
    engine = open_engine(settings)
    migrate(engine, "0005")
    old = classified(1, TEXTS[2], START + timedelta(hours=1))
    key, uids = old.text.form, [UUID(int=1), UUID(int=2)]
    with connect(settings, autocommit=True) as connection:
        connection.execute("CREATE TABLE message_first PARTITION OF message DEFAULT")
        for uid, at in zip(uids, (START + timedelta(hours=1), START + timedelta(days=30)), strict=True):
            connection.execute(
                "INSERT INTO message (uid, stored_on, source, id, kind, published_at, received_at, title, text, url,"
                " author, language, entities, marks, extra, story, sentiment, sentiment_scores, topic, topic_scores,"
                " model) VALUES (%s, %s, 'wire', %s, 'news', %s, %s, '', %s, '', '', '', '{}', '{}', '{}', %s,"
                " 'negative', '{1,0,0}', 'Earnings', '{1}', 'test')",
                (uid, date.today(), str(uid), at, RECEIVED, TEXTS[2], key),
            )
        connection.execute(
            "INSERT INTO story VALUES (%s, 'headline', %s, %s, 2, %s, %s)",
            (key, START + timedelta(hours=1), START + timedelta(days=30), old.text.signature, date.today()),
        )
        connection.execute("INSERT INTO story_text VALUES (%s, %s, %s)", (key, key, date.today()))
        for band in old.text.bands[1:]:
            connection.execute("INSERT INTO story_band VALUES (%s, %s, %s)", (band, key, START + timedelta(hours=1)))
        connection.execute(
            "INSERT INTO story_series VALUES (%s, 'all', 'all', %s, %s, 'negative')",
            (key, START + timedelta(hours=1), uids[0]),
        )
    migrate(engine)
    engine.dispose()
    earlier = classified(2, TEXTS[2], START)
    copy = classified(3, TEXTS[2], START + timedelta(hours=73))  # in the window of the old story only
    late = classified(4, TEXTS[2], START + timedelta(days=90))
    near = classified(5, TEXTS[4], START + timedelta(hours=2))
    assert are_copies(old.text, near.text)
    with connect(settings, autocommit=True) as connection:
        commit(connection, [earlier, copy, late, near])
        stories = dict(connection.execute("SELECT uid, story FROM message").fetchall())
    assert stories[uids[0]] == stories[uids[1]] == key
    assert stories[copy.item.uid] == key
    assert stories[near.item.uid] == stories[earlier.item.uid] != key
    assert stories[late.item.uid] == late.item.uid
