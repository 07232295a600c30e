"""The detector as a function of the trends: it can go back to a checkpoint and judge again what came after.

Its state is kept at the last midnights of event time. What lies before them is judged for good.
"""

from __future__ import annotations

import logging
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


class Projection:
    """A detector at `position`, its checkpoints, and the counts since the oldest of them."""

    def __init__(
        self, settings: AlertingSettings, policy: Policy, steps: Steps, checkpoints: Mapping[int, bytes]
    ) -> None:
        self._settings, self._policy = settings, policy
        self._steps = steps
        self._checkpoints = dict(sorted(checkpoints.items()))
        self._saved: set[int] = set(checkpoints)
        self.detector = SurgeDetector.restored(settings, self._checkpoints[self._newest()], policy)
        self._window = TrendWindow(steps, self.horizon)

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

    def read_again(self, connection: psycopg.Connection[Any], changed: Iterable[int]) -> None:
        """Take note that the trends changed in these steps."""
        self._window.read_again(connection, changed)

    def block_end(self, target: int) -> int:
        """How far to judge in one go on the way to `target`: to a midnight where it can."""
        return min(target, (self.position // self._steps.per_day + _BLOCK_DAYS) * self._steps.per_day)

    def advance(self, connection: psycopg.Connection[Any], end: int) -> list[SurgeChange]:
        """Judge up to the step `end`, and keep checkpoints on the way."""
        per_day = self._steps.per_day
        first_kept = (end // per_day - CHECKPOINTS + 1) * per_day
        changes: list[SurgeChange] = []
        while self.position < end:
            stop = min(end, max(first_kept, (self.position // per_day + 1) * per_day))
            self._window.extend(connection, stop)
            changes += self.detector.judge(self._window.counts(self.position, stop))
            if stop % per_day == 0:
                self._checkpoints[stop] = self.detector.dump()
                self._saved.discard(stop)
            for at in sorted(self._checkpoints)[:-CHECKPOINTS]:
                del self._checkpoints[at]
            self._window.forget(self.horizon)
        return changes

    def take_unsaved(self) -> tuple[dict[int, bytes], list[int]]:
        """The checkpoints to write, and all that there are; they count as written from now on."""
        unsaved = {at: body for at, body in self._checkpoints.items() if at not in self._saved}
        self._saved = set(self._checkpoints)
        return unsaved, sorted(self._checkpoints)

    def _newest(self) -> int:
        return max(self._checkpoints)
