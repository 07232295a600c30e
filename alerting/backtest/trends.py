"""The live detector on the stored trends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import numpy as np
import psycopg

from alerting.backtest.panel import Panel, make_panel
from alerting.backtest.run import Found, Key, Recorder, find
from alerting.backtest.watcher import open_detector
from alerting.detection.detector import OUTAGE, Counts, Floats
from alerting.judging.progress import read_first_minute
from alerting.judging.sql import fetch
from alerting.judging.trend_window import TrendWindow
from alerting.rules.policy import Policy
from alerting.steps import Steps
from core.errors import InputError
from core.settings import AlertingSettings

MOST_PANELS = 12  # series in one plot, those with the highest scores

_DRAWN = ("negative", "positive", "volume")  # counts; a share is none
_FORGOTTEN = 2  # times `history_days`: older days weigh nothing in a baseline

Connection = psycopg.Connection[Any]
Tick = Callable[[], None]


class TrendBacktest:
    """The stored trends under `policy`; what began before `since` is learnt from and not reported."""

    def __init__(
        self, connection: Connection, settings: AlertingSettings, policy: Policy, since: datetime | None = None
    ) -> None:
        """Raises InputError if there are no trends, or none since then."""
        self._connection, self._settings, self._policy, self._since = connection, settings, policy, since
        self._steps = Steps(settings.step_minutes)
        self.start, self.end = stored_steps(connection, self._steps)
        if since is not None:
            if since >= self._steps.start(self.end):
                raise InputError(f"the trends end at {self._steps.start(self.end):%Y-%m-%d %H:%M}, before --since")
            history = _FORGOTTEN * settings.history_days * self._steps.per_day
            midnight = self._steps.of(since) // self._steps.per_day * self._steps.per_day
            self.start = max(self.start, midnight - history)

    @property
    def weeks(self) -> int:
        """How often `tick` is called in going through them once."""
        return weeks_in(self._steps, self.start, self.end)

    def find(self, tick: Tick) -> list[Found]:
        """The alerts there would have been."""
        detector = open_detector(self._settings, self._policy, self.start)
        found = find(detector, self._blocks(tick), self._steps)
        return [each for each in found if self._since is None or each.start >= self._since]

    def panels(self, found: list[Found], tick: Tick) -> list[Panel]:
        """The series of the strongest alerts in `found`, judged again to draw them."""
        chosen = list(dict.fromkeys((each.series, each.signal) for each in sorted(found, key=lambda each: -each.score)))
        chosen = [key for key in chosen if key[0] != OUTAGE and key[1] in _DRAWN][:MOST_PANELS]
        recorder = Recorder({series for series, _ in chosen})
        kept = {key: np.zeros(self.end - self.start) for key in chosen}
        detector = open_detector(self._settings, self._policy, self.start, recorder)
        find(detector, _noted(self._blocks(tick), kept, self.start), self._steps)
        traces = recorder.joined()
        return [
            make_panel(traces[key], kept[key], self.start, self._steps, [each for each in found if each.key == key])
            for key in chosen
        ]

    def _blocks(self, tick: Tick) -> Iterator[Counts]:
        return read_weekly(self._connection, self._steps, self.start, self.end, tick)


def stored_steps(connection: Connection, steps: Steps) -> tuple[int, int]:
    """The steps of the stored trends, from a midnight on to the end of the last one. Raises InputError if there are
    none."""
    first, last = read_first_minute(connection), fetch(connection, "last_minute")[0].minute
    if first is None:
        raise InputError("no trends are stored yet; `newstide up` or `newstide demo` brings something in")
    return steps.of(first) // steps.per_day * steps.per_day, steps.of(last) + 1


def weeks_in(steps: Steps, start: int, end: int) -> int:
    """Weeks from `start` to `end`, the last one counted whole."""
    return -(-(end - start) // (7 * steps.per_day))


def read_weekly(connection: Connection, steps: Steps, start: int, end: int, tick: Tick) -> Iterator[Counts]:
    """The counts of the steps `start` to `end` (excluded), a week at a time; `tick` is called after each."""
    window = TrendWindow(steps, start)
    while window.start < end:
        stop = min(window.start + 7 * steps.per_day, end)
        window.extend(connection, stop)
        yield window.counts(window.start, stop)
        window.forget(stop)
        tick()


def read_all(connection: Connection, steps: Steps, start: int, end: int, tick: Tick) -> Counts:
    """The same in one."""
    window = TrendWindow(steps, start)
    while window.end < end:
        window.extend(connection, min(window.end + 7 * steps.per_day, end))
        tick()
    return window.counts(start, end)


def _noted(blocks: Iterator[Counts], kept: dict[Key, Floats], start: int) -> Iterator[Counts]:
    """`blocks`, whose counts are noted in `kept` on the way."""
    for counts in blocks:
        place = {series: at for at, series in enumerate(counts.names)}
        for (series, signal), values in kept.items():
            mine = counts.series == place.get(series, -1)
            stories = counts.negative + counts.neutral + counts.positive
            values[counts.step[mine] - start] = (stories if signal == "volume" else getattr(counts, signal))[mine]
        yield counts
