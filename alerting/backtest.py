"""The detector on a series from a file: what it would have found, had it watched."""

from __future__ import annotations

import csv
import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alerting.detection.detector import ALL, Counts, Listener, Surge
from alerting.detection.shape import MINUTES_PER_DAY
from alerting.detection.surges import SurgeDetector
from core.errors import InputError
from core.settings import AlertingSettings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOWEST = 1.5  # scores from here on are tail enough to fit a budget to
_ALWAYS, _NEVER = 0.5, 1e6


@dataclass(frozen=True)
class Table:
    """A regular series: `values` has shape (n,), value k belongs to the `step_minutes` from `start` + k steps on."""

    start: datetime
    step_minutes: int
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """An anomaly, times as ISO 8601: observed and expected in the leading window that ends at the peak."""

    start: str
    end: str
    peak: str
    observed: float
    expected: float
    score: float


def backtest(table: Table, settings: AlertingSettings, budget: float | None = None) -> list[Found]:
    """What the detector finds in `table`, in order. With `budget`, the threshold is chosen so that about this many
    alerts a week come from the series' ordinary fluctuations (see `budget_threshold`)."""
    settings = settings.model_copy(
        update={
            "step_minutes": table.step_minutes,
            "windows_minutes": sorted({max(w, table.step_minutes) for w in settings.windows_minutes}),
        }
    )
    if budget is not None:
        scores = score_steps(table, settings)
        threshold = budget_threshold(scores, table.step_minutes, budget)
        settings = settings.model_copy(
            update={"threshold": threshold, "clear_threshold": min(settings.clear_threshold, threshold)}
        )
    detector, counts = _prepare(table, settings)
    surges: dict[int, Surge] = {}
    for change in detector.judge(counts):
        surges[change.surge.start] = change.surge
    surges |= {surge.start: surge for _, surge in detector.open_surges()}
    return [_found(surge, table) for _, surge in sorted(surges.items())]


def score_steps(table: Table, settings: AlertingSettings) -> NDArray[np.float64]:
    """The recalibrated score of every step, (n,): 0 before the warm-up's end or below the least excess."""
    scores: list[NDArray[np.float64]] = []
    detector, counts = _prepare(table, settings, lambda trace: scores.append(trace.score))
    detector.judge(counts)
    found = np.concatenate([np.zeros(0), *scores])
    return np.concatenate([np.zeros(len(table.values) - len(found)), found])  # not followed until then


def budget_threshold(scores: NDArray[np.float64], step_minutes: int, per_week: float) -> float:
    """The score that ordinary fluctuations pass about `per_week` times a week. Raises InputError for a budget <= 0.

    Highest scores of each day from `_LOWEST` on are taken as peaks over a threshold with an exponential tail
    (Pickands 1975, shape 0): `rate` a week exceed the lowest, rate exp(-(u - lowest) / beta) exceed u. Beta comes from
    the median, so that real surges, which are few and far out, do not raise it.
    """
    if not per_week > 0 or math.isinf(per_week):
        raise InputError(f"a budget of {per_week:g} alerts a week can't be met; give a number above 0, for example 1")
    per_day = MINUTES_PER_DAY // step_minutes
    days = max(1, -(-len(scores) // per_day))
    padded = np.zeros(days * per_day)
    padded[: len(scores)] = scores
    daily = padded.reshape(days, per_day).max(axis=1)
    peaks = daily[daily >= _LOWEST]
    if not peaks.size:
        return _LOWEST
    rate = 7.0 * peaks.size / days
    beta = max(float(np.median(peaks) - _LOWEST) / math.log(2.0), 0.05)
    return max(_LOWEST, _LOWEST + beta * math.log(rate / per_week))


def read_table(path: Path) -> Table:
    """The series in a CSV file with columns `timestamp` and `value`.

    Raises InputError, with the line, for a missing column, a time or number that is none, a value that is negative or
    not finite, and times that are out of order or not one regular step apart.
    """
    times, values = _read_rows(path)
    if len(times) < 2:
        raise InputError(f"{path} has {len(times)} rows; a series needs at least two, to show its step")
    gaps = np.diff(np.array([time.timestamp() for time in times]))
    step = float(gaps[0])
    wrong = np.flatnonzero(gaps != step)
    if step <= 0 or wrong.size:
        line = 3 if step <= 0 else int(wrong[0]) + 3
        fault = "not later than the row before" if gaps[line - 3] <= 0 else "not one step after the row before"
        raise InputError(
            f"{path} line {line}: {times[line - 2].isoformat()} is {fault} (the step is {step:g} s); "
            "sort the rows and fill the gaps, with 0 where nothing happened"
        )
    if step % 60 or MINUTES_PER_DAY % (step / 60):
        raise InputError(
            f"{path} has a step of {step:g} s; sum it up to whole minutes that divide a day, such as 5 or 60"
        )
    return Table(times[0], int(step // 60), np.array(values))


def _read_rows(path: Path) -> tuple[list[datetime], list[float]]:
    times: list[datetime] = []
    values: list[float] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            missing = {"timestamp", "value"} - set(rows.fieldnames or ())
            if missing:
                raise InputError(f"{path} has no column {' and '.join(sorted(missing))}; expected `timestamp,value`")
            for row in rows:
                times.append(_time(row["timestamp"], path, rows.line_num))
                values.append(_value(row["value"], path, rows.line_num))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} can't be read as CSV: {error}") from error
    return times, values


def _time(raw: str | None, path: Path, line: int) -> datetime:
    try:
        time = datetime.fromisoformat((raw or "").strip())
        return (time.replace(tzinfo=UTC) if time.tzinfo is None else time).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError(
            f"{path} line {line}: {raw!r} is no time; expected ISO 8601, such as 2026-01-31T12:00:00Z"
        ) from None


def _value(raw: str | None, path: Path, line: int) -> float:
    try:
        value = float(raw or "")
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and 0 <= value < 1e12):
        raise InputError(f"{path} line {line}: {raw!r} is no count; expected a number from 0 on")
    return value


def _prepare(
    table: Table, settings: AlertingSettings, listener: Listener | None = None
) -> tuple[SurgeDetector, Counts]:
    step = timedelta(minutes=table.step_minutes)
    start = (table.start - _EPOCH) // step
    detector = SurgeDetector(settings, start, listener)
    # a file says nothing of outages, so every step counts as one in which there was something to read
    present = np.ones(len(table.values))
    return detector, Counts.of(start, {ALL: present}, {ALL: table.values})


def _found(surge: Surge, table: Table) -> Found:
    step = timedelta(minutes=table.step_minutes)
    first = (table.start - _EPOCH) // step

    def time(index: int) -> str:
        return (table.start + (index - first) * step).isoformat()

    return Found(time(surge.start), time(surge.last), time(surge.peak), surge.observed, surge.expected, surge.score)


def to_json(found: list[Found]) -> list[dict[str, str | float]]:
    """The documents of the command's JSON file."""
    return [asdict(item) for item in found]
