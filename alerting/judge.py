"""Alerts as a projection of the trends: same trends, same alerts, whatever the order in which they came to be.

Every transaction takes the changes of the trends together with the counts of the same snapshot. What changed behind the
position is judged again from a checkpoint, and the alerts are brought in line with what is found.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from alerting import progress as store
from alerting.alert_states import found_surges
from alerting.detector import SurgeChange
from alerting.progress import Connection, Progress
from alerting.projection import Projection
from alerting.reconcile import Reconciler, StateChange
from alerting.steps import Steps
from alerting.watermark import Watermark, read_replays
from core.settings import Settings

log = logging.getLogger(__name__)

_IDLE_SHARE = 9  # judging again may take a tenth of the time: that many times as long it pauses
_FUTURE = timedelta(hours=1)  # judged so far ahead of the clock, the clock was wrong


@dataclass
class Outcome:
    """What a step of judging did. `done`: there is nothing left to judge now. `late`: messages in minutes that were
    judged before; `unjudged` of them were too late to be judged again."""

    done: bool
    moved: bool = False
    late: int = 0
    unjudged: int = 0
    changes: list[StateChange] = field(default_factory=list)


class Judge:
    """Judges one database. Each `step` belongs in a transaction of its own, of level REPEATABLE READ.

    After a transaction that failed, `recall` has to come first. `ticks` counts seconds.
    """

    def __init__(
        self,
        settings: Settings,
        channels: list[str],
        stopping: Callable[[], bool],
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings.alerting
        self.steps = Steps(settings.alerting.step_minutes)
        self._reconciler = Reconciler(self.steps, channels)
        self._stopping = stopping
        self._ticks = ticks
        self._rest_until = ticks()
        self.progress: Progress | None = None
        self.projection: Projection | None = None
        self._unsettled = False  # the alerts may not be what the projection says

    def recall(self, connection: Connection) -> None:
        """Read back how far it was judged, or learn again from the trends if no checkpoint fits."""
        self.projection, self._unsettled = None, False
        self.progress = store.read_progress(connection)
        if self.progress is None:
            return
        judged = self.steps.of(self.progress.judged_until)
        checkpoints = {self.steps.of(at): body for at, body in store.read_checkpoints(connection).items()}
        usable = {at: body for at, body in checkpoints.items() if at <= judged}
        self.projection = Projection.restored(self._settings, self.steps, usable)
        if self.projection is None:
            log.warning("learning again from the trends since %s", self.progress.since.isoformat())
            self._learn(connection, self.steps.of(self.progress.since), judged)
        elif self.projection.position < judged:
            self._mark_stale(self.projection.position)
        log.info("resumed at %s", self.progress.judged_until.isoformat())

    def step(self, connection: Connection, watermark: Watermark, now: datetime) -> Outcome:
        """Judge a block of what is final at `watermark`; all of it if the outcome says `done`."""
        changed = store.take_changes(connection)
        before = self.progress
        if self.projection is None:
            if watermark.at is None or not self._begin(connection, watermark.at):
                return Outcome(done=True)
            changed = Counter()  # all counts are read from now on
        assert self.progress is not None
        assert self.projection is not None
        outcome = self._note_changes(connection, changed)
        position = self.steps.of(self.progress.judged_until)
        target = max(position, self.steps.of(watermark.at)) if watermark.at is not None else position
        if self._settings.clock == "wall" and self.progress.judged_until > now + _FUTURE:
            return self._go_back(connection, position, watermark.at or now)
        start = position
        if self._is_due(watermark.drained, target > position):
            begun = self._ticks()
            start = self._rewind(connection)
            self._judge(connection, start, self.projection.block_end(target), outcome)
            self._rest_until = self._ticks() + _IDLE_SHARE * (self._ticks() - begun)
        elif target > position or self._unsettled:
            self._judge(connection, position, self.projection.block_end(target), outcome)
        judged = self.projection.position >= target
        outcome.done = judged
        drained = watermark.drained and judged and self.progress.stale_from is None
        self.progress = replace(self.progress, drained=drained)
        if self.progress != before:
            self._save(connection)
        return outcome

    def _begin(self, connection: Connection, watermark: datetime) -> bool:
        """Begin with a database that was never judged; False while there is nothing to judge.

        On live feeds it begins now: what feeds still list of the past is thinned out, and what comes next would look
        like a surge against it. A replay brings its own history.
        """
        since = watermark
        if self._settings.clock == "event" or read_replays(connection):
            first = store.read_first_minute(connection)
            if first is None:
                return False
            since = min(first, watermark).replace(hour=0, minute=0)
        start = self.steps.of(since)
        self.projection = Projection.begun(self._settings, self.steps, start)
        self.progress = Progress(self.steps.start(start), self.steps.start(start))
        log.info("judging from %s", self.progress.since.isoformat())
        return True

    def _note_changes(self, connection: Connection, changed: Counter[datetime]) -> Outcome:
        """Read again what changed, and remember from where on the judgement is stale."""
        assert self.progress is not None
        assert self.projection is not None
        outcome = Outcome(done=False)
        messages: Counter[int] = Counter()
        for minute, number in changed.items():
            messages[self.steps.of(minute)] += number
        self.projection.read_again(connection, messages)
        position = self.steps.of(self.progress.judged_until)
        late = {step: number for step, number in messages.items() if step < position}
        outcome.late = sum(late.values())
        earliest = self._earliest(connection) if late else None
        if earliest is not None:
            outcome.unjudged = sum(number for step, number in late.items() if step < earliest)
            late = {step: number for step, number in late.items() if step >= earliest}
            self.progress = replace(self.progress, unjudged=self.progress.unjudged + outcome.unjudged)
        if late:
            self._mark_stale(min(late))
        return outcome

    def _earliest(self, connection: Connection) -> int | None:
        """The earliest step that can be judged again; None: every one can.

        In a replay that is the beginning, as long as the trends since then are kept by the minute; after that a whole
        history has to be learnt before anything can be judged as it was.
        """
        assert self.progress is not None
        assert self.projection is not None
        if self._settings.clock == "wall":
            return self.projection.horizon
        merged = store.read_merged_until(connection)
        if merged is None or merged <= self.progress.since:
            return None if merged is None else self.steps.of(merged)
        learnt = self.steps.of(merged) + self._settings.history_days * self.steps.per_day
        return min(self.projection.horizon, learnt)

    def _mark_stale(self, step: int) -> None:
        assert self.progress is not None
        stale = self.steps.start(step)
        self.progress = replace(self.progress, stale_from=min(stale, self.progress.stale_from or stale))

    def _is_due(self, drained: bool, moving: bool) -> bool:
        """Whether to judge again what is stale. Often enough to be prompt, seldom enough to cost little: a replay in
        no order changes what was judged all the time, and may only be judged from its beginning."""
        if self.progress is None or self.progress.stale_from is None:
            return False
        return drained or (moving and self._settings.clock == "wall") or self._ticks() >= self._rest_until

    def _rewind(self, connection: Connection) -> int:
        """Go back behind what is stale, to the beginning if no checkpoint is old enough; returns the position."""
        assert self.progress is not None
        assert self.projection is not None
        assert self.progress.stale_from is not None
        stale = self.steps.of(self.progress.stale_from)
        if stale < self.projection.horizon and self._settings.clock == "event":
            log.info("judging again from %s on: there were changes", self.progress.stale_from.isoformat())
            merged = store.read_merged_until(connection)
            if merged is not None and merged > self.progress.since:
                self._learn(connection, self.steps.of(self.progress.since), self._earliest(connection) or stale)
            else:
                first = store.read_first_minute(connection) or self.progress.stale_from
                since = min(self.progress.since, self.progress.stale_from, first).replace(hour=0, minute=0)
                self.projection = Projection.begun(self._settings, self.steps, self.steps.of(since))
                self.progress = replace(self.progress, since=since)
        else:
            self.projection.rewind(stale)
        self.progress = replace(self.progress, stale_from=None)
        return self.projection.position

    def _judge(self, connection: Connection, start: int, end: int, outcome: Outcome) -> None:
        assert self.progress is not None
        assert self.projection is not None
        open_before = self.projection.detector.open_surges()
        changes: list[SurgeChange] = self.projection.advance(connection, end)
        found = found_surges(open_before, changes, self.projection.detector.open_surges())
        outcome.changes += self._reconciler.reconcile(connection, found, start, end)
        outcome.moved, self._unsettled = True, False
        self.progress = replace(self.progress, judged_until=self.steps.start(self.projection.position))

    def _go_back(self, connection: Connection, position: int, target_time: datetime) -> Outcome:
        """Take back what was judged of the future, when a clock was wrong."""
        assert self.progress is not None
        assert self.projection is not None
        log.warning(
            "judged until %s, which lies in the future: the clock was wrong; going back to %s",
            self.progress.judged_until.isoformat(),
            target_time.isoformat(),
        )
        target = self.steps.of(target_time)
        if self.progress.since >= target_time:
            self._reconciler.reconcile(connection, [], self.steps.of(self.progress.since), position)
            store.forget_progress(connection)
            self.progress = self.projection = None
            return Outcome(done=False, moved=True)
        outcome = Outcome(done=False)
        if target < self.projection.horizon:
            self._learn(connection, self.steps.of(self.progress.since), target)
        else:
            self.projection.rewind(target)
        start = self.projection.position
        open_before = self.projection.detector.open_surges()
        changes = self.projection.advance(connection, target)
        found = found_surges(open_before, changes, self.projection.detector.open_surges())
        outcome.changes += self._reconciler.reconcile(connection, found, start, position)
        outcome.moved = True
        self.progress = replace(self.progress, judged_until=self.steps.start(target), stale_from=None, drained=False)
        self._save(connection)
        return outcome

    def _learn(self, connection: Connection, since: int, until: int) -> None:
        """Judge without a word about it, for the detector's state alone, from where the trends are by the minute."""
        merged = store.read_merged_until(connection)
        if merged is not None:
            since = min(max(since, self.steps.of(merged)), until)
        self.projection = Projection.begun(self._settings, self.steps, since)
        while self.projection.position < until and not self._stopping():
            self.projection.advance(connection, self.projection.block_end(until))
        self._unsettled = True

    def _save(self, connection: Connection) -> None:
        assert self.progress is not None
        assert self.projection is not None
        store.save_progress(connection, self.progress)
        unsaved, kept = self.projection.take_unsaved()
        start = self.steps.start
        store.save_checkpoints(
            connection, {start(at): body for at, body in unsaved.items()}, [start(at) for at in kept]
        )
