"""Which story is worth a label next, and why. Pure.

Stories come by turns from four lists, so that no reason starves the others. A share of the stories, chosen by a hash of
their identity and so the same for everybody, is for evaluation: they are drawn at random and for no other reason, and
nobody sees what the model said of them before it is labelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args
from uuid import UUID

from core.story_shares import EVALUATION, draw, is_for_evaluation

Reason = Literal["uncertain", "disagreement", "impact", "random"]
REASONS: tuple[Reason, ...] = get_args(Reason)

TURNS: tuple[Reason, ...] = ("impact", "uncertain", "disagreement", "uncertain", "random")
UNCERTAIN = 0.5  # a margin below this is no sure label
_SECOND = b"second"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A story that may be labelled: `uid` is a message of it, `reach` counts its messages.

    `margins`: by task, how much likelier the best label is than the next. `disagrees`: tasks that the shadow labels
    otherwise than the live model. `alerting`: it drove an alert. `labelled`: tasks that somebody labelled.
    """

    story: UUID
    uid: UUID
    source: str
    reach: int = 1
    margins: dict[str, float] = field(default_factory=dict)
    disagrees: frozenset[str] = frozenset()
    alerting: bool = False
    labelled: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Choice:
    """A story to label, and why."""

    story: UUID
    reason: Reason
    blind: bool = False


def margin(scores: Sequence[float]) -> float | None:
    """How much likelier the best of `scores` is than the next; None for fewer than two."""
    if len(scores) < 2:
        return None
    second, best = sorted(scores)[-2:]
    return best - second


def is_for_second(story: UUID, share: float) -> bool:
    """Whether `story` is in the share that a second analyst labels too."""
    return draw(_SECOND, story) < share


class Ranking:
    """Candidates in the order of each reason, which is worked out once for each task and source. Thread-safe."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.candidates = candidates
        self._lists: dict[tuple[str | None, str | None, float], dict[Reason, list[Candidate]]] = {}

    def in_turns(
        self, evaluation_share: float, *, task: str | None = None, source: str | None = None, turn: int = 0
    ) -> Iterator[Choice]:
        """Every candidate (of `source`) that lacks a label of `task` (any label, where None), each once, by turns that
        begin with `turn`."""
        key = (task, source, evaluation_share)
        if key not in self._lists:
            wanted = [one for one in self.candidates if not _is_done(one, task) and source in (None, one.source)]
            self._lists[key] = _by_reason(wanted, task, evaluation_share)
        return _in_turns(self._lists[key], turn)


def _in_turns(lists: Mapping[Reason, list[Candidate]], turn: int) -> Iterator[Choice]:
    places = dict.fromkeys(lists, 0)
    taken: set[UUID] = set()
    while any(places[reason] < len(lists[reason]) for reason in lists):
        reason = TURNS[turn % len(TURNS)]
        turn += 1
        found, at = lists[reason], places[reason]
        while at < len(found) and found[at].story in taken:
            at += 1
        if at < len(found):
            taken.add(found[at].story)
            yield Choice(found[at].story, reason)
            at += 1
        places[reason] = at


def _by_reason(candidates: list[Candidate], task: str | None, share: float) -> dict[Reason, list[Candidate]]:
    hidden = {one.story for one in candidates if is_for_evaluation(one.story, share)}
    shown = [one for one in candidates if one.story not in hidden]
    doubts = {one.story: _doubt(one, task) for one in shown}
    uncertain = [one for one in shown if doubts[one.story] < UNCERTAIN]
    disagreeing = [one for one in shown if (task in one.disagrees if task else one.disagrees)]
    important = [one for one in shown if one.alerting or one.reach > 1]
    special = {one.story for one in (*uncertain, *disagreeing, *important)}
    rest = [one for one in shown if one.story not in special]
    return {
        "impact": sorted(important, key=lambda one: (not one.alerting, -one.reach, one.story.int)),
        "uncertain": sorted(uncertain, key=lambda one: (doubts[one.story], one.story.int)),
        "disagreement": sorted(disagreeing, key=lambda one: (-len(one.disagrees), doubts[one.story], one.story.int)),
        # What has no reason of its own comes last, in an order as random.
        "random": sorted(
            (one for one in candidates if one.story in hidden), key=lambda one: draw(EVALUATION, one.story)
        )
        + sorted(rest, key=lambda one: draw(EVALUATION, one.story)),
    }


def _doubt(candidate: Candidate, task: str | None) -> float:
    """The margin in `task`, or the least of all; 1 where the model said nothing."""
    if task is not None:
        return candidate.margins.get(task, 1.0)
    return min(candidate.margins.values(), default=1.0)


def _is_done(candidate: Candidate, task: str | None) -> bool:
    return task in candidate.labelled if task is not None else bool(candidate.labelled)
