"""The queue: hands out stories to label, one analyst at a time for each, and a share of them blind to a second."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from uuid import UUID

from sqlalchemy import Connection, Engine

from core.story_shares import is_for_evaluation
from desk.labelling.candidates import Candidates
from desk.labelling.items import Item, read_items
from desk.labelling.order import REASONS, Choice, Reason, is_for_second
from desk.labelling.sql import QUERIES

MOST_HELD = 50
_SECONDS_POOL = 2_000  # labels looked at for stories that want a second opinion
_OFFERED = 64  # at once, since others have some, or labelled them since the candidates were read
_TRIES = 8


@dataclass(frozen=True, slots=True)
class Queued:
    """A story that the analyst has now, and why. `hidden`: what the model said is not to be shown."""

    item: Item
    reason: Reason
    blind: bool
    hidden: bool


class LabelQueue:
    """The queue of one store. A story is leased for `lease_s` seconds; shares are of all stories."""

    def __init__(self, engine: Engine, lease_s: float, evaluation_share: float, second_share: float) -> None:
        self.candidates = Candidates(engine)
        self._engine = engine
        self._lease_s = lease_s
        self._evaluation_share = evaluation_share
        self._second_share = second_share
        self._turns: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def take(
        self,
        analyst: str,
        count: int,
        *,
        task: str | None = None,
        source: str | None = None,
        holding: Sequence[UUID] = (),
    ) -> list[Queued]:
        """Up to `count` stories for `analyst`: first what they have already, but for those of `holding`, then others.

        Those of `holding` are kept for them as long as the rest.
        """
        with self._engine.begin() as connection:
            connection.execute(QUERIES["forget_leases"])
            held = self._held(connection, analyst, task, holding)
            mine = read_items(connection, [choice.story for choice in held if choice.story not in set(holding)])
        chosen = [one for one in held if one.story in mine and source in (None, mine[one.story].source)][:count]
        if len(chosen) < count and len(held) < MOST_HELD:
            chosen += self._lease(analyst, count - len(chosen), task, source, {choice.story for choice in held})
        with self._engine.connect() as connection:
            items = read_items(connection, [choice.story for choice in chosen])
        return [
            Queued(items[choice.story], choice.reason, choice.blind, choice.blind or self.is_hidden(choice.story))
            for choice in chosen
            if choice.story in items
        ]

    def skip(self, analyst: str, story: UUID) -> bool:
        """Give `story` back; the analyst is not asked again. False where they do not have it."""
        with self._engine.begin() as connection:
            return connection.execute(QUERIES["give_back"], {"story": story, "analyst": analyst}).first() is not None

    def take_again(self, analyst: str, stories: Sequence[UUID]) -> None:
        """Lease `stories`, whose label was taken back, to `analyst`; not those that somebody else has by now."""
        if not stories:
            return
        values = {"stories": list(stories), "analyst": analyst, "reason": "random", "seconds": self._lease_s}
        with self._engine.begin() as connection:
            connection.execute(QUERIES["take_again"], values)

    def is_to_be_labelled(self, analyst: str, story: UUID) -> bool:
        """Whether `analyst` has `story`, is not shown what the model says of it, and did not label it yet."""
        values = {"analyst": analyst, "story": story}
        with self._engine.connect() as connection:
            row = connection.execute(QUERIES["unlabelled_lease"], values).one_or_none()
        return row is not None and (bool(row.blind) or self.is_hidden(story))

    def is_hidden(self, story: UUID) -> bool:
        """Whether what the model says of `story` is not shown before it is labelled."""
        return is_for_evaluation(story, self._evaluation_share)

    def _held(self, connection: Connection, analyst: str, task: str | None, holding: Sequence[UUID]) -> list[Choice]:
        values = {"analyst": analyst, "task": task, "holding": list(holding), "most": MOST_HELD}
        rows = connection.execute(QUERIES["held"], {**values, "seconds": self._lease_s, "reasons": list(REASONS)})
        return [Choice(row.story, row.reason, row.blind) for row in rows]

    def _lease(
        self, analyst: str, count: int, task: str | None, source: str | None, besides: set[UUID]
    ) -> list[Choice]:
        seconds = self._seconds(analyst) if source is None and self._second_share else []
        with self._lock:
            turn = self._turns[analyst]
        ranking = self.candidates.read()
        others = ranking.in_turns(self._evaluation_share, task=task, source=source, turn=turn)
        offered = (choice for choice in chain(seconds, others) if choice.story not in besides)
        taken: list[Choice] = []
        for _ in range(_TRIES):
            batch = list(islice(offered, _OFFERED))
            if not batch:
                break
            taken += self._try_to_lease(analyst, batch, count - len(taken), task)
            if len(taken) >= count:
                break
        with self._lock:
            self._turns[analyst] += len(taken)
        return taken

    def _try_to_lease(self, analyst: str, batch: list[Choice], count: int, task: str | None) -> list[Choice]:
        stories = [choice.story for choice in batch]
        with self._engine.begin() as connection:
            connection.execute(QUERIES["reserve"], {"stories": stories})
        values = {
            "stories": stories,
            "reasons": [choice.reason for choice in batch],
            "blind": [choice.blind for choice in batch],
            "analyst": analyst,
            "task": task,
            "count": count,
            "seconds": self._lease_s,
        }
        with self._engine.begin() as connection:
            rows = sorted(connection.execute(QUERIES["lease"], values), key=lambda row: row.place)
        return [Choice(row.story, row.reason, row.blind) for row in rows]

    def _seconds(self, analyst: str) -> list[Choice]:
        """Stories that another analyst labelled and that are to be labelled twice."""
        with self._engine.connect() as connection:
            values = {"analyst": analyst, "pool": _SECONDS_POOL}
            stories = [row.story for row in connection.execute(QUERIES["seconds"], values)]
        return [Choice(story, "random", blind=True) for story in stories if is_for_second(story, self._second_share)]
