"""Which story a message belongs to, whatever the order of arrival. Pure; `story_store` feeds it from Postgres.

The rule. In the order of event time, then uid, a message joins the earliest-begun story whose first message, its
leader, is at most the window before it and a copy of it; where there is none, it leads a story of its own. The rule
looks back only: once all messages up to a moment are stored, their stories are final, whatever is stored after it.

Messages come in any order, so `assign` repairs. It visits those whose story is in question in the order of the rule,
the new ones first of all. When one is visited, all leaders before it are final. A new leader puts in question the later
messages within its window that are its copies and belong to a later-led story; a leader that joins another story puts
in question all that followed it. Nothing else can change.

Stored messages are visited by runs: the messages of a story that have one text. A run moves as one unless its end lies
outside the window of the leader that its first message joins.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from stream.stories import StoryText, copies_among
from stream.story_changes import Assignment, Leader, Leaders, find_changes
from stream.story_records import Known, Missing, Position, Run, StoredStory


def assign(new: Sequence[Run], known: Known, window: timedelta) -> Assignment | Missing:
    """Stories of the `new` messages and of all that they put in question, or what has to be read to tell."""
    return _Pass(new, known, window).run()


class _Pass:
    """One attempt of the rule on what is known."""

    def __init__(self, new: Sequence[Run], known: Known, window: timedelta) -> None:
        self._known = known
        self._window = window
        self._missing = Missing()
        self._leaders: dict[UUID, Leader] = {}  # by stored story; after a take-over, the one that took it
        self._by_band: defaultdict[int, list[Leader]] = defaultdict(list)
        self._runs_by_band: defaultdict[int, list[Run]] = defaultdict(list)
        self._stories_of_text: defaultdict[UUID, list[tuple[Position, UUID]]] = defaultdict(list)
        self._runs_by_story: defaultdict[UUID, list[Run]] = defaultdict(list)
        self._taken: dict[UUID, Leader] = {}
        self._leader_of: dict[Run, Leader] = {}
        self._queue: list[tuple[Position, int, Run]] = []
        self._queued: set[Run] = set()
        self._counter = itertools.count()
        self._new = new
        self._index()
        for run in new:
            self._push(run)

    def run(self) -> Assignment | Missing:
        while self._queue:
            self._visit(heapq.heappop(self._queue)[2])
        if self._missing:
            return self._missing
        leaders = Leaders(self._leaders, self._taken, self._leader_of, self._runs_by_story)
        return find_changes(self._new, self._known, leaders)

    def _index(self) -> None:
        for story in self._known.stories.values():
            self._leaders[story.id] = Leader(story.first, None, story.id)
        for (text, story_id), runs in self._known.runs.items():
            if runs:
                self._stories_of_text[text].append((runs[0].first, story_id))
        for run in itertools.chain.from_iterable(self._known.runs.values()):
            assert run.story is not None
            self._runs_by_story[run.story].append(run)
            leader = self._leaders[run.story]
            if leader.first == run.first:
                leader.text = run.text
                self._add_leader(leader, run.text)
            for band in run.text.bands:
                self._runs_by_band[band].append(run)

    def _add_leader(self, leader: Leader, text: StoryText) -> None:
        for band in text.bands:
            self._by_band[band].append(leader)

    def _push(self, run: Run) -> None:
        if run not in self._queued:
            self._queued.add(run)
            heapq.heappush(self._queue, (run.first, next(self._counter), run))

    def _visit(self, run: Run) -> None:
        position = run.first
        before = self._stored(run)
        leader = self._earliest_leader(run)
        if not self._is_known(run.text, position.at - self._window, position.at):
            # Before its old leader no stored one is a copy of it, so a new leader before that is the earliest.
            if before is None:
                self._need(run)
                return
            if leader is None or leader.first > before.first:
                leader = self._leaders[before.id]
                if not leader.leads or not self._reaches(leader, position.at):
                    self._need(run)
                    return
                if leader.first == position:
                    leader = None
        if leader is None:
            self._lead(run, before)
        elif not self._reaches(leader, run.last_at):
            self._expand(run)
        else:
            self._leader_of[run] = leader
            if run.story is not None and before is not None and before.first == position:
                self._unseat(run, before, leader)

    def _stored(self, run: Run) -> StoredStory | None:
        """The story that `run` belongs to in the store, or would, had it come alone and in order."""
        if run.story is not None:
            return self._known.stories[run.story]
        for first, owner in self._stories_of_text.get(run.text.id, ()):
            story = self._known.stories[owner]
            if first < run.first and run.first.at - story.first.at <= self._window:
                return story
        return None

    def _lead(self, run: Run, before: StoredStory | None) -> None:
        position = run.first
        if run.story is not None and before is not None and before.first == position:
            self._leader_of[run] = self._leaders[run.story]
            return
        if run.last_at - position.at > self._window:
            self._expand(run)
            return
        if not self._is_known(run.text, position.at, position.at + self._window):
            self._need(run)
            return
        leader = Leader(position, run.text, None)
        self._leader_of[run] = leader
        for follower in self._later_copies(leader, run.text):
            self._push(follower)
        self._add_leader(leader, run.text)

    def _later_copies(self, leader: Leader, text: StoryText) -> list[Run]:
        """Stored runs that belong to a story led later than `leader`, though they begin with its copy in its window."""
        end = leader.first.at + self._window
        found: dict[Run, StoryText] = {}
        for band in text.bands:
            for run in self._runs_by_band.get(band, ()):
                if leader.first < run.first and run.first.at <= end and run not in self._queued:
                    assert run.story is not None
                    if self._leaders[run.story].first > leader.first and not self._known.stories[run.story].fixed:
                        found[run] = run.text
        return list(copies_among(text, list(found.items()))) if found else []

    def _unseat(self, run: Run, story: StoredStory, leader: Leader) -> None:
        """The leader of `story` joins the story of `leader`."""
        self._leaders[story.id].leads = False
        if leader.text is not None and leader.text.id == run.text.id and self._reaches(leader, story.last_at):
            # A copy of the same text, and all of the story in its window: whoever followed one follows the other.
            self._leaders[story.id] = self._taken[story.id] = leader
        elif story.id not in self._known.whole:
            self._missing.stories.add(story.id)
        else:
            for follower in self._runs_by_story[story.id]:
                self._push(follower)

    def _earliest_leader(self, run: Run) -> Leader | None:
        since, first, text = run.first.at - self._window, run.first, run.text
        found: dict[Leader, StoryText] = {}
        for band in text.bands:
            for leader in self._by_band.get(band, ()):
                if leader.leads and leader.first < first and leader.first.at >= since and leader.text is not None:
                    found[leader] = leader.text
        return min(copies_among(text, list(found.items())), key=lambda leader: leader.first, default=None)

    def _reaches(self, leader: Leader, at: datetime) -> bool:
        return at - leader.first.at <= self._window

    def _is_known(self, text: StoryText, since: datetime, until: datetime) -> bool:
        if not text.bands:
            return True
        first, last = self._known.reach.get(text.id, (until, since))
        return first <= since and until <= last

    def _need(self, run: Run) -> None:
        since, until = run.first.at - self._window, run.first.at + self._window
        reach = self._known.reach.get(run.text.id)
        if reach is not None:
            # A text that comes again and again shifts window after window: read eight times as far at each attempt.
            until = max(until, reach[1] + 7 * (reach[1] - reach[0]))
        self._missing.need(run.text, since, until)

    def _expand(self, run: Run) -> None:
        """The run does not fit into one window: read it message by message, and all later ones of its text."""
        assert run.story is not None
        for first, story in self._stories_of_text[run.text.id]:
            runs = self._known.runs[run.text.id, story]
            if first >= run.first and not runs[0].expanded and runs[0].messages > 1:
                self._missing.expansions.add((run.text.id, story))
        self._missing.expansions.add((run.text.id, run.story))
