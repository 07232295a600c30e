"""Records that come again after their commit, to be published: what they say is what the store says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from core.fitting import SENTIMENTS
from core.store.arrays import plain_array
from core.store.sql import fetch_rows, load_queries
from stream.batch import Classified, Labels
from stream.ledger import Unread

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


def as_stored(
    connection: psycopg.Connection[Any], classified: Sequence[Classified], unread: Unread
) -> list[Classified]:
    """`classified` as they are to be published: those that are not `unread` as the store has them, or not at all.

    A message that was set aside when it was read first is in no store, whatever is made of it now. What retention has
    dropped, and other content under a known id, is left as it was read now.
    """
    again = {item.item.uid for item in classified if item.item.record not in unread}
    if not again:
        return list(classified)
    rows = fetch_rows(connection, _SQL["stored_messages"], {"uids": plain_array(sorted(again))})
    stored = {row.uid: row for row in rows}
    published = []
    for item in classified:
        if item.item.record in unread:
            published.append(item)
        elif (row := stored.get(item.item.uid)) is not None:
            same = row.language is not None and row.content in (None, item.item.message.content_hash)
            published.append(_as_in(row, item) if same else item)
    return published


def _as_in(row: Any, item: Classified) -> Classified:
    read = replace(item.item, entities=row.entities, language=row.language)
    if row.model is None:
        return replace(item, item=read, labels=None)
    size, sentiments = len(SENTIMENTS), row.entity_sentiments or [None] * len(row.entities)
    towards = {
        company: (sentiment, row.entity_scores[at * size : (at + 1) * size])
        for at, (company, sentiment) in enumerate(zip(row.entities, sentiments, strict=True))
        if sentiment is not None
    }
    labels = Labels(row.sentiment, row.sentiment_scores, row.topic, row.topic_scores, row.model, towards)
    return replace(item, item=read, labels=labels)
