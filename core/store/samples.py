"""Samples of stored messages, one per story, with what the model said of them: for whoever watches the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from core.records import Message
from core.store.messages import message_of
from core.store.sql import load_queries

_SQL = load_queries(Path(__file__).with_name("samples.sql"))

NEWEST = 50_000  # messages looked at: a sample costs the same on a store of any size


@dataclass(frozen=True, slots=True)
class Sampled:
    """A stored message with its scores per task, in the order of the labels of the model that gave them."""

    message: Message
    topic: str
    scores: dict[str, list[float]]


def read_window(engine: Engine, model: str, size: int, seed: int = 0, newest: int = NEWEST) -> list[Sampled]:
    """Up to `size` messages that `model` labelled, by event time: one per story, drawn with `seed` from the stories
    among the `newest` messages of the store. Copies of one story would count it many times."""
    return _read(engine, "window", model=model, size=size, seed=seed, pool=newest)


def read_unsure(
    engine: Engine,
    languages: Sequence[str],
    since: datetime | None,
    limit: int,
    confidence: float,
    margin: float,
    newest: int = NEWEST,
) -> list[Sampled]:
    """Up to `limit` messages in `languages`, or in one that nobody knows, the newest first and one per story, whose
    topic is unsure: its probability is below `confidence`, or less than `margin` above the second one's. `newest`
    messages since `since` are looked at, whatever their language."""
    parameters = {"since": since, "limit": limit, "confidence": confidence, "margin": margin}
    return _read(engine, "unsure", languages=list(languages), **parameters, pool=newest)


def count_stories(engine: Engine, languages: Sequence[str], since: datetime | None, newest: int = NEWEST) -> int:
    """Stories in `languages`, or in one that nobody knows, among the `newest` messages since `since`."""
    parameters = {"languages": list(languages), "since": since, "pool": newest}
    with engine.connect() as connection:
        return int(connection.execute(text(_SQL["stories"]), parameters).scalar_one())


def _read(engine: Engine, query: str, **parameters: Any) -> list[Sampled]:
    with engine.connect() as connection:
        rows: Iterable[Any] = connection.execute(text(_SQL[query]), parameters)
        return [
            Sampled(
                message_of(row),
                row.topic,
                {"sentiment": row.sentiment_scores, "topic": row.topic_scores},
            )
            for row in rows
        ]
