"""Stories in Postgres: which story each text belongs to, decided by unique keys so that all workers agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from core.store.arrays import plain_array, text_array, time_array
from core.store.sql import load_queries
from stream.series import First, StorySeries
from stream.stories import Candidate, TextKey, assign

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

Connection = psycopg.Connection[Any]


def assign_stories(
    connection: Connection, texts: Sequence[TextKey], window: timedelta, today: date
) -> Mapping[UUID, UUID]:
    """Story of each text key. Unknown texts are inserted; where another worker was first, its choice stands."""
    first_seen: dict[UUID, TextKey] = {}
    for text in texts:
        known = first_seen.get(text.key)
        if known is None or text.first_at < known.first_at:
            first_seen[text.key] = text
    stories = dict(connection.execute(_SQL["known_texts"], {"keys": plain_array(first_seen)}).fetchall())
    unknown = sorted(
        (text for key, text in first_seen.items() if key not in stories), key=lambda text: (text.first_at, text.key)
    )
    if not unknown:
        return stories
    assignment = assign(unknown, _candidates(connection, unknown), window)
    named = _insert_texts(connection, {leader.key: leader.key for leader in assignment.leaders}, today)
    # A follower of a leader that lost its name to another worker goes where that leader went.
    followers = {key: named.get(story, story) for key, story in assignment.followers.items()}
    stories |= named | _insert_texts(connection, followers, today)
    _insert_bands(connection, [leader for leader in assignment.leaders if named[leader.key] == leader.key], window)
    return stories


def first_messages(connection: Connection, stories: Sequence[UUID]) -> dict[StorySeries, First]:
    """Lock the `stories` that exist, and give the first message of each in every series it counts in."""
    existing = [row[0] for row in connection.execute(_SQL["lock_stories"], {"stories": plain_array(sorted(stories))})]
    if not existing:
        return {}
    rows = connection.execute(_SQL["story_firsts"], {"stories": plain_array(existing)})
    return {(story, kind, name): First(at, uid, sentiment) for story, kind, name, at, uid, sentiment in rows}


def store_first_messages(connection: Connection, firsts: Mapping[StorySeries, First]) -> None:
    """Write the first messages that are new or earlier than before."""
    rows = sorted(firsts.items())
    connection.execute(
        _SQL["upsert_story_firsts"],
        {
            "story": plain_array(key[0] for key, _ in rows),
            "kind": text_array(key[1] for key, _ in rows),
            "name": text_array(key[2] for key, _ in rows),
            "first_at": time_array(first.published_at for _, first in rows),
            "uid": plain_array(first.uid for _, first in rows),
            "sentiment": text_array(first.sentiment for _, first in rows),
        },
    )


def _candidates(connection: Connection, texts: Sequence[TextKey]) -> dict[int, Candidate]:
    bands = [band for text in texts for band in text.bands]
    rows = connection.execute(_SQL["band_candidates"], {"bands": plain_array(bands)}) if bands else ()
    return {band: Candidate(story, signature, first_at) for band, story, signature, first_at in rows}


def _insert_texts(connection: Connection, stories: Mapping[UUID, UUID], today: date) -> dict[UUID, UUID]:
    if not stories:
        return {}
    keys = sorted(stories)
    rows = connection.execute(
        _SQL["insert_texts"],
        {"keys": plain_array(keys), "stories": plain_array(stories[key] for key in keys), "today": today},
    )
    return dict(rows.fetchall())


def _insert_bands(connection: Connection, leaders: Sequence[TextKey], window: timedelta) -> None:
    # One row per band: a key twice in one statement is an error in Postgres.
    rows = {band: leader for leader in reversed(leaders) for band in leader.bands}
    if not rows:
        return
    bands = sorted(rows)
    connection.execute(
        _SQL["insert_bands"],
        {
            "bands": plain_array(bands),
            "stories": plain_array(rows[band].key for band in bands),
            "first_ats": time_array(rows[band].first_at for band in bands),
            "window_s": window.total_seconds(),
        },
    )
