"""Alerts as a projection of the trends: same trends, same alerts, whatever the order in which they came to be.

Every transaction takes the changes of the trends together with the counts of the same snapshot. What changed behind the
position is judged again from a checkpoint, and the alerts are brought in line with what is found.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from alerting.delivery.outbox import Outbox
from alerting.incidents.alert_table import AlertTable
from alerting.judging import progress as store
from alerting.judging.judgement import Judgement, Outcome
from alerting.judging.progress import Connection, Progress
from alerting.judging.projection import Projection
from alerting.judging.watermark import Watermark, read_replays
from alerting.rules.policy import Policy
from alerting.steps import Steps
from core.settings import Settings
from core.store.model_rates import ModelRates

log = logging.getLogger(__name__)

_IDLE_SHARE = 9  # judging again may take a tenth of the time: that many times as long it pauses
_PAUSE_S = 60.0  # between two judgements from the beginning: while all is in flux, alerts would come and go
_FUTURE = timedelta(hours=1)  # judged so far ahead of the clock, the clock was wrong


class Judge:
    """Judges one database. Each `step` belongs in a transaction of its own, of level REPEATABLE READ.

    After a transaction that failed, `recall` has to come first. `ticks` counts seconds.
    """

    def __init__(
        self,
        settings: Settings,
        outbox: Outbox,
        stopping: Callable[[], bool],
        ticks: Callable[[], float] = time.monotonic,
        policy: Policy | None = None,
    ) -> None:
        self._settings = settings.alerting
        self._policy = policy or Policy.default()
        self.steps = Steps(settings.alerting.step_minutes)
        rates = ModelRates(*settings.bundle_directories, evaluation_share=settings.desk.evaluation_share)
        self._alerts = AlertTable(self.steps, outbox, rates)
        self._stopping = stopping
        self._ticks = ticks
        self._rest_until = ticks()
        self.judgement: Judgement | None = None

    def recall(self, connection: Connection) -> None:
        """Read back what was judged."""
        self.judgement = None
        progress = store.read_progress(connection)
        if progress is None:
            return
        merged = store.read_merged_until(connection)  # what comes after a checkpoint has to be there to be judged
        checkpoints = {
            self.steps.of(at): body
            for at, body in store.read_checkpoints(connection).items()
            if (merged or at) <= at <= progress.judged_until
        }
        projection = Projection.restored(self._settings, self._policy, self.steps, checkpoints)
        self.judgement = self._judgement(progress, projection)
        self.judgement.resume(connection, fits=projection is not None)
        log.info("resumed at %s", progress.judged_until.isoformat())

    def step(self, connection: Connection, watermark: Watermark, now: datetime) -> Outcome:
        """Judge a block of what is final at `watermark`; the outcome says whether that was all."""
        outcome = Outcome()
        changed = store.take_changes(connection)
        before = self.judgement.progress if self.judgement is not None else None
        if self.judgement is None:
            self.judgement = self._begin(connection, watermark.at)
            if self.judgement is None:
                return Outcome(done=True)
            changed.clear()  # all counts are read from now on
        judgement = self.judgement
        judgement.note_changes(connection, changed, outcome)
        if self._settings.clock == "wall" and judgement.progress.judged_until > now + _FUTURE:
            return self._go_back(connection, judgement, watermark.at or now)
        judged = judgement.judged
        target = max(judged, self.steps.of(watermark.at)) if watermark.at is not None else judged
        if judgement.progress.stale_from is not None and self._is_due(watermark.drained, target > judged):
            begun, least = self._ticks(), _PAUSE_S if judgement.is_out_of_reach else 0.0
            judgement.judge_again(connection, target, outcome, watermark.drained)
            self._rest_until = self._ticks() + max(least, _IDLE_SHARE * (self._ticks() - begun))
        else:
            judgement.judge_on(connection, target, outcome, watermark.drained)
        outcome.done = judgement.judged >= target
        drained = watermark.drained and outcome.done and judgement.progress.stale_from is None
        judgement.progress = replace(judgement.progress, drained=drained)
        settled = outcome.done and judgement.projection.settle()
        if settled or judgement.progress != before:
            judgement.save(connection)
        return outcome

    def _judgement(self, progress: Progress, projection: Projection | None) -> Judgement:
        begun = projection or Projection.begun(self._settings, self._policy, self.steps, self.steps.of(progress.since))
        return Judgement(self._settings, self._alerts, self.steps, progress, begun, self._stopping)

    def _begin(self, connection: Connection, watermark: datetime | None) -> Judgement | None:
        """Begin with a database that was never judged; None while there is nothing to judge.

        On live feeds it begins now: what feeds still list of the past is thinned out, and what comes next would look
        like a surge against it. A replay brings its own history.
        """
        if watermark is None:
            return None
        since = watermark
        if self._settings.clock == "event" or read_replays(connection):
            first = store.read_first_minute(connection)
            if first is None:
                return None
            since = min(first, watermark).replace(hour=0, minute=0)
        since = self.steps.start(self.steps.of(since))
        log.info("judging from %s", since.isoformat())
        return self._judgement(Progress(since, since), None)

    def _is_due(self, drained: bool, moving: bool) -> bool:
        """Whether to judge again what is stale. Often, to be prompt, but at a bounded cost: a replay in no order
        changes what was judged all the time, and may only be judged from its beginning."""
        return drained or (moving and self._settings.clock == "wall") or self._ticks() >= self._rest_until

    def _go_back(self, connection: Connection, judgement: Judgement, moment: datetime) -> Outcome:
        """Take back what was judged of the future; all of it if it began there."""
        outcome = Outcome(moved=True)
        if judgement.progress.since < moment:
            judgement.go_back(connection, self.steps.of(moment), outcome)
            judgement.save(connection)
            return outcome
        since = self.steps.of(judgement.progress.since)
        outcome.changes += self._alerts.bring_in_line(connection, [], since, judgement.judged, since)
        store.forget_progress(connection)
        self.judgement = None
        return outcome
