"""The detector as a function of the trends: it can go back to a checkpoint and judge again what came after.

Its state is kept at the last midnights of event time. What lies before them is judged for good. Where days pass in
moments, as in a replay, it is kept from time to time, and where one was left half way: packing the state of each day
would cost more than judging it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from alerting.detection.detector import SurgeChange
from alerting.detection.surges import SurgeDetector
from alerting.judging.trend_window import TrendWindow
from alerting.rules.policy import Policy
from alerting.steps import Steps
from core.errors import InputError
from core.settings import AlertingSettings

log = logging.getLogger(__name__)

CHECKPOINTS = 3  # today's, yesterday's and that of the day before: what comes later than that is rare
_BLOCK_DAYS = 7  # judged at once: bounds memory in a replay of years
_PAUSE_S = 10.0  # between two checkpoints: so much is judged again after a kill


class Projection:
    """A detector at `position`, its checkpoints, and the counts of the last days."""

    def __init__(
        self, settings: AlertingSettings, policy: Policy, steps: Steps, checkpoints: Mapping[int, bytes]
    ) -> None:
        self._settings, self._policy = settings, policy
        self._steps = steps
        self._checkpoints = dict(sorted(checkpoints.items()))
        self._saved: set[int] = set(checkpoints)
        self.detector = SurgeDetector.restored(settings, self._checkpoints[self._newest()], policy)
        self._window = TrendWindow(steps, self.position)
        self._next_at = time.monotonic()  # when a checkpoint is worth its cost

    @classmethod
    def begun(cls, settings: AlertingSettings, policy: Policy, steps: Steps, start: int) -> Projection:
        """One that knows nothing of what was before the step `start`."""
        made = cls(settings, policy, steps, {start: SurgeDetector(settings, start, policy).dump()})
        made._saved = set()
        return made

    @classmethod
    def restored(
        cls, settings: AlertingSettings, policy: Policy, steps: Steps, checkpoints: Mapping[int, bytes]
    ) -> Projection | None:
        """One at the newest of `checkpoints` that fits `settings` and `policy`, or None if none does."""
        left = dict(sorted(checkpoints.items()))
        while left:
            try:
                return cls(settings, policy, steps, left)
            except InputError as error:
                at, _ = left.popitem()
                log.warning("the checkpoint of %s is of no use: %s", steps.start(at).isoformat(), error)
        return None

    def anew(self, start: int) -> Projection:
        """One under the same settings that knows nothing of what was before the step `start`."""
        return Projection.begun(self._settings, self._policy, self._steps, start)

    @property
    def position(self) -> int:
        """The next step to judge."""
        return self.detector.position

    @property
    def horizon(self) -> int:
        """The earliest step that can be judged again."""
        return min(self._checkpoints)

    def rewind(self, step: int) -> None:
        """Go back to the newest checkpoint at or before `step`, or to the oldest if there is none."""
        chosen = max((at for at in self._checkpoints if at <= step), default=self.horizon)
        for at in [at for at in self._checkpoints if at > chosen]:
            del self._checkpoints[at]
        self.detector = SurgeDetector.restored(self._settings, self._checkpoints[chosen], self._policy)
        if self.position < self._window.start:
            self._window = TrendWindow(self._steps, self.position)

    def read_again(self, connection: psycopg.Connection[Any], changed: Iterable[int]) -> None:
        """Take note that the trends changed in these steps."""
        self._window.read_again(connection, changed)

    def block_end(self, target: int) -> int:
        """How far to judge in one go on the way to `target`: to a midnight where it can."""
        return min(target, (self.position // self._steps.per_day + _BLOCK_DAYS) * self._steps.per_day)

    def advance(self, connection: psycopg.Connection[Any], end: int, lasting: int) -> list[SurgeChange]:
        """Judge up to the step `end`, and keep a checkpoint of each midnight from the step `lasting` on. Before it, one
        of the last midnight on the way will do, if it is worth its cost."""
        per_day = self._steps.per_day
        first_kept = min(self._midnight(end), self._midnight(lasting - 1) + per_day)
        changes: list[SurgeChange] = []
        while self.position < end:
            stop = min(end, max(first_kept, self._midnight(self.position) + per_day))
            self._window.extend(connection, stop)
            changes += self.detector.judge(self._window.counts(self.position, stop))
            if stop % per_day == 0 and (stop >= lasting or self._is_due()):
                self._keep()
        self._window.forget(self.last_days(end))
        return changes

    def last_days(self, step: int) -> int:
        """The midnight from which on there is a checkpoint of each day up to `step`, where days take their time."""
        return self._midnight(step) - (CHECKPOINTS - 1) * self._steps.per_day

    def settle(self) -> bool:
        """Now that all is judged, let a restart have no more than a day to judge again; whether that took a checkpoint.
        It does where a replay was left half way."""
        due = self.position - self._newest() > self._steps.per_day and self._is_due()
        if due:
            self._keep()
        return due

    def forget_checkpoints(self, before: int) -> None:
        """Let go of those before the step `before`, but for the newest."""
        self._checkpoints = {at: body for at, body in self._checkpoints.items() if at >= before or at == self._newest()}

    def take_unsaved(self) -> tuple[dict[int, bytes], list[int]]:
        """The checkpoints to write, and all that there are; they count as written from now on."""
        unsaved = {at: body for at, body in self._checkpoints.items() if at not in self._saved}
        self._saved = set(self._checkpoints)
        return unsaved, sorted(self._checkpoints)

    def _newest(self) -> int:
        return max(self._checkpoints)

    def _midnight(self, step: int) -> int:
        """The last one up to `step`."""
        return step // self._steps.per_day * self._steps.per_day

    def _is_due(self) -> bool:
        return time.monotonic() >= self._next_at

    def _keep(self) -> None:
        """Take a checkpoint where the detector stands."""
        self._checkpoints[self.position] = self.detector.dump()
        self._saved.discard(self.position)
        self._next_at = time.monotonic() + _PAUSE_S
        for at in sorted(self._checkpoints)[:-CHECKPOINTS]:
            del self._checkpoints[at]
