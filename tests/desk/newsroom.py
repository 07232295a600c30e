"""A store with three weeks of invented news, written by SQL from messages, so that each count can be told from them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import psycopg
from fastapi.testclient import TestClient
from psycopg.types.json import Jsonb

from core.settings import Settings
from core.store.connection import connect
from core.store.partitions import ensure_partitions

API = "/api/v1"
PRESENT = datetime(2026, 6, 15, 12, tzinfo=UTC)
FIRST = PRESENT - timedelta(days=21)
TOPICS = ("Earnings", "Energy | Oil", "M&A | Investments")
BANK = "NMRB"
ENTITIES = ("AAPL", "TSLA", BANK)
SOURCES = (("globalwire", "GlobalWire"), ("s&p-global", "S&P Global"))
INCIDENT = UUID(int=7)
_SPACE = UUID(int=1)
_SENTIMENTS = ("negative", "neutral", "positive")
_WORDS = ("profit", "shares", "outlook", "merger", "oil", "dividend", "lawsuit", "growth")
SPECIAL = (
    ("中国银行下调美联储预期", "市场下跌，美联储按兵不动"),
    ("<script>alert(1)</script>", '=HYPERLINK("http://evil.test")'),
    ("Northmere Bancorp announces layoffs", "The bank's layoffs follow weak earnings"),
)


def fill_newsroom(settings: Settings, per_day: int = 60, seed: int = 11) -> None:
    """`per_day` messages a day up to PRESENT, and on the last day trouble at the bank."""
    chance = random.Random(seed)
    rows: list[dict[str, Any]] = []
    moment = FIRST
    while moment < PRESENT:
        rows.append(_message(chance, len(rows), moment, chance.choices(_SENTIMENTS, (2, 5, 3))[0]))
        moment += timedelta(minutes=chance.uniform(1, 2 * 1440 / per_day))
    for minute in range(40):
        rows.append(_message(chance, len(rows), PRESENT - timedelta(minutes=50 - minute), "negative", entity=BANK))
    for title, text in SPECIAL:
        row = _message(chance, len(rows), PRESENT - timedelta(hours=2), "neutral", entity="AAPL")
        rows.append({**row, "title": title, "text": text, "story": uuid5(_SPACE, title)})
    with connect(settings, autocommit=True) as connection:
        _store(connection, rows)


def get(browser: TestClient, address: str, status: int = 200, **parameters: Any) -> Any:
    """The JSON at an address of the API."""
    answer = browser.get(API + address, params=parameters or None)
    assert answer.status_code == status, answer.text
    return answer.json()


def _message(
    chance: random.Random, number: int, moment: datetime, sentiment: str, entity: str | None = None
) -> dict[str, Any]:
    copy = number > 0 and chance.random() < 0.3
    key, _ = chance.choice(SOURCES)
    words = chance.sample(_WORDS, 3)
    return {
        "uid": uuid5(_SPACE, f"m{number}"),
        "stored_on": moment.date(),
        "source": key,
        "id": str(number),
        "published_at": moment,
        "title": " ".join(words),
        "text": f"{words[0]} of message {number}" + (f" and trouble at {entity}" if entity else ""),
        "entities": [entity or chance.choice(ENTITIES)],
        "story": uuid5(_SPACE, f"s{number - 1 if copy else number}"),
        "sentiment": sentiment,
        "scores": [0.8 if sentiment == each else 0.1 for each in _SENTIMENTS],
        "topic": chance.choice(TOPICS),
    }


def _store(connection: psycopg.Connection[Any], rows: Sequence[dict[str, Any]]) -> None:
    for day in sorted({row["stored_on"] for row in rows}):
        ensure_partitions(connection, day)
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_MESSAGE, rows)
        for statement in _DERIVED:
            connection.execute(statement)
        for key, name in SOURCES:
            connection.execute("INSERT INTO source (key, name) VALUES (%s, %s)", (key, name))
        connection.execute(
            "INSERT INTO alerting_progress (since, judged_until, drained) VALUES (%s, %s, true)", (FIRST, PRESENT)
        )
        connection.execute(
            "INSERT INTO offset_ledger (topic, partition, next_offset, max_event_time) VALUES ('messages', 0, 9, %s)",
            (PRESENT,),
        )
        add_incident(connection, INCIDENT, PRESENT - timedelta(minutes=20))


def add_incident(connection: psycopg.Connection[Any], incident: UUID, opened_at: datetime, state: str = "open") -> None:
    """An incident of one alert on the bank."""
    closed = opened_at + timedelta(minutes=30) if state == "closed" else None
    values = {
        "id": incident,
        "kind": "entity",
        "name": BANK,
        "state": state,
        "at": opened_at,
        "closed": closed,
        "evidence": Jsonb(
            {"stories": [{"headline": "The bank is in trouble"}], "words": ["trouble"], "negative_stories": 30}
        ),
    }
    connection.execute(_INCIDENT, values)
    connection.execute(_ALERT, values)
    connection.execute(
        "INSERT INTO incident_history (incident, change, times, at) VALUES (%(id)s, 'opened', 1, %(at)s)", values
    )


_MESSAGE = """
INSERT INTO message (uid, stored_on, source, id, kind, published_at, received_at, title, text, url, author, language,
                     entities, marks, extra, story, text_key, sentiment, sentiment_scores, topic, topic_scores, model)
