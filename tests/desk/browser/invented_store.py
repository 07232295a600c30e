"""A store as workers and alerting leave it: the demo's invented news up to now, with its bank in trouble for hours.

No worker runs: labels follow from words, stories from equal texts, and the same seed gives the same store.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from core.bundle import read_manifest
from core.settings import PROJECT
from core.store.partitions import ensure_partitions
from newstide.scenario import BANK, SURGE_AFTER, generate_feed

TROUBLE_FOR = timedelta(hours=5)
FORTNIGHT = timedelta(days=14)
WINDOW = 60  # minutes
_BEFORE, _NOW = 11, 7  # seeds of the two feeds
MODEL = read_manifest(PROJECT / "models" / "default").name  # the English bundle that is shipped
SENTIMENTS = ("negative", "neutral", "positive")
RIVAL = "HRBR"  # what is bad for others is good for it
HOSTILE = '<img src=x onerror="document.title=`owned`"><script>document.title="owned"</script> shares fall'

_BAD = re.compile(
    r"miss|cut|loss|drop|warn|fall|slid|slump|probe|lawsuit|sue|downgrad|withdraw|run on|halt|weak|sink|fear|fraud|"
    r"recall|default|layoff|plung|slip|down|delay|fine[ds]?\b|resign|tumbl|worr|queue|deposit|trouble|bleed|collapse",
    re.I,
)
_GOOD = re.compile(
    r"beat|rais|record|upgrad|gain|jump|soar|rall|ris|strong|surge|approv|win|grow|up \d|higher|best", re.I
)
_TOPICS = (
    ("Earnings", r"profit|revenue|EPS|guidance|earnings|results|quarter"),
    ("Fed | Central Banks", r"\bFed\b|ECB|central bank|Bank of|rate"),
    ("M&A | Investments", r"acqui|merg|stake|bid|takeover|joint venture"),
    ("Legal | Regulation", r"probe|lawsuit|court|regulat|fine|sue"),
    ("Energy | Oil", r"oil|barrel|OPEC|gas|energy"),
    ("Gold | Metals | Materials", r"gold|silver|copper|nickel|iron|lithium|zinc|platinum"),
    ("Currencies", r"euro|yen|pound|franc|peso|dollar|rupee|krona|lira"),
    ("Analyst Update", r"upgrade|downgrade|price target|overweight|rating|analyst"),
    ("Dividend", r"dividend|payout|buyback"),
    ("Personnel Change", r"appoint|resign|names|steps down|chief"),
    ("Financials", r"bank|deposit|lender|insur"),
    ("IPO", r"IPO|flotation|listing|debut"),
    ("Macro", r"inflation|GDP|jobs|unemployment|retail sales|economy"),
    ("Company | Product News", r"launch|product|plant|opens|platform|service"),
    ("Politics", r"minister|election|parliament|president|tariff"),
    ("Stock Movement", r"shares|stock|drops|jumps|falls"),
    ("Markets", r"index|S&P|Nasdaq|Dow|DAX|Nikkei|futures"),
)


@dataclass(frozen=True)
class _Message:
    uid: UUID
    story: UUID
    source: str
    id: str
    kind: str
    at: datetime
    title: str
    text: str
    url: str
    author: str
    entities: list[str]
    sentiment: str
    towards: list[str]
    scores: list[float]
    topic: str

    def series(self) -> dict[tuple[str, str], str]:
        """Sentiment by series."""
        whole = dict.fromkeys((("all", "all"), ("topic", self.topic), ("source", self.source)), self.sentiment)
        return whole | {("entity", name): said for name, said in zip(self.entities, self.towards, strict=True)}


def fill_store(url: str, until: datetime | None = None) -> datetime:
    """Fill the empty store at `url`, its schema up to date; returns the event time up to which it is complete.

    Without `until` that is the last Thursday noon: what is usual depends on the hour of the week, and with it what
    stands out.
    """
    end = (until or _last_thursday_noon()).replace(second=0, microsecond=0)
    start = end - SURGE_AFTER - TROUBLE_FOR
    before = (item for item in generate_feed(start - FORTNIGHT, _BEFORE) if BANK.ticker not in item["entities"])
    messages = [_labelled(item) for feed in (before, generate_feed(start, _NOW)) for item in feed]
    messages = sorted((each for each in messages if each.at < end), key=lambda each: (each.at, each.uid))
    messages.append(_hostile(end - timedelta(minutes=4)))
    with psycopg.connect(url) as connection:
        _write_messages(connection, messages, end)
        _write_trends(connection, messages)
        _write_progress(connection, end, len(messages))
        _write_incidents(connection, messages, end)
        connection.commit()
        connection.execute("ANALYZE")
    return end


def _last_thursday_noon() -> datetime:
    now = datetime.now(UTC)
    noon = now.replace(hour=12, minute=10) - timedelta(days=(now.weekday() - 3) % 7)
    return noon if noon <= now else noon - timedelta(days=7)


def _uuid(*parts: object) -> UUID:
    return UUID(bytes=hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()[:16])


def _labelled(item: dict[str, Any]) -> _Message:
    text = item["text"]
    plain = re.sub(r"^RT @\w+: | - [a-z-]+$", "", text).casefold()
    mood = 0 if _BAD.search(text) else 2 if _GOOD.search(text) else 1
    sure = 0.55 + (int.from_bytes(hashlib.sha256(plain.encode()).digest()[:2]) % 440) / 1000
    scores = [round((1 - sure) / 2, 4)] * 3
    scores[mood] = round(sure, 4)
    topic = next((name for name, words in _TOPICS if re.search(words, text)), "General News | Opinion")
    at = datetime.fromisoformat(item["published_at"])
    beside = [RIVAL] if item["entities"] and hashlib.sha256(plain.encode()).digest()[2] % 5 == 0 else []
    return _Message(
        uid=_uuid(item["source"], item["id"], at.date()),
        story=_uuid(plain),
        source=item["source"],
        id=f"{item['id']}-{at:%m%d}",
        kind=item["kind"],
        at=at,
        title=item.get("title", ""),
        text=text,
        url=item["url"],
        author=item.get("author", ""),
        entities=[*item["entities"], *beside],
        sentiment=SENTIMENTS[mood],
        towards=[*(SENTIMENTS[mood] for _ in item["entities"]), *(SENTIMENTS[2 - mood] for _ in beside)],
        scores=scores,
        topic=topic,
    )


def _hostile(at: datetime) -> _Message:
    item = {"text": HOSTILE, "title": HOSTILE, "source": "globalwire", "kind": "news", "id": "hostile", "entities": []}
    return _labelled({**item, "url": "javascript:document.title='owned'", "published_at": at.isoformat()})


def _copy(connection: psycopg.Connection[Any], table: str, columns: str, rows: Iterable[Iterable[Any]]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(tuple(row))


def _write_messages(connection: psycopg.Connection[Any], messages: list[_Message], end: datetime) -> None:
    for day in sorted({message.at.date() for message in messages}):
        ensure_partitions(connection, day)
    topics = [name for name, _ in _TOPICS]
    _copy(
        connection,
        "message",
        "uid, stored_on, source, id, kind, published_at, received_at, title, text, url, author, language, entities, "
        "marks, extra, story, text_key, sentiment, sentiment_scores, topic, topic_scores, model, entity_sentiments",
        (
            (m.uid, m.at.date(), m.source, m.id, m.kind, m.at, m.at, m.title, m.text, m.url, m.author, "en",
             m.entities, [], "{}", m.story, m.story, m.sentiment, m.scores, m.topic,
             [0.8 if name == m.topic else 0.01 for name in topics], MODEL, m.towards)
            for m in messages
        ),
    )  # fmt: skip
    _copy(connection, "message_key", "uid, stored_on", ((m.uid, m.at.date()) for m in messages))
    stories: dict[UUID, list[_Message]] = defaultdict(list)
    for message in messages:
        stories[message.story].append(message)
    _copy(
        connection,
        "story",
        "id, headline, first_at, first_uid, last_at, messages, stored_on",
        (
            (story, (told[0].title or told[0].text)[:200], told[0].at, told[0].uid, told[-1].at, len(told),
             told[-1].at.date())
            for story, told in stories.items()
        ),
    )  # fmt: skip
    firsts: dict[tuple[UUID, str, str], _Message] = {}
    for message in messages:
        for kind, name in message.series():
            firsts.setdefault((message.story, kind, name), message)
    _copy(
        connection,
        "story_series",
        "story, kind, name, first_at, uid, sentiment",
        ((*key, first.at, first.uid, first.series()[key[1:]]) for key, first in firsts.items()),
    )


def _write_trends(connection: psycopg.Connection[Any], messages: list[_Message]) -> None:
    counts: dict[tuple[str, str, datetime], Counter[str]] = defaultdict(Counter)
    seen: set[tuple[UUID, str, str]] = set()
    for message in messages:
        minute = message.at.replace(second=0, microsecond=0)
        for (kind, name), said in message.series().items():
            cell = counts[kind, name, minute]
            cell[said] += 1
            for sentiment, score in zip(SENTIMENTS, message.scores, strict=True):
                cell[f"p_{sentiment}"] += round(score * 1_000_000)
            if (message.story, kind, name) not in seen:
                seen.add((message.story, kind, name))
                cell[f"{said}_stories"] += 1
    columns = [
        f"{prefix}{name}{suffix}" for prefix, suffix in (("", ""), ("", "_stories"), ("p_", "")) for name in SENTIMENTS
    ]
    _copy(
        connection,
        "trend",
        ", ".join(("kind", "name", "minute", *columns)),
        ((*key, *(cell[column] for column in columns)) for key, cell in counts.items()),
    )


def _write_progress(connection: psycopg.Connection[Any], end: datetime, messages: int) -> None:
    connection.execute(
        "INSERT INTO offset_ledger (topic, partition, next_offset, end_offset, max_event_time, messages) "
        "VALUES ('messages', 0, %(n)s, %(n)s, %(end)s, %(n)s)",
        {"n": messages, "end": end},
    )
    connection.execute(
        "INSERT INTO alerting_progress (since, judged_until, drained) VALUES (%s, %s, false)",
        (end - timedelta(days=19), end - timedelta(minutes=10)),
    )


def _write_incidents(connection: psycopg.Connection[Any], messages: list[_Message], end: datetime) -> None:
    """The bank's, still open, with its topic in it; and two of the past, one of them marked."""
    opened = end - TROUBLE_FOR + timedelta(minutes=25)
    _incident(connection, messages, [("entity", BANK.ticker), ("topic", "Financials")], opened, None, 11.4)
    busy = _busiest_hour(messages, ("entity", "TSLA"), end - timedelta(days=3))
    _incident(connection, messages, [("entity", "TSLA")], busy, timedelta(hours=3), 5.2)
    busy = _busiest_hour(messages, ("topic", "Energy | Oil"), end - timedelta(days=7))
    past = _incident(connection, messages, [("topic", "Energy | Oil")], busy, timedelta(hours=2), 4.4)
    connection.execute(
        "INSERT INTO feedback (incident, verdict, analyst, note) VALUES (%s, 'false', 'ann', 'two unrelated spills')",
        (past,),
    )


