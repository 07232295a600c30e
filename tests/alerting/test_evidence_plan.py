"""Evidence reads what belongs to its window, however long the history is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from alerting.detection.detector import Series
from alerting.incidents.evidence import gather_evidence
from core.settings import load_settings
from core.store.model_rates import ModelRates
from core.store.partitions import ensure_partitions
from tests.alerting.surge_streams import MakeSettings

Connection = psycopg.Connection[Any]

FIRST = date(2026, 1, 1)
BANK = Series("entity", "BANK")
_PER_DAY = 400


def add_days(connection: Connection, first: int, days: int) -> None:
    """`_PER_DAY` stories a day of one message each, a tenth of them bad news of the bank."""
    for day in range(first, first + days):
        today = FIRST + timedelta(days=day)
        ensure_partitions(connection, today)
        values = {"day": today, "stories": _PER_DAY, "offset": day * _PER_DAY}
        connection.execute(
            """
            WITH made AS (
                SELECT md5('story' || i + %(offset)s)::uuid AS story, md5('uid' || i + %(offset)s)::uuid AS uid, i,
                       %(day)s::date + make_interval(mins => 3 * i) AS at
                FROM generate_series(1, %(stories)s) AS i
            ),
            messages AS (
                INSERT INTO message (uid, stored_on, source, id, kind, published_at, received_at, title, text, url,
                                     author, language, entities, marks, extra, story, sentiment, sentiment_scores,
                                     topic, topic_scores, model)
                SELECT uid, %(day)s, 'wire', i::text, 'news', at, at, 'Probe widens', 'Probe', 'https://x.test/' || i,
                       '', 'en', '{}', '{}', '{}', story, 'negative', '{1,0,0}', 'Legal', '{1}', 'm'
                FROM made
            ),
            stories AS (
                INSERT INTO story (id, headline, first_at, last_at, messages, first_uid, stored_on)
                SELECT story, 'Probe widens ' || i, at, at, 1, uid, %(day)s FROM made
            )
            INSERT INTO story_series (story, kind, name, first_at, uid, sentiment)
            SELECT story, series.kind, series.name, at, uid, 'negative'
            FROM made, LATERAL (VALUES ('all', 'all'), ('source', 'wire'),
                                       ('entity', CASE WHEN i %% 10 = 0 THEN 'BANK' ELSE 'MILL' END))
                AS series (kind, name)
            """,
            values,
        )
    connection.execute("ANALYZE message, story, story_series")


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(found for part in plan.get("Plans", []) for found in nodes(part))]


def plans(connection: Connection, at: datetime, monkeypatch: pytest.MonkeyPatch) -> tuple[int, set[tuple[str, str]]]:
    """Pages that evidence for the hours before `at` touches, and what its plans do with which table."""
    touched, kinds, asked = 0, set(), []
    execute = psycopg.Cursor.execute

    def explained(self: Any, query: Any, parameters: Any = None, **options: Any) -> Any:
        asked.append((query, parameters))
        return execute(self, query, parameters, **options)

    rates = ModelRates(load_settings().bundle_directory)
    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Cursor, "execute", explained)
        evidence = gather_evidence(connection, BANK, "negative", at - timedelta(hours=6), at, rates)
    assert len(evidence["stories"]) == 5
    for query, parameters in asked:
        with psycopg.ClientCursor(connection) as cursor:
            row = cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", parameters).fetchone()
        assert row is not None
        root = row[0][0]["Plan"]
        touched += root["Shared Hit Blocks"] + root["Shared Read Blocks"]
        kinds |= {
            (node["Node Type"], node["Relation Name"])
            for node in nodes(root)
            if node.get("Actual Loops") and "Relation Name" in node
        }
    assert len(asked) == 9
    return touched, kinds


def test_evidence_does_not_grow_with_history(
    make_settings: MakeSettings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_days(connection, 0, 4)
    end = datetime(2026, 1, 4, 18, tzinfo=UTC)
    # on so few days Postgres would rightly read tables whole
    for plan in ("seqscan", "hashjoin", "mergejoin"):
        connection.execute(f"SET enable_{plan} = off")
    few, _ = plans(connection, end, monkeypatch)
    connection.execute("RESET ALL")
    add_days(connection, 4, 36)
    many, kinds = plans(connection, end + timedelta(days=36), monkeypatch)
    assert many <= 3 * few, "ten times the history: no more than the height of the trees"
    assert ("Seq Scan", "story") not in kinds
    assert ("Seq Scan", "story_series") not in kinds
    days = {table for _, table in kinds if table.startswith("message_")}
    assert len(days) <= 4, "days of storage from that of the window on, and those made ahead"
