"""What is said of an alert: the sentence, and the evidence of each signal."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import psycopg
import pytest

from alerting.detection.detector import Series, Signal
from alerting.incidents.document import change_document
from alerting.incidents.evidence import evidence_of, gather_evidence
from alerting.incidents.sentence import figures, sentence
from core.settings import load_settings
from core.store.alerts import AlertRow
from core.store.incidents import Incident, IncidentRow
from core.store.model_rates import ModelRates
from core.store.partitions import ensure_partitions
from tests.alerting.surge_streams import ALL, BANK, MONDAY, MakeSettings

Connection = psycopg.Connection[Any]

NOON = MONDAY + timedelta(hours=12)
_NAMES = UUID("0b8f2f3a-4c3c-4ee0-8a7e-2f3e5f8f7c11")


def alert(series: Series = BANK, **values: Any) -> AlertRow:
    figures: dict[str, Any] = {
        "signal": "negative",
        "state": "open",
        "opened_at": NOON + timedelta(minutes=125),
        "last_at": NOON + timedelta(minutes=140),
        "closed_at": None,
        "peak_at": NOON + timedelta(minutes=135),
        "window_minutes": 60,
        "observed": 41.0,
        "expected": 6.02,
        "score": 7.1,
        "evidence": {},
    }
    return AlertRow(uuid5(_NAMES, str(series)), series.kind, series.name, **figures | values)


def test_sentences() -> None:
    banking = Series("topic", "Banking")
    assert sentence(alert(banking), {}) == "Banking: 41 negative stories in 60 min, 6 expected, since 14:05"
    assert sentence(alert(ALL, window_minutes=1440, expected=300.4), {}) == (
        "All news: 41 negative stories in 24 h, 300 expected, since 14:05"
    )
    assert sentence(alert(signal="positive", expected=0.25), {}) == (
        "BANK: 41 positive stories in 60 min, 0.2 expected, since 14:05"
    )
    assert sentence(alert(signal="volume", window_minutes=15), {}) == (
        "BANK: 41 stories in 15 min, 6 expected, since 14:05"
    )
    assert sentence(alert(signal="share"), {"counts": {"stories": 50}}) == (
        "BANK: 41 of 50 stories negative in 60 min, 6 expected, since 14:05"
    )


def test_an_outage_has_figures_of_its_own() -> None:
    silence = alert(Series("outage", "ingest"), observed=0.0, expected=40.0)
    assert figures(silence, {}) == "no message in 60 min, 40 expected"


def test_the_document_of_a_change() -> None:
    bank, every = alert(evidence={"counts": {"reach": 90}, "stories": []}), alert(ALL, score=4.0)
    row = IncidentRow(
        id=uuid5(_NAMES, "incident"),
        leader=bank.id,
        kind=bank.kind,
        name=bank.name,
        signal=bank.signal,
        state="open",
        opened_at=bank.opened_at,
        last_at=bank.last_at,
        closed_at=None,
        peak_at=bank.peak_at,
        window_minutes=60,
        observed=41.0,
        expected=6.02,
        score=7.1,
    )
    document = change_document(Incident(row, [bank, every]), "updated", "x:updated:2")
    assert document == json.loads(json.dumps(document))
    assert document["version"] == 2
    assert document["change"] == "updated"
    assert document["series"] == "entity=BANK"
    assert document["sentence"].startswith("BANK: 41 negative stories")
    assert document["reach"] == 90
    assert [each["series"] for each in document["alerts"]] == ["entity=BANK", "all"]
    assert document["closed_at"] is None
    assert datetime.fromisoformat(document["opened_at"]) == bank.opened_at


def publish(connection: Connection, title: str, at: datetime, sentiment: str = "negative", *, kind: str = "news",
            entities: tuple[str, ...] = ("BANK",), model: str = "newstide-test", copies: int = 1) -> None:  # fmt: skip
    """One story of the wire and its copies, counted in the trends as a worker counts it."""
    today = datetime.now(UTC).date()
    ensure_partitions(connection, today)
    story = uuid5(_NAMES, f"{title} {at}")
    for copy in range(copies):
        connection.execute(
            "INSERT INTO message (uid, stored_on, source, id, kind, published_at, received_at, title, text, url, "
            "author, language, entities, marks, extra, story, sentiment, sentiment_scores, topic, topic_scores, "
            "model) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, '', %s, '', 'en', %s, '{}', '{}', %s, %s, '{1,0,0}', "
            "'Legal', '{1}', %s)",
            (uuid5(story, str(copy)), today, f"wire {copy}", str(copy), kind, at, at, title, f"https://x.test/{copy}",
             list(entities), story, sentiment, model),
        )  # fmt: skip
    connection.execute(
        "INSERT INTO story (id, headline, first_at, last_at, messages, first_uid, stored_on) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (story, title, at, at, copies, uuid5(story, "0"), today),
    )
    sources = [("source", f"wire {copy}") for copy in range(copies)]
    for series in [("all", "all"), ("topic", "Legal"), *(("entity", name) for name in entities), *sources]:
        connection.execute(
            "INSERT INTO story_series (story, kind, name, first_at, uid, sentiment) VALUES (%s, %s, %s, %s, %s, %s)",
            (story, *series, at, uuid5(story, "0"), sentiment),
        )
        connection.execute(
            f"INSERT INTO trend AS t (kind, name, minute, negative, neutral, positive, negative_stories, "
            f"neutral_stories, positive_stories, p_negative, p_neutral, p_positive) "
            f"SELECT %(kind)s, %(name)s, date_trunc('minute', %(at)s), n * copies, g * copies, p * copies, n, g, p, "
            f"0, 0, 0 FROM (SELECT {copies} AS copies, (%(s)s = 'negative')::int AS n, (%(s)s = 'neutral')::int AS g, "
            f"(%(s)s = 'positive')::int AS p) AS made ON CONFLICT (kind, name, minute) DO UPDATE "
            f"SET negative = t.negative + excluded.negative, neutral = t.neutral + excluded.neutral, "
            f"positive = t.positive + excluded.positive, "
            f"negative_stories = t.negative_stories + excluded.negative_stories, "
            f"neutral_stories = t.neutral_stories + excluded.neutral_stories, "
            f"positive_stories = t.positive_stories + excluded.positive_stories",
            {"kind": series[0], "name": series[1], "at": at, "s": sentiment},
        )


@pytest.fixture
def news(connection: Connection) -> Connection:
    """A day of a bank that opens branches, and an hour of a fraud probe beside a little of everything else."""
    for hour in range(1, 20):
        publish(connection, f"Bank opens branch number {hour}", NOON - timedelta(hours=hour), "neutral")
        publish(connection, f"Bank shares slip a little, day {hour}", NOON - timedelta(hours=hour, minutes=5))
    publish(connection, "Bank fraud probe widens", NOON + timedelta(minutes=10), copies=4)
    publish(connection, "Regulator steps in: fraud probe at the bank", NOON + timedelta(minutes=12), copies=2)
    publish(connection, "Mill and bank named in fraud probe", NOON + timedelta(minutes=20), entities=("BANK", "MILL"))
    publish(
        connection, "I sold all my shares of the bank, this probe smells", NOON + timedelta(minutes=30), kind="comment"
    )
    publish(connection, "Bank wins a prize", NOON + timedelta(minutes=40), "positive", copies=3)
    publish(connection, "Bank to hold its meeting in May", NOON + timedelta(minutes=41), "neutral")
    publish(connection, "Mill cuts its forecast", NOON + timedelta(minutes=42), entities=("MILL",))
    return connection


def register(connection: Connection, name: str, confusion: dict[str, dict[str, int]] | None) -> None:
    label = {"label": "negative", "precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 9}
    score = {"task": "sentiment", "accuracy": 0.9, "macro_f1": 0.9, "ece": 0.1, "support": 9, "labels": [label]}
    if confusion is not None:
        score["confusion"] = confusion
    connection.execute(
        "INSERT INTO model (name, state, location, checksum, size_bytes, manifest) "
        "VALUES (%s, 'retired', '', '', 1, %s)",
        (name, json.dumps({"evaluation": {"int8": [score]}})),
    )


def gather(
    connection: Connection, signal: Signal, series: Series = BANK, bundle: Path | None = None, share: float = 0.0
) -> dict[str, Any]:
    rates = ModelRates(bundle or load_settings().bundle_directory, evaluation_share=share)
    return gather_evidence(connection, series, signal, NOON, NOON + timedelta(hours=1), rates)


def test_the_evidence_of_bad_news(make_settings: MakeSettings, news: Connection) -> None:
    news.execute("UPDATE story_series SET sentiment = 'positive' WHERE kind = 'entity' AND name = 'MILL'")
    found = gather(news, "negative")
    assert [(story["sentiment"], story["entities"]) for story in found["stories"] if "MILL" in story["entities"]] == [
        ("negative", {"BANK": "negative", "MILL": "positive"})
    ]
    assert found == json.loads(json.dumps(found))
    assert [story["headline"] for story in found["stories"]][:2] == [
        "Bank fraud probe widens",
        "Regulator steps in: fraud probe at the bank",
    ]
    assert found["stories"][0] == {
        "headline": "Bank fraud probe widens",
        "url": "https://x.test/0",
        "kind": "news",
        "first_at": (NOON + timedelta(minutes=10)).isoformat(),
        "sources": ["wire 0", "wire 1", "wire 2", "wire 3"],
        "messages": 4,
        "sentiment": "negative",
        "entities": {"BANK": "negative"},
    }
    assert found["words"][:2] == ["probe", "fraud"]
    assert "bank" not in found["words"], "its own name says nothing"
    assert found["entities"] == [{"name": "MILL", "stories": 1}]
    assert found["sources"][0] == {"name": "wire 0", "stories": 4}
    assert found["kinds"] == {"comment": 0.25, "news": 0.75}
    assert found["models"] == {"newstide-test": 4}
    assert found["counts"] == {"negative": 4, "neutral": 1, "positive": 1, "stories": 6, "messages": 12, "reach": 8}
    assert found["corrected"] is None, "nobody knows the mistakes of that model"


def test_the_evidence_of_other_signals(make_settings: MakeSettings, news: Connection) -> None:
    good = gather(news, "positive")
    assert [story["headline"] for story in good["stories"]] == ["Bank wins a prize"]
    assert good["counts"]["reach"] == 3
    share, much = gather(news, "share"), gather(news, "volume")
    assert share["stories"] == gather(news, "negative")["stories"]
    assert len(much["stories"]) == 5
    assert much["counts"]["reach"] == much["counts"]["messages"] == 12
    everything = gather(news, "negative", ALL)
    assert {each["name"] for each in everything["entities"]} == {"BANK", "MILL"}
    of_alert = evidence_of(
        news,
        replace(alert(), peak_at=NOON + timedelta(hours=1)),
        ModelRates(load_settings().bundle_directory),
    )
    assert of_alert == gather(news, "negative")


def test_what_came_after_the_window_changes_no_evidence(make_settings: MakeSettings, news: Connection) -> None:
    """A process that was killed judges again when later messages are stored: it says what it would have said."""
    before = gather(news, "negative")
    late, first = NOON + timedelta(hours=2), NOON + timedelta(minutes=20)
    story = uuid5(_NAMES, f"Mill and bank named in fraud probe {first}")
    for copy in range(9):
        news.execute(
            "INSERT INTO message (uid, stored_on, source, id, kind, published_at, received_at, title, text, url, "
            "author, language, entities, marks, extra, story, sentiment, sentiment_scores, topic, topic_scores, model) "
            "SELECT %s, stored_on, 'late', %s, kind, %s, %s, title, text, url, "
            "author, language, entities, marks, extra, story, sentiment, sentiment_scores, topic, topic_scores, model "
            "FROM message WHERE story = %s LIMIT 1",
            (uuid5(story, f"late {copy}"), f"late {copy}", late, late, story),
        )
    news.execute("UPDATE story SET messages = messages + 9 WHERE id = %s", (story,))
    news.execute(
        "INSERT INTO story_series (story, kind, name, first_at, uid, sentiment) "
        "SELECT story, 'entity', 'LATE', %s, uid, sentiment FROM story_series WHERE story = %s AND kind = 'all'",
        (late, story),
    )
    assert gather(news, "negative") == before


def thousandfold(connection: Connection) -> None:
    connection.execute(
        "UPDATE trend SET negative_stories = 1000 * negative_stories, neutral_stories = 1000 * neutral_stories, "
        "positive_stories = 1000 * positive_stories WHERE minute >= %s",
        (NOON,),
    )


def test_counts_are_corrected_by_what_people_say_of_this_stream(make_settings: MakeSettings, news: Connection) -> None:
    """The test set says that the model is right; people found that a bank that slips a little is no bad news."""
    register(news, "newstide-test", {label: {label: 1000} for label in ("negative", "neutral", "positive")})
    thousandfold(news)
    tested = gather(news, "negative")["corrected"]["negative"]
    assert tested == pytest.approx(4000, abs=100)
    news.execute("INSERT INTO message_key SELECT uid, stored_on FROM message")
    news.execute(
        "INSERT INTO label (uid, text, source, task, label, analyst, story) "
        "SELECT uid, title, source, 'sentiment', "
        "CASE WHEN position('slip' IN title) > 0 THEN 'neutral' ELSE sentiment END, who, story "
        "FROM message, unnest('{ann,bob}'::text[]) AS who"
    )
    assert gather(news, "negative", share=1.0)["corrected"]["negative"] == pytest.approx(3600, abs=200)
    assert gather(news, "negative", share=0.0)["corrected"]["negative"] == tested, "none of the stories was chosen"
    news.execute(
        "INSERT INTO label (uid, text, source, task, label, analyst, story) "
        "SELECT uid, text, source, task, 'positive', analyst, story FROM label "
        "WHERE analyst = 'bob' AND position('slip' IN text) > 0"
    )
    assert gather(news, "negative", share=1.0)["corrected"]["negative"] == pytest.approx(tested, abs=60), (
        "they disagree"
    )


def test_counts_are_corrected_for_known_mistakes_only(
    make_settings: MakeSettings, news: Connection, tmp_path: Path
) -> None:
    """Half of what is neutral this model calls negative."""
    same = {label: {label: 1000} for label in ("negative", "positive")}
    register(news, "newstide-test", {**same, "neutral": {"negative": 500, "neutral": 500}})
    few = gather(news, "negative")["corrected"]
    assert few["negative"] == pytest.approx(4, abs=0.5), "six stories tell little"
    thousandfold(news)
    corrected = gather(news, "negative")["corrected"]
    assert corrected["negative"] == pytest.approx(3000, abs=150)
    assert corrected["neutral"] == pytest.approx(2000, abs=150)
    news.execute(
        "INSERT INTO trend SELECT kind, name, minute - interval '1 day', negative, neutral, positive, "
        "negative_stories, neutral_stories, positive_stories, 0, 0, 0 FROM trend WHERE minute >= %s",
        (NOON,),
    )
    assert gather(news, "negative")["corrected"]["negative"] == pytest.approx(4000, abs=1), "it is a day as usual"
    publish(news, "Probe: the bank's head resigns", NOON + timedelta(minutes=50), model="other")
    assert gather(news, "negative")["corrected"] is None, "one of two models is not known"
    register(news, "other", None)
    assert gather(news, "negative", bundle=tmp_path)["corrected"] is None, "it was registered untested"
    shipped = load_settings().bundle_directory
    manifest = json.loads((shipped / "manifest.json").read_text())
    news.execute("UPDATE message SET model = %s", (manifest["name"],))
    assert gather(news, "negative")["corrected"] is not None, "the one that ships need not be registered"
