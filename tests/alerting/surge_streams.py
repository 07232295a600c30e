"""Streams of counts made for tests, and how they get into a store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import psycopg

from alerting.detection.detector import ALL, Counts, Series
from core.settings import Settings
from core.store.partitions import ensure_partitions

MakeSettings = Callable[..., Settings]

PER_DAY = 288  # steps of five minutes
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
START = int(MONDAY.timestamp()) // 300
BANK = Series("entity", "BANK")
QUIET = Series("entity", "QUIET")
IPO = Series("entity", "IPO")

_NAMES = UUID("c2c1f0d4-2f0a-4d53-9f6b-5a1d1c5f7a11")


def daily(days: int, per_hour: float, rng: np.random.Generator) -> np.ndarray:
    """Counts of a series with a daily rhythm, (days * PER_DAY,)."""
    steps = np.arange(days * PER_DAY)
    rhythm = 1 + 0.7 * np.sin(2 * np.pi * steps / PER_DAY)
    return rng.poisson(per_hour / 12 * rhythm).astype(float)


@dataclass(frozen=True)
class Stream:
    """Messages and negative stories of each series, (steps,) from START on; tests change the arrays as they like."""

    messages: dict[Series, np.ndarray]
    negative: dict[Series, np.ndarray]

    @property
    def counts(self) -> Counts:
        return Counts.of(START, self.messages, self.negative)


def stream(negative: dict[Series, np.ndarray], positive: dict[Series, np.ndarray] | None = None) -> Stream:
    """Messages are all those given, and `all` sums them up."""
    negative = dict(negative)
    messages = {s: values + (positive or {}).get(s, 0) for s, values in negative.items()}
    negative[ALL] = np.sum(list(negative.values()), axis=0)
    messages[ALL] = np.sum(list(messages.values()), axis=0)
    return Stream(messages, negative)


def fortnight(seed: int = 2, surge_day: float = 6.5, per_hour: float = 30.0) -> Stream:
    """A bank with two bad stories an hour and `per_hour` for ten hours from `surge_day` on, beside quiet company."""
    rng = np.random.default_rng(seed)
    bank = daily(14, 2, rng)
    first = int(surge_day * PER_DAY)
    bank[first : first + 120] += rng.poisson(per_hour / 12, 120)[: len(bank) - first]
    others = {Series("entity", f"E{i}"): daily(14, rate, rng) for i, rate in enumerate((0.3, 1.0, 1.5))}
    ipo = daily(14, 1, rng)
    flood = np.zeros(14 * PER_DAY)
    flood[9 * PER_DAY : 9 * PER_DAY + 200] = rng.poisson(5, 200)
    return stream({BANK: bank, IPO: ipo, **others}, {IPO: flood, BANK: daily(14, 4, rng)})


def time_of(step: int) -> datetime:
    return MONDAY + (step - START) * timedelta(minutes=5)


def fill_trends(connection: psycopg.Connection[Any], counts: Stream) -> None:
    """Write `counts` as trend rows, each step's in its second minute."""
    rows = []
    for series, messages in counts.messages.items():
        for i in np.flatnonzero(messages):
            minute = time_of(START + int(i)) + timedelta(minutes=1)
            bad = int(counts.negative[series][i])
            rows.append((*series, minute, bad, int(messages[i]) - bad, bad))
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY trend (kind, name, minute, negative, neutral, negative_stories, positive, neutral_stories, "
            "positive_stories, p_negative, p_neutral, p_positive) FROM STDIN"
        ) as copy,
    ):
        for row in rows:
            copy.write_row((*row, 0, 0, 0, 0, 0, 0))


Cell = tuple[Series, int, int, int]  # series, step, messages and negative stories in it


def cells_of(made: Stream) -> list[Cell]:
    """Everything in `made`, by time."""
    found = [
        (series, START + int(i), int(messages[i]), int(made.negative[series][i]))
        for series, messages in made.messages.items()
        for i in np.flatnonzero(messages)
    ]
    return sorted(found, key=lambda cell: (cell[1], cell[0]))


def arrive(connection: psycopg.Connection[Any], cells: Iterable[Cell]) -> None:
    """Add `cells` to the trends and note the change, in one transaction, as a worker does."""
    rows, minutes = [], Counter[datetime]()
    for series, step, messages, negative in cells:
        minute = time_of(step) + timedelta(minutes=1)
        rows.append((*series, minute, negative, messages - negative, negative))
        minutes[minute] += messages if series == ALL else 0
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO trend AS t (kind, name, minute, negative, neutral, negative_stories, positive, "
            "neutral_stories, positive_stories, p_negative, p_neutral, p_positive) "
            "VALUES (%s, %s, %s, %s, %s, %s, 0, 0, 0, 0, 0, 0) ON CONFLICT (kind, name, minute) DO UPDATE SET "
            "negative = t.negative + excluded.negative, neutral = t.neutral + excluded.neutral, "
            "negative_stories = t.negative_stories + excluded.negative_stories",
            rows,
        )
        cursor.execute(
            "INSERT INTO trend_change (minutes, messages) VALUES (%s, %s)", (list(minutes), list(minutes.values()))
        )


def fill_stories(connection: psycopg.Connection[Any], series: Series, at: datetime, titles: list[str]) -> None:
    """Store one negative story of two messages for each title, a second apart from `at` on."""
    today = datetime.now(UTC).date()
    ensure_partitions(connection, today)
    for i, title in enumerate(titles):
        story = uuid5(_NAMES, f"{series}{at}{title}{i}")
        moment = at + timedelta(seconds=i)
        for copy in range(2):
            uid = uuid5(story, str(copy))
            connection.execute(
                "INSERT INTO message (uid, stored_on, source, id, kind, published_at, received_at, title, text, url, "
                "author, language, entities, marks, extra, story, sentiment, sentiment_scores, topic, topic_scores, "
                "model) VALUES (%s, %s, %s, %s, 'news', %s, %s, %s, %s, %s, '', 'en', '{}', '{}', '{}', "
                "%s, 'negative', '{1,0,0}', 'Earnings', '{1}', 'm')",
                (uid, today, f"wire-{copy}", str(uid), moment, moment, title, title, f"https://x.test/{i}", story),
            )
            if copy == 0:
                connection.execute(
                    "INSERT INTO story (id, headline, first_at, last_at, messages, first_uid, stored_on) "
                    "VALUES (%s, %s, %s, %s, 2, %s, %s)",
                    (story, title, moment, moment, uid, today),
                )
                connection.execute(
                    "INSERT INTO story_series (story, kind, name, first_at, uid, sentiment) "
                    "VALUES (%s, %s, %s, %s, %s, 'negative')",
                    (story, *series, moment, uid),
                )


def declare_replay(connection: psycopg.Connection[Any], reached: datetime, topic: str = "newstide.messages") -> None:
    """A finished replay of one partition, committed to its end at event time `reached`."""
    connection.execute(
        "INSERT INTO offset_ledger (topic, partition, next_offset, end_offset, max_event_time) "
        "VALUES (%s, 0, 9, 9, %s) "
        "ON CONFLICT (topic, partition) DO UPDATE SET max_event_time = excluded.max_event_time",
        (topic, reached),
    )
    connection.execute(
        "INSERT INTO replay (id, name, finished_at, summary) VALUES (gen_random_uuid(), 'r', now(), %s)",
        ('{"end_offsets": {"0": 9}}',),
    )
