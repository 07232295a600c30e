"""Invented history, written by SQL alone, as a store in use holds it.

Messages partitioned by the day, stories with their runs, bands and series, keys, trends by the minute and, from
`MINUTE_DAYS` back, by the hour; other rows as retention leaves them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from core.store.partitions import ensure_partitions

MINUTE_DAYS = 97
ENTITIES = 200


@dataclass(frozen=True)
class Wording:
    """What invented messages say: titles and texts of so many words out of `vocabulary`, w0 being the most frequent and
    two of the frequent ones Chinese; stories of the first so many of the three `sentiments`."""

    vocabulary: int = 1
    title: int = 1
    text: int = 0
    sentiments: int = 1


ONE_WORD = Wording()
SENTENCES = Wording(vocabulary=20_000, title=8, text=24, sentiments=3)


def fill(
    connection: psycopg.Connection[Any],
    first: date,
    last: date,
    per_day: int,
    wording: Wording = ONE_WORD,
    entities: int = ENTITIES,
) -> None:
    """Add history for the days from `first` to `last` (included), `per_day` messages each."""
    connection.execute("SET synchronous_commit = off")
    said = asdict(wording)
    day = first
    while day <= last:
        ensure_partitions(connection, day)
        age = (datetime.now(UTC).date() - day).days
        with connection.transaction():
            for statement in _FILL:
                connection.execute(statement, {**said, "day": day, "n": per_day, "entities": entities, "age": age})
            connection.execute(
                sql.SQL(_TRENDS).format(
                    table=sql.Identifier("trend_hour" if age > MINUTE_DAYS else "trend"),
                    time=sql.Identifier("hour" if age > MINUTE_DAYS else "minute"),
                ),
                {"day": day, "unit": "hour" if age > MINUTE_DAYS else "minute"},
            )
        day += timedelta(days=1)


# One story for five messages, each in `all`, a topic, a company and a source of its own.
_FILL = (
    """
    WITH told AS MATERIALIZED (
        SELECT story, title, text
        FROM generate_series(0, %(n)s / 5) AS story, LATERAL (
            SELECT coalesce(string_agg(word, ' ') FILTER (WHERE i <= %(title)s), '') AS title,
                   coalesce(string_agg(word, ' ') FILTER (WHERE i > %(title)s), '') AS text
            FROM generate_series(1, %(title)s + %(text)s) AS i,
                 LATERAL (SELECT hashtext(%(day)s::text || story || '.' || i) / 4294967296.0 + 0.5 AS chance) AS c,
                 LATERAL (SELECT floor(chance ^ 3 * %(vocabulary)s)::integer AS place) AS p,
                 LATERAL (
                     SELECT CASE place WHEN 50 THEN '盈利预警' WHEN 51 THEN '美联储' ELSE 'w' || place END AS word
                 ) AS w
        ) AS written
    )
    INSERT INTO message (uid, stored_on, source, id, kind, published_at, received_at, title, text, url, author,
                         language, entities, marks, extra, story, text_key, sentiment, sentiment_scores, topic,
                         topic_scores, model)
    SELECT md5(%(day)s::text || n)::uuid, %(day)s, 's' || n %% 50, n::text, 'news', at, at, title, text, '', '',
           'en', ARRAY['E' || story %% %(entities)s], '{}', '{}', md5('s' || %(day)s::text || story)::uuid,
           md5('t' || %(day)s::text || story)::uuid,
           (ARRAY['negative', 'neutral', 'positive'])[1 + (story + story / 7) %% %(sentiments)s], '{0.8,0.1,0.1}',
           'T' || story %% 10, '{0.6,0.4}', 'm'
    FROM told, generate_series(greatest(1, 5 * story), least(%(n)s, 5 * story + 4)) AS n,
         LATERAL (SELECT %(day)s::timestamptz + n * interval '1 day' / (%(n)s + 1) AS at) AS t
    """,
    "INSERT INTO message_key (uid, stored_on) SELECT uid, stored_on FROM message WHERE stored_on = %(day)s",
    """
    INSERT INTO story (id, headline, first_at, first_uid, last_at, messages, stored_on)
    SELECT DISTINCT ON (story) story, title, published_at, uid, published_at, 5, stored_on
    FROM message WHERE stored_on = %(day)s ORDER BY story, published_at
    """,
    """
    INSERT INTO story_series (story, kind, name, first_at, uid, sentiment)
    SELECT DISTINCT ON (story, kind, name) story, series.kind, series.name, published_at, uid, sentiment
    FROM message,
         LATERAL (VALUES ('all', 'all'), ('topic', topic), ('source', source), ('entity', entities[1]))
             AS series (kind, name)
    WHERE stored_on = %(day)s ORDER BY story, kind, name, published_at
    """,
    """
    INSERT INTO story_text (text, story, form, first_at, first_uid, last_at, messages, signature, bands, stored_on)
    SELECT DISTINCT ON (story) text_key, story, text_key, published_at, uid, published_at, 5, '', '{}', stored_on
    FROM message WHERE stored_on = %(day)s ORDER BY story, published_at
    """,
    """
    INSERT INTO story_band (band, texts, taken, last_at, stored_on)
    SELECT hashtextextended(text::text, n), ARRAY[text], 1, last_at, stored_on
    FROM story_text, generate_series(1, 4) AS n WHERE stored_on = %(day)s
    ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO dead_letter (id, origin, stage, topic, value, reason, failed_at, replayed_at)
    SELECT md5('d' || uid)::uuid, 'replay:f.csv:' || id, 'ingest', 't', '{}', 'bad', published_at,
           CASE WHEN id::integer %% 500 <> 0 THEN published_at END
    FROM message WHERE stored_on = %(day)s AND id::integer %% 50 = 0 AND %(age)s <= 90
    """,
    """
    INSERT INTO shadow_message (shadow, uid, live, published_at, live_labels, shadow_labels, confidence, stored_at)
    SELECT 'shadow', uid, 'm', published_at, '{"topic": "a"}',
           CASE WHEN id::integer %% 40 = 0 THEN '{"topic": "b"}' ELSE '{"topic": "a"}' END::jsonb, 0.5, published_at
    FROM message WHERE stored_on = %(day)s AND id::integer %% 10 = 0 AND %(age)s <= 90
    """,
    """
    INSERT INTO outbox (channel, dedupe, incident, key, payload, created_at, delivered_at)
    SELECT 'kafka', uid::text, uid, 'k', '{}', published_at, published_at
    FROM message WHERE stored_on = %(day)s AND id::integer %% 100 = 0 AND %(age)s <= 30
    """,
    """
    WITH made AS (
        INSERT INTO alert (id, kind, name, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed,
                           expected, score, evidence)
        SELECT uid, 'entity', entities[1], 'closed', published_at, published_at, published_at, published_at, 30, 9, 1,
               5, '{}'
        FROM message WHERE stored_on = %(day)s AND id::integer %% 200 = 0
        RETURNING *
    ),
    incidents AS (
        INSERT INTO incident (id, leader, kind, name, signal, state, opened_at, last_at, closed_at, peak_at,
                              window_minutes, observed, expected, score)
        SELECT id, id, kind, name, signal, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed,
               expected, score
        FROM made
    ),
    told AS (
        INSERT INTO incident_history (incident, change, times, at, recorded_at)
        SELECT id, 'resolved', 1, closed_at, closed_at FROM made
    )
    INSERT INTO alert_history (alert, state, at, observed, expected, score, recorded_at)
    SELECT id, 'closed', closed_at, 9, 1, 5, closed_at FROM made
    """,
    """
    INSERT INTO label (uid, text, source, task, label, analyst, labelled_at, story)
    SELECT uid, title, source, 'topic', topic, 'ann', published_at, story
    FROM message WHERE stored_on = %(day)s AND id::integer %% 200 = 0
    """,
)
_TRENDS = """
    INSERT INTO {table} (kind, name, {time}, negative, neutral, positive, negative_stories, neutral_stories,
                         positive_stories, p_negative, p_neutral, p_positive)
    SELECT series.kind, series.name, date_trunc(%(unit)s, published_at, 'UTC'),
           count(*) FILTER (WHERE sentiment = 'negative'), count(*) FILTER (WHERE sentiment = 'neutral'),
           count(*) FILTER (WHERE sentiment = 'positive'),
           count(DISTINCT story) FILTER (WHERE sentiment = 'negative'),
           count(DISTINCT story) FILTER (WHERE sentiment = 'neutral'),
           count(DISTINCT story) FILTER (WHERE sentiment = 'positive'), 1000000, 0, 0
    FROM message,
         LATERAL (VALUES ('all', 'all'), ('topic', topic), ('source', source), ('entity', entities[1]))
             AS series (kind, name)
    WHERE stored_on = %(day)s
    GROUP BY 1, 2, 3
"""
