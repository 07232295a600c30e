"""Finding messages by their words, series, sentiment and time."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, TextClause

from core.store.sql import records
from desk.store.sql import queries_beside

QUERIES = queries_beside(__file__)
_ONE_DAY = timedelta(days=1)

# The scripts without spaces of `search_words` in migration 0015.
_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+"
)

# A word that many hold fills a page from the last hours alone, and one that few hold is soon looked up everywhere.
_FIRST_SPAN = timedelta(hours=6)
_WIDER, _NARROWER = 8.0, 0.25  # how much longer the next span may be, or has to be at least
_PATIENCE_S = 0.1
_LEAST_ID = UUID(int=0)


MessageKey = tuple[datetime, UUID]


@dataclass(frozen=True)
class FoundMessage:
    """A message; its source by key."""

    uid: UUID
    story: UUID
    source: str
    kind: str
    published_at: datetime
    title: str
    text: str
    url: str
    author: str
    language: str
    entities: list[str]
    entity_sentiments: list[str | None] | None
    topic: str | None
    sentiment: str | None
    sentiment_scores: list[float] | None
    model: str | None


@dataclass(frozen=True)
class Search:
    """Messages from `since` up to `until` whose title or text holds `q`: words, "phrases", `or`, and `-` for not.

    `series`: each one it is in, as (kind, name).
    """

    q: str
    series: tuple[tuple[str, str], ...]
    since: datetime
    until: datetime
    sentiment: str | None = None

    @property
    def runs(self) -> list[str]:
        """What `q` holds of scripts without spaces."""
        return _WITHOUT_SPACES.findall(self.q)

    @property
    def exact(self) -> str:
        """Lexemes that a message has to have, besides the words of `q`, as a tsquery."""
        lexemes = [_quoted(f"{kind}={name}") for kind, name in self.series if kind != "all"]
        for run in self.runs:
            lexemes += [_quoted(run[i : i + 2]) for i in range(len(run) - 1)] or [f"{_quoted(run)}:*"]
        return " & ".join(lexemes)

    def values(self) -> dict[str, object]:
        """Parameters of both queries."""
        return {
            "words": _WITHOUT_SPACES.sub(" ", self.q),
            "exact": self.exact,
            "runs": self.runs,
            "sentiment": self.sentiment,
            "since": self.since,
            "until": self.until,
            "stored_from": (self.since - _ONE_DAY).date(),  # nothing is stored before it is published, but for clocks
        }


def search_page(
    connection: Connection, wanted: Search, before: MessageKey | None, limit: int
) -> tuple[list[FoundMessage], MessageKey | None]:
    """Up to `limit` messages, the newest first, those before the key `before`; and after which key to go on, None where
    there is nothing more.

    It looks through longer and longer spans of the past, as long as may be looked through in the time that is left, and
    ends early once it has looked for `_PATIENCE_S`: a phrase of frequent words can't be looked up, its words can.
    """
    found: list[FoundMessage] = []
    until = min(wanted.until, before[0] + timedelta(microseconds=1)) if before else wanted.until
    known = connection.execute(QUERIES["known"]).one()
    until = min(until, known.until + timedelta(microseconds=1)) if known.until else wanted.since
    least = max(wanted.since, known.since) if known.since else wanted.since
    length = _FIRST_SPAN
    began = time.monotonic()
    while until > least:
        since = until - min(length, until - least)
        values = {
            **wanted.values(),
            "since": since,
            "until": until,
            "stored_from": (since - _ONE_DAY).date(),
            "before": before and before[0],
            "before_uid": before and before[1],
            "limit": limit + 1 - len(found),
        }
        looked = time.monotonic()
        found += records(FoundMessage, connection.execute(_query(wanted), values))
        if len(found) > limit:
            return found[:limit], (found[limit - 1].published_at, found[limit - 1].uid)
        until, now = since, time.monotonic()
        left = began + _PATIENCE_S - now
        if until > least and left < 0:
            return found, (until, _LEAST_ID)
        length *= min(_WIDER, max(_NARROWER, left / (2 * (now - looked))))
    return found, None


def search_all(connection: Connection, wanted: Search, batch: int) -> Iterator[list[FoundMessage]]:
    """Everything that is found, the newest first, in batches; read through a cursor of the server."""
    values = {**wanted.values(), "before": None, "before_uid": None, "limit": None}
    with connection.execute(
        _query(wanted), values, execution_options={"stream_results": True, "max_row_buffer": batch}
    ) as result:
        for rows in result.partitions(batch):
            yield records(FoundMessage, rows)


def _query(wanted: Search) -> TextClause:
    return QUERIES["matching" if wanted.q.strip() or wanted.exact else "newest"]


def _quoted(lexeme: str) -> str:
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