def _busiest_hour(messages: list[_Message], series: tuple[str, str], since: datetime) -> datetime:
    """The hour of the day that follows `since` with the most bad news of a series."""
    hours = Counter(
        message.at.replace(minute=0, second=0, microsecond=0)
        for message in messages
        if since <= message.at < since + timedelta(days=1)
        and message.sentiment == "negative"
        and series in message.series()
    )
    return max(hours, key=lambda hour: (hours[hour], hour), default=since) + timedelta(minutes=25)


def _incident(
    connection: psycopg.Connection[Any],
    messages: list[_Message],
    series: list[tuple[str, str]],
    opened: datetime,
    length: timedelta | None,
    score: float,
) -> UUID:
    ids = [_uuid("alert", *each, opened) for each in series]
    incident = _uuid("incident", *ids)
    state = "open" if length is None else "closed"
    peak = opened + timedelta(minutes=110 if length is None else 35)
    closed = None if length is None else opened + length
    figures = []
    for number, (kind, name) in enumerate(series):
        window = (peak - timedelta(minutes=WINDOW), peak)
        driving = [
            m for m in messages
            if m.sentiment == "negative" and window[0] <= m.at < window[1] and (kind, name) in m.series()
        ]  # fmt: skip
        observed = len({message.story for message in driving})
        evidence = _evidence(driving)
        values = (ids[number], kind, name, state, opened, closed or peak, closed, peak, WINDOW, observed, 1.3, score,
                  json.dumps(evidence), incident)  # fmt: skip
        connection.execute(
            "INSERT INTO alert (id, kind, name, state, opened_at, last_at, closed_at, peak_at, window_minutes, "
            f"observed, expected, score, evidence, incident) VALUES ({', '.join(['%s'] * len(values))})",
            values,
        )
        figures.append(observed)
    leader = (incident, ids[0], *series[0], "negative", state, opened, closed or peak, closed, peak, WINDOW, figures[0],
              1.3, score)  # fmt: skip
    connection.execute(
        "INSERT INTO incident (id, leader, kind, name, signal, state, opened_at, last_at, closed_at, peak_at, "
        f"window_minutes, observed, expected, score) VALUES ({', '.join(['%s'] * len(leader))})",
        leader,
    )
    for change, at in (("opened", opened), ("updated", peak), ("resolved", closed)):
        if at is not None:
            connection.execute(
                "INSERT INTO incident_history (incident, change, times, at, recorded_at) VALUES (%s, %s, 1, %s, %s)",
                (incident, change, at, at),
            )
    return incident


def _evidence(driving: list[_Message]) -> dict[str, Any]:
    stories: dict[UUID, list[_Message]] = defaultdict(list)
    for message in driving:
        stories[message.story].append(message)
    leading = sorted(stories.values(), key=lambda told: -len(told))[:5]
    words = Counter(word for m in driving for word in set(re.findall(r"[a-z]{5,}", m.text.casefold())))
    return {
        "stories": [
            {
                "headline": (told[0].title or told[0].text)[:200],
                "url": told[0].url,
                "first_at": told[0].at.isoformat(),
                "sources": sorted({message.source for message in told}),
                "messages": len(told),
                "sentiment": told[0].sentiment,
                "entities": dict(zip(told[0].entities, told[0].towards, strict=True)),
            }
            for told in leading
        ],
        "words": [word for word, _ in words.most_common(8)],
        "negative_stories": len(stories),
    }
