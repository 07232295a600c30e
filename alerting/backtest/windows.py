"""Labelled windows: when something was known to happen, and what was found of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import chi2

from core.errors import InputError

_EXPECTED = 'expected a list of [start, end] or {"start": ..., "end": ...}, or an object with such a list for each file'


class Window(NamedTuple):
    """Both ends belong to it."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class WindowScore:
    """Of `windows` that were judged, `found` hold the start of an alarm, after `delay_minutes` in the median (None if
    none does). `false_alarms` start in none; `weeks` were judged outside the windows."""

    windows: int
    found: int
    delay_minutes: float | None
    false_alarms: int
    weeks: float

    @property
    def per_week(self) -> float:
        return self.false_alarms / self.weeks if self.weeks else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95% interval of the rate a week (Garwood 1936)."""
        if not self.weeks:
            return 0.0, 0.0
        low = chi2.ppf(0.025, 2 * self.false_alarms) / 2 if self.false_alarms else 0.0
        return float(low / self.weeks), float(chi2.ppf(0.975, 2 * self.false_alarms + 2) / 2 / self.weeks)


def score_windows(
    starts: Sequence[datetime], windows: Sequence[Window], judged_from: datetime, end: datetime
) -> WindowScore:
    """What alarms that begin at `starts` found of `windows`; windows over before `judged_from` or begun after `end` do
    not count, and what they share counts once."""
    judged = [window for window in windows if window.end >= judged_from and window.start < end]
    delays = []
    for window in judged:
        first = min((at for at in starts if window.start <= at <= window.end), default=None)
        if first is not None:
            delays.append((first - window.start).total_seconds() / 60)
    false = sum(not any(window.start <= at <= window.end for window in windows) for at in starts)
    outside = (end - judged_from).total_seconds() - _covered(judged, judged_from, end)
    delay = float(np.median(delays)) if delays else None
    return WindowScore(len(judged), len(delays), delay, false, max(outside, 0.0) / (7 * 86400))


def read_windows(path: Path, series: str) -> list[Window]:
    """The windows of `series` in a JSON file: a list of pairs or of objects with start and end, or an object that holds
    such a list for each series, by its name or the path of its file. Raises InputError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read as JSON: {error}") from error
    if isinstance(document, dict):
        document = _of_series(document, path, series)
    if not isinstance(document, list):
        raise InputError(f"{path}: {document!r:.60} is no list of windows; {_EXPECTED}")
    return sorted(_window(item, path, place) for place, item in enumerate(document))


def _of_series(document: dict[str, Any], path: Path, series: str) -> Any:
    name = Path(series).name
    keys = [key for key in document if key in (series, name) or Path(key).name == name or Path(key).stem == name]
    if len(keys) != 1:
        held = ", ".join(list(document)[:5]) or "none"
        raise InputError(f"{path} has {len(keys) or 'no'} windows for {series}; it has some for {held}")
    return document[keys[0]]


def _window(item: Any, path: Path, place: int) -> Window:
    ends = [item.get("start"), item.get("end")] if isinstance(item, dict) else item
    if not (isinstance(ends, list) and len(ends) == 2 and all(isinstance(end, str) for end in ends)):
        raise InputError(f"{path}: window {place} is {item!r:.80}; {_EXPECTED}")
    try:
        start, end = (datetime.fromisoformat(each) for each in ends)
    except ValueError:
        raise InputError(f"{path}: window {place} is {item!r:.80}; its times must be ISO 8601") from None
    window = Window(*(at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC) for at in (start, end)))
    if window.end < window.start:
        raise InputError(f"{path}: window {place} ends before it starts: {item!r:.80}")
    return window


def _covered(windows: Sequence[Window], first: datetime, last: datetime) -> float:
    """Seconds from `first` to `last` within the windows."""
    seconds, until = 0.0, first
    for window in sorted(windows):
        start, end = max(window.start, until), min(window.end, last)
        seconds += max((end - start).total_seconds(), 0.0)
        until = max(until, end)
    return seconds