VALUES (%(uid)s, %(stored_on)s, %(source)s, %(id)s, 'news', %(published_at)s, %(published_at)s, %(title)s, %(text)s,
        'https://news.test/' || %(id)s, 'ann', 'en', %(entities)s, '{}', '{}', %(story)s, %(uid)s, %(sentiment)s,
        %(scores)s, %(topic)s, '{0.6,0.4}', 'm1')
"""
_SERIES = """
LATERAL (SELECT 'all' AS kind, 'all' AS name UNION ALL SELECT 'topic', topic UNION ALL SELECT 'source', source
         UNION ALL SELECT 'entity', entity FROM unnest(entities) AS entity) AS series
"""
_DERIVED = (
    "INSERT INTO message_key (uid, stored_on) SELECT uid, stored_on FROM message",
    """
    INSERT INTO story (id, headline, first_at, first_uid, last_at, messages, stored_on)
    SELECT DISTINCT ON (story) story, title, published_at, uid, max(published_at) OVER same, count(*) OVER same,
           stored_on
    FROM message WINDOW same AS (PARTITION BY story) ORDER BY story, published_at, uid
    """,
    f"""
    INSERT INTO story_series (story, kind, name, first_at, uid, sentiment)
    SELECT DISTINCT ON (story, series.kind, name) story, series.kind, name, published_at, uid, sentiment
    FROM message, {_SERIES} ORDER BY story, series.kind, name, published_at, uid
    """,
    f"""
    INSERT INTO trend (kind, name, minute, negative, neutral, positive, negative_stories, neutral_stories,
                       positive_stories, p_negative, p_neutral, p_positive)
    SELECT kind, name, minute, count(*) FILTER (WHERE uid IS NOT NULL AND sentiment = 'negative'),
           count(*) FILTER (WHERE uid IS NOT NULL AND sentiment = 'neutral'),
           count(*) FILTER (WHERE uid IS NOT NULL AND sentiment = 'positive'),
           count(*) FILTER (WHERE uid IS NULL AND sentiment = 'negative'),
           count(*) FILTER (WHERE uid IS NULL AND sentiment = 'neutral'),
           count(*) FILTER (WHERE uid IS NULL AND sentiment = 'positive'), 0, 0, 0
    FROM (
        SELECT series.kind, name, date_trunc('minute', published_at) AS minute, uid, sentiment FROM message, {_SERIES}
        UNION ALL SELECT kind, name, date_trunc('minute', first_at), NULL, sentiment FROM story_series
    ) AS counted
    GROUP BY 1, 2, 3
    """,
)
_INCIDENT = """
INSERT INTO incident (id, leader, kind, name, signal, state, opened_at, last_at, closed_at, peak_at, window_minutes,
                      observed, expected, score)
VALUES (%(id)s, %(id)s, %(kind)s, %(name)s, 'negative', %(state)s, %(at)s, %(at)s, %(closed)s, %(at)s, 30, 30, 1.5, 9)
"""
_ALERT = """
INSERT INTO alert (id, kind, name, signal, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed,
                   expected, score, evidence, incident)
VALUES (%(id)s, %(kind)s, %(name)s, 'negative', %(state)s, %(at)s, %(at)s, %(closed)s, %(at)s, 30, 30, 1.5, 9,
        %(evidence)s, %(id)s)
"""
