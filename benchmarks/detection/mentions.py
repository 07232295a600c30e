"""Series as `newstide backtest` meets them: mentions of a ticker, bursty and heavy-tailed, each judged by itself.

    python -m benchmarks.detection.mentions [--series 20] [--seed 0] [--budgets 0.1 0.3 0.7 1.5] [--json]

Counts of five minutes over nine weeks: negative binomial of size 1 to 2, a day and a week that swing with the market,
bursts of hours, a level that drifts and changes, and some three spikes a week of minutes that nobody would call an
event. Two to four events a series jump to 4 to 30 times the usual rate and fade within hours. `backtest` gets nothing
but the file and a budget. The other methods get, in hindsight, the one threshold for all series at which they have as
many false alarms as the live detector had; the weeks before the fifth are not counted, for they need them to learn.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerting.backtest.run import backtest
from alerting.backtest.table import Table
from alerting.steps import Steps
from benchmarks.detection.machine import setting
from benchmarks.detection.methods import METHODS
from benchmarks.detection.scoring import FalseAlarms, openings
from benchmarks.detection.simulation import PER_DAY, PER_WEEK, STEP_MINUTES, Floats
from core.settings import AlertingSettings

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
WEEKS, LEARNING = 9, 4
BUDGETS = (0.1, 0.3, 0.7, 1.5)

_RATES = (1.0, 80.0)  # of the quietest and the busiest series, a step
_WINDOW = PER_DAY // 2  # in which an event is found, and an alarm is not false
_SPIKES_A_WEEK = 3.0


@dataclass(frozen=True)
class Mentions:
    """`counts`, (n, steps), and where events begin: `row` and `step`, (events,)."""

    counts: Floats
    row: NDArray[np.int64]
    step: NDArray[np.int64]


@dataclass(frozen=True)
class Figures:
    """Of `events`, `found`; `delay_minutes` in the median."""

    method: str
    budget: float
    events: int
    found: int
    delay_minutes: float | None
    false_alarms: FalseAlarms


def simulate(series: int, seed: int) -> Mentions:
    """The same arguments give the same counts."""
    rng = np.random.default_rng([seed, series])
    found = [_one(rate, rng) for rate in np.geomspace(*_RATES, series)]
    row = np.repeat(np.arange(series), [len(steps) for _, steps in found])
    return Mentions(np.stack([counts for counts, _ in found]), row, np.concatenate([steps for _, steps in found]))


def _one(rate: float, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    steps = WEEKS * PER_WEEK
    mean = rate * _rhythm(steps) * _level(steps, rng) * _bursts(steps, rng.uniform(0.3, 0.6), rng)
    for at in rng.integers(0, steps, rng.poisson(_SPIKES_A_WEEK * WEEKS)):
        _raise(mean, int(at), rng.uniform(1.0, 5.0), rng.uniform(2.0, 6.0))
    days = np.sort(rng.choice(np.arange(7 * LEARNING, 7 * WEEKS, 3), rng.integers(2, 5), replace=False))
    starts = days * PER_DAY + rng.integers(0, PER_DAY, len(days))
    for at in starts.tolist():
        _raise(mean, at, float(np.exp(rng.uniform(np.log(4.0), np.log(30.0)))), rng.uniform(12.0, 48.0))
    size = rng.uniform(1.0, 2.0)
    return rng.poisson(mean * rng.gamma(size, 1.0 / size, steps)).astype(np.float64), starts


def _rhythm(steps: int) -> Floats:
    """Weekdays peak while the market is open, in UTC; weekends are flatter, and less than half."""
    step = np.arange(steps)
    hour = step % PER_DAY * STEP_MINUTES / 60
    weekday = 1.0 + 4.0 * np.exp(-(((hour - 17.0) / 3.5) ** 2))
    shape = np.where(step // PER_DAY % 7 < 5, weekday, 0.8 + 0.6 * np.exp(-(((hour - 18.0) / 6.0) ** 2)))
    rhythm: Floats = shape / shape.mean()
    return rhythm


def _level(steps: int, rng: np.random.Generator) -> Floats:
    """A walk of 5% a day, and one change for good by a third to twofold, up or down."""
    walk = np.cumsum(rng.normal(0.0, 0.05 / np.sqrt(PER_DAY), steps))
    change = rng.choice((-1.0, 1.0)) * rng.uniform(np.log(4 / 3), np.log(2.0))
    level: Floats = np.exp(walk + change * (np.arange(steps) >= rng.integers(PER_WEEK, steps)))
    return level


def _bursts(steps: int, deviation: float, rng: np.random.Generator) -> Floats:
    """exp of an AR(1) of two hours, with mean one."""
    memory = np.exp(-STEP_MINUTES / 120.0)
    z = rng.normal(0.0, deviation, steps)
    z[1:] *= np.sqrt(1.0 - memory**2)
    for step in range(1, steps):
        z[step] += memory * z[step - 1]
    burst: Floats = np.exp(z - deviation**2 / 2.0)
    return burst


def _raise(mean: Floats, at: int, times: float, fade: float) -> None:
    part = mean[at : at + _WINDOW]
    part *= 1.0 + times * np.exp(-np.arange(len(part)) / fade)


def measure(mentions: Mentions, budgets: list[float]) -> Iterator[Figures]:
    """The live detector at each budget, each followed by the others at as many false alarms."""
    # the bands have no threshold at which spikes of minutes pass and few alarms are false
    scores = {name: score(mentions.counts) for name, score in METHODS.items() if name != "PromQL bands"}
    for budget in budgets:
        alarms = np.stack([live_alarms(counts, budget) for counts in mentions.counts])
        mine = judge("newstide", budget, mentions, alarms)
        yield mine
        for name, score in scores.items():
            yield judge(name, budget, mentions, _at_most(mentions, score, mine.false_alarms.alarms))


def live_alarms(counts: Floats, budget: float) -> NDArray[np.bool_]:
    """Where an alarm begins, (steps,)."""
    steps = Steps(STEP_MINUTES)
    alarms = np.zeros(len(counts), np.bool_)
    for found in backtest(Table(START, STEP_MINUTES, counts), AlertingSettings(), budget):
        alarms[steps.of(found.start) - steps.of(START)] = True
    return alarms


def _at_most(mentions: Mentions, scores: Floats, alarms: int) -> NDArray[np.bool_]:
    """Alarms at the lowest threshold that gives so many false ones, by bisection."""
    ordered = np.sort(scores[:, LEARNING * PER_WEEK :], axis=None)
    low, high = 0, len(ordered) - 1
    while low < high:
        middle = (low + high) // 2
        found = judge("", 0.0, mentions, openings(scores, float(ordered[middle])))
        # the count falls with the threshold but for the lowest, where all is one alarm
        if middle > len(ordered) // 2 and found.false_alarms.alarms <= alarms:
            high = middle
        else:
            low = middle + 1
    return openings(scores, float(ordered[low]))


def judge(method: str, budget: float, mentions: Mentions, alarms: NDArray[np.bool_]) -> Figures:
    """`alarms`, (n, steps): where one begins. One in the half day after an event begins is of that event."""
    inside = np.zeros(alarms.shape, np.bool_)
    delays = []
    for row, step in zip(mentions.row.tolist(), mentions.step.tolist(), strict=True):
        inside[row, step : step + _WINDOW] = True
        at = np.flatnonzero(alarms[row, step : step + _WINDOW])
        if at.size:
            delays.append((float(at[0]) + 1.0) * STEP_MINUTES)
    judged = slice(LEARNING * PER_WEEK, None)
    false = FalseAlarms(int((alarms & ~inside)[:, judged].sum()), float((~inside)[:, judged].sum() / PER_WEEK))
    return Figures(method, budget, len(mentions.row), len(delays), float(np.median(delays)) if delays else None, false)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budgets", type=float, nargs="+", default=list(BUDGETS), help="false alarms a week, a series")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    about: dict[str, Any] = {**setting("benchmarks.detection.mentions"), "seed": options.seed}
    found = measure(simulate(options.series, options.seed), options.budgets)
    if options.json:
        print(json.dumps({**about, "results": [asdict(figures) for figures in found]}, indent=1))
        return
    print("\n".join(f"{name}: {value}" for name, value in about.items()))
    print(f"{'':20}{'budget':>8}{'found':>12}{'delay, min':>12}   false alarms a series-week")
    for each in found:
        low, high = each.false_alarms.interval
        delay = "-" if each.delay_minutes is None else f"{each.delay_minutes:.0f}"
        rate = f"{each.false_alarms.per_week:.2f} [{low:.2f}, {high:.2f}]"
        print(f"{each.method:20}{each.budget:8g}{f'{each.found} of {each.events}':>12}{delay:>12}   {rate}", flush=True)


if __name__ == "__main__":
    main()
