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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple, TypeVar
from uuid import UUID, uuid4

from stream.stories import StoryText, similarities

_CHUNK = 256  # signatures compared at once
_T = TypeVar("_T")


class Position(NamedTuple):
    """Where a message stands in the order of the rule."""

    at: datetime
    uid: UUID


@dataclass(slots=True, eq=False)
class Run:
    """Messages of one text: those that a stored `story` has, or one new message (`story` is None).

    `expanded`: the run stands for one message of a stored run that was read message by message.
    """

    text: StoryText
    first: Position
    last_at: datetime
    messages: int = 1
    story: UUID | None = None
    expanded: bool = False


@dataclass(frozen=True, slots=True)
class StoredStory:
    """A stored story; none of its messages was stored before the day `stored_on`.

    One that is `fixed` was assigned by an earlier version: it takes new messages and moves none.
    """

    id: UUID
    first: Position
    last_at: datetime
    messages: int
    stored_on: date
    fixed: bool = False


@dataclass(slots=True)
class Known:
    """What was read of the store. `reach`: event times, by text, between which all runs of all its copies are here."""

    stories: dict[UUID, StoredStory] = field(default_factory=dict)
    runs: dict[tuple[UUID, UUID], list[Run]] = field(default_factory=dict)  # by text and story
    reach: dict[UUID, tuple[datetime, datetime]] = field(default_factory=dict)
    whole: set[UUID] = field(default_factory=set)  # stories of which all runs are here


@dataclass(slots=True)
class Missing:
    """What has to be read before the rule can decide."""

    texts: dict[UUID, tuple[StoryText, datetime, datetime]] = field(default_factory=dict)
    stories: set[UUID] = field(default_factory=set)
    expansions: set[tuple[UUID, UUID]] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.texts or self.stories or self.expansions)

    def need(self, text: StoryText, since: datetime, until: datetime) -> None:
        _, first, last = self.texts.get(text.id, (text, since, until))
        self.texts[text.id] = (text, min(first, since), max(last, until))


@dataclass(frozen=True, slots=True)
class Move:
    """Stored messages that change their story: a run, or one message of it."""

    text: UUID
    source: UUID
    target: UUID
    uid: UUID | None


@dataclass(slots=True)
class Assignment:
    """The story of each new message by uid, and what changes of the stored ones.

    `runs`: messages to add to the stored run of a (text, story), after the runs in `replaced` were deleted.
    `moved`: stories that stored messages leave or enter; of those, `ended` have no messages any more. None of their
    messages was stored before `stored_since`.
    """

    stories: dict[UUID, UUID] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    replaced: set[tuple[UUID, UUID]] = field(default_factory=set)
    runs: list[tuple[UUID, Run]] = field(default_factory=list)
    moved: set[UUID] = field(default_factory=set)
    ended: set[UUID] = field(default_factory=set)
    stored_since: date = date.max


def assign(new: Sequence[Run], known: Known, window: timedelta) -> Assignment | Missing:
    """Stories of the `new` messages and of all that they put in question, or what has to be read to tell."""
    return _Pass(new, known, window).run()


@dataclass(slots=True, eq=False)
class _Leader:
    """The first message of a story. `text` is None for one of which nothing was read: it is nobody's copy here."""

    first: Position
    text: StoryText | None
    story: UUID | None
    leads: bool = True


