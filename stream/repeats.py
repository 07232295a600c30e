"""Messages that come under the id of an earlier one: whether they say the same or something that is dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from core.store.arrays import plain_array
from core.store.sql import fetch_rows, load_queries
from stream.batch import Classified

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


@dataclass(frozen=True, slots=True)
class Repeats:
    """How many records of a batch repeat an id with the same content and with another; one of these for the log."""

    same: int = 0
    different: int = 0
    example: str = ""


def count_repeats(connection: psycopg.Connection[Any], items: Iterable[Classified], stored: Iterable[UUID]) -> Repeats:
    """Compare the records among `items`, none of them read before, that were not stored with what is stored.

    Messages stored by an earlier version have no content to compare with, and count as the same.
    """
    new = set(stored)
    contents: dict[UUID, int] = {}
    repeats: list[Classified] = []
    for item in items:
        uid = item.item.uid
        if uid in new:
            new.discard(uid)
            contents[uid] = _content(item)
        else:
            repeats.append(item)
    if not repeats:
        return Repeats()
    known = {**_known_contents(connection, {item.item.uid for item in repeats} - contents.keys()), **contents}
    changed = [item for item in repeats if known.get(item.item.uid, _content(item)) != _content(item)]
    example = f"{changed[0].item.message.source} {changed[0].item.message.id[:100]!r}" if changed else ""
    return Repeats(len(repeats) - len(changed), len(changed), example)


def _content(item: Classified) -> int:
    return item.item.message.content_hash


def _known_contents(connection: psycopg.Connection[Any], uids: Iterable[UUID]) -> Mapping[UUID, int]:
    rows = fetch_rows(connection, _SQL["known_contents"], {"uids": plain_array(sorted(uids))})
    return {row.uid: row.content for row in rows if row.content is not None}
