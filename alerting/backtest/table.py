"""A regular series from a CSV file, as counts per step."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from alerting.detection.shape import MINUTES_PER_DAY
from alerting.steps import Steps
from core.errors import InputError

UNITS: Mapping[str, float] = MappingProxyType({"second": 1 / 60, "minute": 1.0, "hour": 60.0, "day": 1440.0})  # minutes
AUTO = "auto"


@dataclass(frozen=True)
class Table:
    """A regular series: `values` has shape (n,), value k belongs to the `step_minutes` from `start` + k steps on."""

    start: datetime
    step_minutes: int
    values: NDArray[np.float64]

    @property
    def steps(self) -> Steps:
        """Its steps, which begin when its rows do."""
        return Steps(self.step_minutes, self.start)

    @property
    def days(self) -> float:
        return len(self.values) * self.step_minutes / MINUTES_PER_DAY


def as_counts(table: Table, rate_unit: str | None, learning_days: float) -> Table:
    """The table with counts per step in the place of its rates.

    `rate_unit` is what the values are per: second, minute, hour or day; or a number, the counts of a step that a value
    of 1 stands for; or `auto`. That scales the values so that, in the first `learning_days`, the variance between
    neighbouring steps equals the mean, as it does for counts (a quasi-Poisson scale; McCullagh and Nelder 1989, ch. 4).
    None: they are counts. Raises InputError for another unit, and for values that show no scale.
    """
    if rate_unit is None:
        return table
    if rate_unit in UNITS:
        scale = table.step_minutes / UNITS[rate_unit]
    elif rate_unit == AUTO:
        scale = _quasi_poisson_scale(
            table.values[: max(2, round(learning_days * MINUTES_PER_DAY / table.step_minutes))]
        )
    else:
        scale = _number(rate_unit)
    return replace(table, values=table.values * scale)


def _quasi_poisson_scale(values: NDArray[np.float64]) -> float:
    """mean / variance, the variance from differences, which a slow rhythm does not enter; their median, which surges do
    not enter either: 1.4826 times the median absolute difference estimates sqrt(2) standard deviations."""
    steps = np.abs(np.diff(values))
    deviation = 1.4826 * float(np.median(steps)) / math.sqrt(2.0)
    if deviation == 0.0:
        deviation = float(np.sqrt(np.mean(steps**2) / 2.0))
    mean = float(values.mean())
    if not (deviation > 0.0 and mean > 0.0):
        raise InputError(
            "--rate-unit auto finds no scale: the values do not change in the first days; "
            "give a number, the counts of a step that a value of 1 stands for"
        )
    return mean / deviation**2


def _number(rate_unit: str) -> float:
    try:
        scale = float(rate_unit)
    except ValueError:
        scale = math.nan
    if not (math.isfinite(scale) and scale > 0):
        raise InputError(f"--rate-unit {rate_unit} is none; expected {', '.join(UNITS)}, {AUTO}, or a number above 0")
    return scale


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