class _Pass:
    """One attempt of the rule on what is known."""

    def __init__(self, new: Sequence[Run], known: Known, window: timedelta) -> None:
        self._known = known
        self._window = window
        self._missing = Missing()
        self._leaders: dict[UUID, _Leader] = {}  # by stored story; after a take-over, the one that took it
        self._by_band: defaultdict[int, list[_Leader]] = defaultdict(list)
        self._runs_by_band: defaultdict[int, list[Run]] = defaultdict(list)
        self._stories_of_text: defaultdict[UUID, list[tuple[Position, UUID]]] = defaultdict(list)
        self._runs_by_story: defaultdict[UUID, list[Run]] = defaultdict(list)
        self._taken: dict[UUID, _Leader] = {}
        self._leader_of: dict[Run, _Leader] = {}
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
        if not self._missing:
            result = self._result()
        return self._missing or result

    def _index(self) -> None:
        for story in self._known.stories.values():
            self._leaders[story.id] = _Leader(story.first, None, story.id)
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

    def _add_leader(self, leader: _Leader, text: StoryText) -> None:
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
        leader = _Leader(position, run.text, None)
        self._leader_of[run] = leader
        for follower in self._later_copies(leader, run.text):
            self._push(follower)
        self._add_leader(leader, run.text)

    def _later_copies(self, leader: _Leader, text: StoryText) -> list[Run]:
        """Stored runs that belong to a story led later than `leader`, though they begin with its copy in its window."""
        end = leader.first.at + self._window
        found: dict[Run, StoryText] = {}
        for band in text.bands:
            for run in self._runs_by_band.get(band, ()):
                if leader.first < run.first and run.first.at <= end and run not in self._queued:
                    assert run.story is not None
                    if self._leaders[run.story].first > leader.first and not self._known.stories[run.story].fixed:
                        found[run] = run.text
        return list(_copies(text, list(found.items()))) if found else []

    def _unseat(self, run: Run, story: StoredStory, leader: _Leader) -> None:
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

    def _earliest_leader(self, run: Run) -> _Leader | None:
        since, first, text = run.first.at - self._window, run.first, run.text
        found: dict[_Leader, StoryText] = {}
        for band in text.bands:
            for leader in self._by_band.get(band, ()):
                if leader.leads and leader.first < first and leader.first.at >= since and leader.text is not None:
                    found[leader] = leader.text
        return min(_copies(text, list(found.items())), key=lambda leader: leader.first, default=None)

    def _reaches(self, leader: _Leader, at: datetime) -> bool:
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

    def _result(self) -> Assignment:
        result = Assignment()
        names = self._names(result)
        final: dict[Run, UUID] = {run: names[leader] for run, leader in self._leader_of.items()}
        for run in self._new:
            result.stories[run.first.uid] = final[run]
        result.moves = [
            Move(run.text.id, run.story, target, run.first.uid if run.expanded else None)
            for run, target in final.items()
            if run.story is not None and run.story != target
        ]
        result.replaced = {(move.text, move.source) for move in result.moves}
        result.moved = {story for move in result.moves for story in (move.source, move.target)}
        stored = (self._known.stories[story].stored_on for story in result.moved & self._known.stories.keys())
        result.stored_since = min(stored, default=date.max)
        staying = [
            run for key in result.replaced for run in self._known.runs[key] if final.get(run, run.story) == run.story
        ]
        result.runs = [(final.get(run) or run.story, run) for run in (*self._new, *staying)]  # type: ignore[misc]
        result.runs += [(final[run], run) for run in final if run.story is not None and run.story != final[run]]
        return result

    def _names(self, result: Assignment) -> dict[_Leader, UUID]:
        """The id of each leader's story. One that lost its leader gives its id to where most of its messages go."""
        names = {leader: story for story, leader in self._leaders.items() if leader.story == story}
        names |= {leader: story for story, leader in self._taken.items()}
        unseated = [story for story, leader in self._leaders.items() if leader.story != story or not leader.leads]
        heirs: list[tuple[int, UUID, _Leader]] = []
        for story in unseated:
            if story in self._taken:
                continue
            counts: defaultdict[_Leader, int] = defaultdict(int)
            for run in self._runs_by_story[story]:
                counts[self._leader_of[run]] += run.messages
            heir = max(counts, key=lambda leader: (counts[leader], leader.first))
            heirs.append((counts[heir], story, heir))
            names.pop(self._leaders[story], None)
            result.ended.add(story)
        for _, story, heir in sorted(heirs, key=lambda one: (-one[0], one[1])):
            if heir not in names:
                names[heir] = story
                result.ended.discard(story)
        for run, leader in self._leader_of.items():
            if leader not in names:
                names[leader] = run.first.uid if run.story is None else uuid4()
        return names


def _copies(text: StoryText, others: Sequence[tuple[_T, StoryText]]) -> Iterator[_T]:
    """Those of `others` that are copies of `text`; all of them share a band with it."""
    for start in range(0, len(others), _CHUNK):
        chunk = others[start : start + _CHUNK]
        near = [other for _, other in chunk if other.signature and text.signature and not text.repeats(other)]
        measured = (
            dict(
                zip(
                    (other.id for other in near), similarities(text.signature, [n.signature for n in near]), strict=True
                )
            )
            if near
            else {}
        )
        for name, other in chunk:
            if text.repeats(other) or measured.get(other.id, 0.0) >= max(text.similar, other.similar):
                yield name
