"""Stories in a store, as a worker leaves them, and labels of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from core.records import Message
from core.taxonomy import load_taxonomy

NOW = datetime.now(UTC).replace(microsecond=0)
_SPACE = UUID("00000000-0000-0000-0000-00000000002a")
LABELS = "/api/v1/labels"
TOPICS = load_taxonomy().tasks["topic"]


def story_of(number: int) -> UUID:
    return uuid5(_SPACE, f"story {number}")


def uid_of(number: int, copy: int = 0) -> UUID:
    return _message(number, copy).uid


def _message(number: int, copy: int, title: str | None = None, source: str = "wire") -> Message:
    return Message(
        id=f"m{number}.{copy}",
        source=source,
        kind="news",
        published_at=NOW - timedelta(minutes=number) + timedelta(seconds=copy),
        received_at=NOW,
        title=title or f"Acme {number} cuts its outlook",
        text=f"Shares of company {number} fell after it warned." + " Again." * copy,
        url=f"https://news.test/{number}",
    )


def add_story(
    engine: Engine,
    number: int,
    *,
    copies: int = 1,
    sentiment: tuple[float, float, float] = (0.9, 0.06, 0.04),
    title: str | None = None,
    source: str = "wire",
    model: str = "live",
    towards: Mapping[str, str | None] | None = None,
) -> UUID:
    """A story of so many messages, `number` minutes old; its id. `towards`: its companies, with their own sentiment."""
    own = dict(towards or {})
    story = story_of(number)
    best = ("negative", "neutral", "positive")[max(range(3), key=lambda at: sentiment[at])]
    topics = [0.9] + [0.1 / (len(TOPICS) - 1)] * (len(TOPICS) - 1)
    messages = [_message(number, copy, title, source) for copy in range(copies)]
    today = NOW.date()
    with engine.begin() as connection:
        connection.execute(text(
            f"CREATE TABLE IF NOT EXISTS message_{today:%Y%m%d} PARTITION OF message "
            f"FOR VALUES FROM ('{today}') TO ('{today + timedelta(days=1)}')"
        ))  # fmt: skip
        for message in messages:
            connection.execute(
                text(
                    "INSERT INTO message (uid, stored_on, source, id, kind, published_at, received_at, title, text, "
                    "url, author, language, entities, marks, extra, story, sentiment, sentiment_scores, topic, "
                    "topic_scores, model, entity_sentiments) VALUES (:uid, :today, :source, :id, 'news', :at, "
                    ":received, :title, :text, :url, '', 'en', :entities, '{}', '{}', :story, :sentiment, :scores, "
                    ":topic, :topics, :model, :own)"
                ),
                {
                    "uid": message.uid,
                    "today": today,
                    "source": message.source,
                    "id": message.id,
                    "at": message.published_at,
                    "received": message.received_at,
                    "title": message.title,
                    "text": message.text,
                    "url": message.url,
                    "story": story,
                    "sentiment": best,
                    "scores": list(sentiment),
                    "topic": TOPICS[0],
                    "topics": topics,
                    "model": model,
                    "entities": list(own),
                    "own": list(own.values()),
                },
            )
            connection.execute(
                text("INSERT INTO message_key (uid, stored_on) VALUES (:uid, :today)"),
                {"uid": message.uid, "today": today},
            )
        first, last = messages[0], messages[-1]
        connection.execute(
            text(
                "INSERT INTO story (id, headline, first_at, first_uid, last_at, messages, stored_on) "
                "VALUES (:id, :headline, :first_at, :uid, :last_at, :messages, :today)"
            ),
            {
                "id": story,
                "headline": first.title,
                "first_at": first.published_at,
                "uid": first.uid,
                "last_at": last.published_at,
                "messages": copies,
                "today": today,
            },
        )
        connection.execute(
            text("INSERT INTO story_series VALUES (:story, 'entity', 'Acme', :at, :uid, :sentiment)"),
            {"story": story, "at": first.published_at, "uid": first.uid, "sentiment": best},
        )
    return story


def add_alert(engine: Engine, minutes: int = 10) -> None:
    """An alert on the negative stories of Acme in the last so many minutes."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO alert (id, kind, name, state, opened_at, last_at, peak_at, window_minutes, observed, "
                "expected, score, evidence) VALUES (gen_random_uuid(), 'entity', 'Acme', 'open', :at, :at, :peak, "
                ":minutes, 9, 1, 6, '{}')"
            ),
            {"at": NOW, "peak": NOW + timedelta(seconds=30), "minutes": minutes},
        )


def add_shadow_difference(engine: Engine, uid: UUID, task: str = "sentiment") -> None:
    live, shadow = {"sentiment": "negative", "topic": "Macro"}, {"sentiment": "negative", "topic": "Macro"}
    shadow[task] = "Earnings" if task == "topic" else "positive"
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO shadow_message (shadow, uid, live, published_at, live_labels, shadow_labels, confidence) "
                "VALUES ('shadow', :uid, 'live', :at, :live, :shadow, 0.5)"
            ),
            {"uid": uid, "at": NOW, "live": json.dumps(live), "shadow": json.dumps(shadow)},
        )


def label(
    browser: TestClient,
    number: int,
    *,
    copy: int = 0,
    request: str | None = None,
    entities: Mapping[str, str | None] | None = None,
    **labels: str | None,
) -> Any:
    """Label a story, and companies in it, by one of its copies, as in the queue; the answer."""
    item = {"uid": str(uid_of(number, copy)), "labels": labels, "entities": entities or {}}
    body: dict[str, Any] = {"items": [item], "model_hidden": True}
    answer = browser.post(LABELS, json={**body, "request": request} if request else body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def body_of(number: int) -> str:
    return f"Acme {number} cuts its outlook. Shares of company {number} fell after it warned."
