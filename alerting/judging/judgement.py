"""What is judged in a database, and how it is judged on and again."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from alerting.incidents.alert_states import found_surges
from alerting.incidents.alert_table import AlertTable, StateChange
from alerting.judging import progress as store
from alerting.judging.progress import Connection, Progress
from alerting.judging.projection import Projection
from alerting.steps import Steps
from core.settings import AlertingSettings

log = logging.getLogger(__name__)


class Stopped(Exception):
    """The process ends while the detector learns. Half learnt, it would judge otherwise: nothing is kept."""


@dataclass
class Outcome:
    """What a step of judging did. `done`: there is nothing left to judge now. `late`: messages in minutes that were
    judged before; `unjudged` of them were too late to be judged again."""

    done: bool = False
    moved: bool = False
    late: int = 0
    unjudged: int = 0
    changes: list[StateChange] = field(default_factory=list)


class Judgement:
    """The progress and the projection of one database, in the caller's transactions. `stopping`: the process ends.

    What fails half way, or raises Stopped, leaves it in no good state: it has to be read back.
    """

    def __init__(
        self,
        settings: AlertingSettings,
        alerts: AlertTable,
        steps: Steps,
        progress: Progress,
        projection: Projection,
        stopping: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._alerts = alerts
        self._steps = steps
        self._stopping = stopping
        self.progress = progress
        self.projection = projection
        self._unsettled = False  # the alerts may not be what the projection says
        self._changed_from: int | None = None  # while what is stale is judged again

    @property
    def judged(self) -> int:
        """The first step that is not judged."""
        return self._steps.of(self.progress.judged_until)

    @property
    def is_out_of_reach(self) -> bool:
        """Whether no checkpoint is old enough to judge again what is stale."""
        stale = self.progress.stale_from
        return stale is not None and self._steps.of(stale) < self.projection.horizon

    def resume(self, connection: Connection, fits: bool) -> None:
        """Go on from a checkpoint, or learn again from the trends if none `fits` the settings."""
        if not fits:
            log.warning("learning again from the trends since %s", self.progress.since.isoformat())
            self._learn(connection, self.judged)
        elif self.projection.position < self.judged:
            self._mark_stale(self.projection.position)

    def note_changes(self, connection: Connection, changed: Counter[datetime], outcome: Outcome) -> None:
        """Read again what changed, and remember from where on the judgement is stale."""
        messages: Counter[int] = Counter()
        for minute, number in changed.items():
            messages[self._steps.of(minute)] += number
        self.projection.read_again(connection, messages)
        late = {step: number for step, number in messages.items() if step < self.judged}
        outcome.late = sum(late.values())
        earliest = self._earliest(connection) if late else None
        if earliest is not None:
            outcome.unjudged = sum(number for step, number in late.items() if step < earliest)
            late = {step: number for step, number in late.items() if step >= earliest}
            self.progress = replace(self.progress, unjudged=self.progress.unjudged + outcome.unjudged)
        if late:
            self._mark_stale(min(late))

    def judge_again(self, connection: Connection, target: int, outcome: Outcome, drained: bool) -> None:
        """Judge from behind what is stale on, as far as one transaction goes. `drained`: no replay goes on after it."""
        assert self.progress.stale_from is not None  # or there would be nothing to judge again
        stale = self._steps.of(self.progress.stale_from)
        if self.is_out_of_reach and self._settings.clock == "event":
            self._begin_again(connection, self.progress.stale_from)
        else:
            self.projection.rewind(stale)
        self._changed_from = stale if self._changed_from is None else min(stale, self._changed_from)
        self.progress = replace(self.progress, stale_from=None)
        self._judge_towards(connection, target, outcome, drained)

    def judge_on(self, connection: Connection, target: int, outcome: Outcome, drained: bool) -> None:
        """Judge on towards `target`, as far as one transaction goes."""
        if target > self.judged or self._unsettled:
            self._judge_towards(connection, target, outcome, drained)

    def go_back(self, connection: Connection, target: int, outcome: Outcome) -> None:
        """Take back what was judged of the time after `target`, when a clock was wrong."""
        log.warning(
            "judged until %s, which lies in the future: the clock was wrong; going back to %s",
            self.progress.judged_until.isoformat(),
            self._steps.start(target).isoformat(),
        )
        judged = self.judged
        if target < self.projection.horizon:
            self._learn(connection, target)
        else:
            self.projection.rewind(target)
        self._judge(connection, target, outcome, self.projection.last_days(target), until=judged)
        self.progress = replace(self.progress, stale_from=None, drained=False)

    def save(self, connection: Connection) -> None:
        """Write the progress and the checkpoints."""
        store.save_progress(connection, self.progress)
        unsaved, kept = self.projection.take_unsaved()
        start = self._steps.start
        store.save_checkpoints(
            connection, {start(at): body for at, body in unsaved.items()}, [start(at) for at in kept]
        )

    def _lasting(self, target: int, drained: bool) -> int:
        """The step from which on every midnight up to `target` keeps its checkpoint: the next days come as soon as they
        are read in a replay that goes on."""
        return self.projection.last_days(target) if drained or self._settings.clock == "wall" else target + 1

    def _judge_towards(self, connection: Connection, target: int, outcome: Outcome, drained: bool) -> None:
        self._judge(connection, self.projection.block_end(target), outcome, self._lasting(target, drained))
        if self.judged >= target:
            self._changed_from = None

    def _judge(
        self, connection: Connection, end: int, outcome: Outcome, lasting: int, until: int | None = None
    ) -> None:
        """Judge up to the step `end`, and bring the alerts up to `until` in line. For `lasting` see `Projection`."""
        start = self.projection.position
        before = self.projection.detector.open_surges()
        changes = self.projection.advance(connection, end, lasting)
        found = found_surges(before, changes, self.projection.detector.open_surges())
        changed_from = start if self._changed_from is None else self._changed_from
        outcome.changes += self._alerts.bring_in_line(connection, found, start, max(end, until or end), changed_from)
        outcome.moved, self._unsettled = True, False
        self.progress = replace(self.progress, judged_until=self._steps.start(self.projection.position))

    def _mark_stale(self, step: int) -> None:
        stale = self._steps.start(step)
        self.progress = replace(self.progress, stale_from=min(stale, self.progress.stale_from or stale))

    def _earliest(self, connection: Connection) -> int | None:
        """The earliest step that can be judged again; None: every one can.

        In a replay that is the beginning, as long as the trends since then are kept by the minute; after that a whole
        history has to be learnt before anything can be judged as it was.
        """
        if self._settings.clock == "wall":
            return self.projection.horizon
        merged = store.read_merged_until(connection)
        if merged is None:
            return None
        if merged <= self.progress.since:
            return self._steps.of(merged)
        self.projection.forget_checkpoints(self._steps.of(merged))
        learnt = self._steps.of(merged) + self._settings.history_days * self._steps.per_day
        return min(self.projection.horizon, learnt)

    def _begin_again(self, connection: Connection, stale_from: datetime) -> None:
        """Begin with the earliest of all trends, or where a history is learnt from what is kept by the minute."""
        log.info("judging again from %s on, which no checkpoint reaches", stale_from.isoformat())
        merged = store.read_merged_until(connection)
        if merged is not None and merged > self.progress.since:
            self._learn(connection, self._earliest(connection) or self.judged)
            return
        first = store.read_first_minute(connection) or stale_from
        since = min(self.progress.since, stale_from, first).replace(hour=0, minute=0)
        self.projection = self.projection.anew(self._steps.of(since))
        self.progress = replace(self.progress, since=since)

    def _learn(self, connection: Connection, until: int) -> None:
        """Judge up to the step `until` without a word, for the detector's state alone. Raises Stopped."""
        since = self._steps.of(self.progress.since)
        merged = store.read_merged_until(connection)
        if merged is not None:
            since = min(max(since, self._steps.of(merged)), until)
        self.projection = self.projection.anew(since)
        while self.projection.position < until:
            if self._stopping():
                raise Stopped
            end = self.projection.block_end(until)
            self.projection.advance(connection, end, self.projection.last_days(until))
        self._unsettled = True
