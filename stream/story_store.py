"""Stories in Postgres: brings the store to what `assignment` says, in the transaction that stores the messages.

Why workers agree. A message becomes a leader, or joins one, only after `lock_bands` locked the rows of all bands of
its text, inserted if need be; every copy of it shares one of them. What it then reads comes from later statements,
which under READ COMMITTED see all that was committed before them. So of two workers that bring copies at one moment,
the second waits at a band and then finds what the first one stored. Whether a story still is what was read is as
certain: nobody adds to a story, moves or ends it without the lock on its row, and after locking a row, all is read
again, until nothing that was read belongs to a story without a lock. The few messages that are assigned without a look
at their bands need none: a copy that comes after another of its text joins the same story, whose row is locked; a
message whose leader lost its place to a new, earlier one follows it, whose bands are locked.

Bands are locked in sorted order, then stories in sorted order. Only where stored messages have to move are more of
both locked afterwards; if two workers then wait for each other, Postgres ends one transaction and it is tried again.

What it costs. A text with no rival takes its rows in `story_band` and one in `story_text`; a copy that joins the story
of its text takes neither. A band remembers the `MOST_TEXTS` texts that came last, so a template that thousands of
different texts share costs no more than that many comparisons for each; texts that fell out are found through their
other bands, or as exact copies. Work to move stored messages grows with the number of runs and stories that are moved,
never with the number of copies of a text inside one window.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from core.store.arrays import bytes_array, plain_array, text_array, time_array
from core.store.sql import fetch_rows, load_queries
from stream.assignment import assign
from stream.series import First, StorySeries
from stream.stories import HEADLINE_CHARACTERS, StoryText
from stream.story_changes import Assignment
from stream.story_records import Known, Missing, Position, Run, StoredStory

_SQL = load_queries(Path(__file__).with_name("stories.sql"))

MOST_TEXTS = 1_000

Connection = psycopg.Connection[Any]


def assign_stories(connection: Connection, new: Sequence[Run], window: timedelta, today: date) -> Assignment:
    """Stories of `new` messages and of all that they put in question; what was read stays locked."""
    store = _Reader(connection, today)
    store.look_up(new, window)
    while True:
        result = assign(new, store.known, window)
        if isinstance(result, Missing):
            store.read(result)
        elif store.is_locked:
            return result
        else:
            store.refresh()


def store_assignment(
    connection: Connection, assignment: Assignment, new: Sequence[Run], headlines: Mapping[UUID, str], today: date
) -> None:
    """Write stories and runs, and move stored messages. `headlines` by uid of the new messages, which come later."""
    if assignment.moves:
        _move(connection, assignment)
    _add_to_runs(connection, assignment.runs, today)
    members: defaultdict[UUID, list[Run]] = defaultdict(list)
    for run in new:
        members[assignment.stories[run.first.uid]].append(run)
    ids = sorted(members.keys() - assignment.moved)
    firsts = [min(run.first for run in members[story]) for story in ids]
    if ids:
        connection.execute(
            _SQL["add_to_stories"],
            {
                "ids": plain_array(ids),
                "headlines": text_array(headlines[first.uid] for first in firsts),
                "first_ats": time_array(first.at for first in firsts),
                "first_uids": plain_array(first.uid for first in firsts),
                "last_ats": time_array(max(run.last_at for run in members[story]) for story in ids),
                "messages": plain_array(len(members[story]) for story in ids),
                "today": today,
            },
        )


def recount_moved(connection: Connection, assignment: Assignment, today: date) -> dict[StorySeries, First]:
    """Once all messages are in their places: count the `moved` stories anew; their first messages by series."""
    moved = {"stories": plain_array(sorted(assignment.moved)), "stored_since": min(assignment.stored_since, today)}
    connection.execute(_SQL["recount_stories"], {**moved, "headline": HEADLINE_CHARACTERS})
    connection.execute(_SQL["delete_stories"], {"stories": plain_array(sorted(assignment.ended))})
    return {
        (row.story, row.kind, row.name): First(row.published_at, row.uid, row.sentiment)
        for row in _rows(connection, "recounted_firsts", moved)
    }


def first_messages(connection: Connection, stories: Iterable[UUID]) -> dict[StorySeries, First]:
    """The stored first message of each of `stories` in every series it counts in."""
    wanted = plain_array(sorted(stories))
    return {
        (row.story, row.kind, row.name): First(row.first_at, row.uid, row.sentiment)
        for row in _rows(connection, "story_firsts", {"stories": wanted})
    }


def store_first_messages(
    connection: Connection, firsts: Mapping[StorySeries, First], gone: Iterable[StorySeries]
) -> None:
    """Write first messages that are new or changed, and delete those of series in which a story has none any more."""
    without = sorted(gone)
    if without:
        connection.execute(_SQL["delete_story_firsts"], _series_columns(without))
    rows = sorted(firsts.items())
    if rows:
        connection.execute(
            _SQL["upsert_story_firsts"],
            {
                **_series_columns([key for key, _ in rows]),
                "first_at": time_array(first.published_at for _, first in rows),
                "uid": plain_array(first.uid for _, first in rows),
                "sentiment": text_array(first.sentiment for _, first in rows),
            },
        )


class _Reader:
    """What one transaction has read and locked."""

    def __init__(self, connection: Connection, today: date) -> None:
        self.known = Known()
        self._connection = connection
        self._today = today
        self._copies: dict[UUID, frozenset[UUID]] = {}  # by text whose bands are locked: those that share a band
        self._wanted: dict[UUID, tuple[datetime, datetime]] = {}
        self._expansions: set[tuple[UUID, UUID]] = set()
        self._locked: set[UUID] = set()

    @property
    def is_locked(self) -> bool:
        return self.known.stories.keys() <= self._locked

    def look_up(self, new: Iterable[Run], window: timedelta) -> None:
        """Read the runs of the same texts without a lock, to see which of `new` may be no more than further copies."""
        wanted: dict[UUID, tuple[datetime, datetime]] = {}
        for run in new:
            if run.text.bands:
                span = (run.first.at - window, run.first.at + window)
                wanted[run.text.id] = _joined(wanted.get(run.text.id), span)
        rows = self._read_runs(wanted)
        self._keep(rows)
        self._wanted |= {run.text.id: wanted[run.text.id] for run in rows}

    def read(self, missing: Missing) -> None:
        """Lock and read all that `missing` names."""
        self._lock_bands([(text, until) for text, _, until in missing.texts.values() if text.id not in self._copies])
        for text, since, until in missing.texts.values():
            reach = _joined(self.known.reach.get(text.id), (since, until))
            self.known.reach[text.id] = reach
            for copy in self._copies[text.id]:
                self._wanted[copy] = _joined(self._wanted.get(copy), reach)
        self.known.whole |= missing.stories
        self._expansions |= missing.expansions
        self.refresh()

    def refresh(self) -> None:
        """Read again all that was asked for, and lock its stories, until all that is read is locked."""
        while True:
            rows = self._read_runs(self._wanted) if self._wanted else []
            if self.known.whole:
                rows += self._runs("runs_of_stories", {"stories": plain_array(self.known.whole)})
            unlocked = {run.story for run in rows if run.story is not None} - self._locked
            if not unlocked:
                break
            self._connection.execute(_SQL["lock_stories"], {"stories": plain_array(sorted(unlocked))})
            self._locked |= unlocked
        self._keep(rows)
        if self._expansions:
            self._expand()

    def _lock_bands(self, texts: Sequence[tuple[StoryText, datetime]]) -> None:
        if not texts:
            return
        shared = {
            row.band: row.texts
            for row in _rows(
                self._connection,
                "lock_bands",
                {
                    "texts": plain_array(text.id for text, _ in texts),
                    "ats": time_array(at for _, at in texts),
                    "bands": text_array(plain_array(text.bands) for text, _ in texts),
                    "today": self._today,
                    "most": MOST_TEXTS,
                },
            )
        }
        for text, _ in texts:
            self._copies[text.id] = frozenset(copy for band in text.bands for copy in shared.get(band, ()))

    def _read_runs(self, wanted: Mapping[UUID, tuple[datetime, datetime]]) -> list[Run]:
        return self._runs(
            "runs_of_texts",
            {
                "texts": plain_array(wanted),
                "since": time_array(since for since, _ in wanted.values()),
                "until": time_array(until for _, until in wanted.values()),
            },
        )

    def _runs(self, query: str, parameters: Mapping[str, Any]) -> list[Run]:
        return [
            Run(
                StoryText(row.text, row.form, tuple(row.bands), row.signature),
                Position(row.first_at, row.first_uid),
                row.last_at,
                row.messages,
                row.story,
            )
            for row in _rows(self._connection, query, parameters)
        ]

    def _keep(self, runs: Sequence[Run]) -> None:
        self.known.runs = {(run.text.id, run.story): [run] for run in runs if run.story is not None}
        stories = {run.story for run in runs if run.story is not None}
        rows = _rows(self._connection, "stories", {"stories": plain_array(stories)}) if stories else []
        self.known.stories = {
            row.id: StoredStory(
                row.id, Position(row.first_at, row.first_uid), row.last_at, row.messages, row.stored_on, row.fixed
            )
            for row in rows
        }
        # Read without a lock, a run may be there whose story is gone by now.
        self.known.runs = {key: found for key, found in self.known.runs.items() if key[1] in self.known.stories}

    def _expand(self) -> None:
        keys = sorted(self._expansions & self.known.runs.keys())
        singles: dict[tuple[UUID, UUID], list[Run]] = {key: [] for key in keys}
        parameters = {
            "texts": plain_array(text for text, _ in keys),
            "stories": plain_array(story for _, story in keys),
            "stored_since": min((self.known.stories[story].stored_on for _, story in keys), default=self._today),
        }
        for row in _rows(self._connection, "messages_of_runs", parameters):
            key = (row.text_key, row.story)
            position = Position(row.published_at, row.uid)
            text = self.known.runs[key][0].text
            singles[key].append(Run(text, position, row.published_at, 1, row.story, expanded=True))
        self.known.runs |= singles


def _joined(one: tuple[datetime, datetime] | None, other: tuple[datetime, datetime]) -> tuple[datetime, datetime]:
    return other if one is None else (min(one[0], other[0]), max(one[1], other[1]))


def _move(connection: Connection, assignment: Assignment) -> None:
    whole = [move for move in assignment.moves if move.uid is None]
    single = [move for move in assignment.moves if move.uid is not None]
    if whole:
        connection.execute(
            _SQL["move_runs"],
            {
                "texts": plain_array(move.text for move in whole),
                "sources": plain_array(move.source for move in whole),
                "targets": plain_array(move.target for move in whole),
                "stored_since": assignment.stored_since,
            },
        )
    if single:
        connection.execute(
            _SQL["move_messages"],
            {
                "uids": plain_array(move.uid for move in single),
                "sources": plain_array(move.source for move in single),
                "targets": plain_array(move.target for move in single),
                "stored_since": assignment.stored_since,
            },
        )
    replaced = sorted(assignment.replaced)
    connection.execute(
        _SQL["delete_runs"],
        {"texts": plain_array(text for text, _ in replaced), "stories": plain_array(story for _, story in replaced)},
    )


def _add_to_runs(connection: Connection, runs: Sequence[tuple[UUID, Run]], today: date) -> None:
    together: defaultdict[tuple[UUID, UUID], list[Run]] = defaultdict(list)
    for story, run in runs:
        if run.text.bands:
            together[run.text.id, story].append(run)
    keys = sorted(together)
    if not keys:
        return
    firsts = [min(run.first for run in together[key]) for key in keys]
    texts = [together[key][0].text for key in keys]
    connection.execute(
        _SQL["add_to_runs"],
        {
            "texts": plain_array(text for text, _ in keys),
            "stories": plain_array(story for _, story in keys),
            "forms": plain_array(text.form for text in texts),
            "first_ats": time_array(first.at for first in firsts),
            "first_uids": plain_array(first.uid for first in firsts),
            "last_ats": time_array(max(run.last_at for run in together[key]) for key in keys),
            "messages": plain_array(sum(run.messages for run in together[key]) for key in keys),
            "signatures": bytes_array(text.signature for text in texts),
            "bands": text_array(plain_array(text.bands) for text in texts),
            "today": today,
        },
    )


def _series_columns(keys: Sequence[StorySeries]) -> dict[str, str]:
    return {
        "story": plain_array(story for story, _, _ in keys),
        "kind": text_array(kind for _, kind, _ in keys),
        "name": text_array(name for _, _, name in keys),
    }


def _rows(connection: Connection, query: str, parameters: Mapping[str, Any]) -> list[Any]:
    return fetch_rows(connection, _SQL[query], parameters)
