"""What a shadow model said beside the live one: stored for a sample of messages, read as agreement and as differences.

No trend reads these rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine, text

from core.intervals import wilson_interval
from core.store.sql import load_queries, records

_SQL = {name: text(body) for name, body in load_queries(Path(__file__).with_suffix(".sql")).items()}


@dataclass(frozen=True, slots=True)
class ShadowRow:
    """Labels by task that both models gave a message; `confidence` is the shadow's least probability of its own."""

    uid: UUID
    live: str
    published_at: datetime
    live_labels: Mapping[str, str]
    shadow_labels: Mapping[str, str]
    confidence: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two models gave a task the same label, with the 95% Wilson interval of that share."""

    task: str
    messages: int
    agreeing: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A message that the shadow labels otherwise than the live model did."""

    uid: UUID
    shadow: str
    live: str
    source: str
    kind: str
    published_at: datetime
    title: str
    text: str
    live_labels: dict[str, str]
    shadow_labels: dict[str, str]
    confidence: float


def store_shadow_rows(engine: Engine, shadow: str, rows: Sequence[ShadowRow]) -> int:
    """Store `rows`; those of messages that the shadow labelled before change nothing. The number of new ones."""
    if not rows:
        return 0
    with engine.begin() as connection:
        done = connection.execute(
            _SQL["add_shadow_messages"],
            {
                "shadow": shadow,
                "uid": [row.uid for row in rows],
                "live": [row.live for row in rows],
                "published_at": [row.published_at for row in rows],
                "live_labels": [json.dumps(dict(row.live_labels)) for row in rows],
                "shadow_labels": [json.dumps(dict(row.shadow_labels)) for row in rows],
                "confidence": [row.confidence for row in rows],
            },
        )
        return done.rowcount


def read_agreement(engine: Engine, shadow: str, live: str) -> list[Agreement]:
    """Agreement of `shadow` with `live` by task, over the sampled messages that `live` labelled."""
    with engine.connect() as connection:
        rows = connection.execute(_SQL["agreement"], {"shadow": shadow, "live": live})
        return [_agreement(row.task, row.messages, row.agreeing) for row in rows]


def read_disagreements(
    engine: Engine, *, shadow: str | None = None, task: str | None = None, limit: int = 100
) -> list[Disagreement]:
    """Messages that a shadow (any, or the one named) labels otherwise, in any task or in `task`, the newest first."""
    with engine.connect() as connection:
        rows = connection.execute(_SQL["disagreements"], {"shadow": shadow, "task": task, "limit": limit})
        return records(Disagreement, rows)


def _agreement(task: str, messages: int, agreeing: int) -> Agreement:
    return Agreement(task, messages, agreeing, agreeing / messages, *wilson_interval(agreeing, messages))
