"""What a decision of `assignment` changes in the store: ids of stories, and messages that move. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID, uuid4

from stream.stories import StoryText
from stream.story_records import Known, Position, Run


@dataclass(slots=True, eq=False)
class Leader:
    """The first message of a story. `text` is None for one of which nothing was read: it is nobody's copy here."""

    first: Position
    text: StoryText | None
    story: UUID | None
    leads: bool = True


@dataclass(frozen=True, slots=True)
class Leaders:
    """Who leads whom. `of_story`: by stored story; after a take-over, the one that took it, which is in `taken` too.
    `of_run`: of the runs that were in question. `runs_by_story`: the stored ones."""

    of_story: Mapping[UUID, Leader]
    taken: Mapping[UUID, Leader]
    of_run: Mapping[Run, Leader]
    runs_by_story: Mapping[UUID, Sequence[Run]]


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


def find_changes(new: Sequence[Run], known: Known, leaders: Leaders) -> Assignment:
    """What changes of what is `known`, now that the `new` messages have their `leaders`."""
    result = Assignment()
    names = _name(leaders, result)
    final: dict[Run, UUID] = {run: names[leader] for run, leader in leaders.of_run.items()}
    for run in new:
        result.stories[run.first.uid] = final[run]
    result.moves = [
        Move(run.text.id, run.story, target, run.first.uid if run.expanded else None)
        for run, target in final.items()
        if run.story is not None and run.story != target
    ]
    result.replaced = {(move.text, move.source) for move in result.moves}
    result.moved = {story for move in result.moves for story in (move.source, move.target)}
    stored = (known.stories[story].stored_on for story in result.moved & known.stories.keys())
    result.stored_since = min(stored, default=date.max)
    staying = [run for key in result.replaced for run in known.runs[key] if final.get(run, run.story) == run.story]
    result.runs = [(final.get(run) or run.story, run) for run in (*new, *staying)]  # type: ignore[misc]
    result.runs += [(final[run], run) for run in final if run.story is not None and run.story != final[run]]
    return result


def _name(leaders: Leaders, result: Assignment) -> dict[Leader, UUID]:
    """The id of each leader's story. One that lost its leader gives its id to where most of its messages go; where that
    has one, it ends, as `result` then notes."""
    names = {leader: story for story, leader in leaders.of_story.items() if leader.story == story}
    names |= {leader: story for story, leader in leaders.taken.items()}
    unseated = [story for story, leader in leaders.of_story.items() if leader.story != story or not leader.leads]
    heirs: list[tuple[int, UUID, Leader]] = []
    for story in unseated:
        if story in leaders.taken:
            continue
        counts: defaultdict[Leader, int] = defaultdict(int)
        for run in leaders.runs_by_story[story]:
            counts[leaders.of_run[run]] += run.messages
        heir = max(counts, key=lambda leader: (counts[leader], leader.first))
        heirs.append((counts[heir], story, heir))
        names.pop(leaders.of_story[story], None)
        result.ended.add(story)
    for _, story, heir in sorted(heirs, key=lambda one: (-one[0], one[1])):
        if heir not in names:
            names[heir] = story
            result.ended.discard(story)
    for run, leader in leaders.of_run.items():
        if leader not in names:
            names[leader] = run.first.uid if run.story is None else uuid4()
    return names
