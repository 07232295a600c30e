"""What a budget of false pages would buy: surges put into the operator's own past, and judged by the live detector.

A surge of ratio r adds r - 1 times what is ordinary: the counts of other days at the same time, chosen at random, the
last of them thinned out (each story kept with the probability that is left). So it is as bursty as the series is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerting.backtest.watcher import open_detector
from alerting.detection.detector import OUTAGE, Counts, Floats, Series, SurgeChange
from alerting.rules.policy import Policy
from alerting.steps import Steps
from core.errors import InputError
from core.settings import AlertingSettings

_FOUND_WITHIN = 1.5  # times the length of a surge
_APART_DAYS = 2.0  # between the starts of two surges of a series, at the least
_LEAST_STORIES = 0.5  # expected in the time of a surge, on average; less can't show a ratio
_LEAST_DAYS = 7
_MOST_SERIES = 500  # that get surges; all are judged


@dataclass(frozen=True)
class Plan:
    """`learn_days` are judged but get no surges; surges last `minutes`, with one of `ratios` each."""

    budgets: Sequence[float]
    ratios: Sequence[float]
    minutes: int
    learn_days: int
    seed: int


@dataclass(frozen=True)
class Injection:
    """Surges in place: `series` and `start` step and `ratio` of each, and the counts with them in it."""

    series: list[Series]
    start: NDArray[np.int64]
    ratio: Floats
    counts: Counts


@dataclass(frozen=True)
class Caught:
    """Of `surges` of a ratio, `found` within one and a half times their length, `delay_minutes` after they began in the
    median (None: none was)."""

    ratio: float
    surges: int
    found: int
    delay_minutes: float | None


@dataclass(frozen=True)
class TradeOff:
    """At a `budget` of false pages a week, the past as it was would have had `pages_per_week`, true ones among them."""

    budget: float
    pages_per_week: float
    caught: list[Caught]

    def to_json(self) -> dict[str, Any]:
        caught = [vars(each) | {"share": each.found / each.surges if each.surges else None} for each in self.caught]
        return {"budget": self.budget, "pages_per_week": self.pages_per_week, "surges": caught}


def trade_offs(
    counts: Counts, settings: AlertingSettings, policy: Policy, plan: Plan, tick: Callable[[], None] = lambda: None
) -> Iterator[TradeOff]:
    """One for each budget, from the same surges; `tick` is called for each week that was judged, see `ticks`.

    Raises InputError where there are too few days, or no series is busy enough.
    """
    steps = Steps(settings.step_minutes)
    injection = inject(counts, steps, plan)
    first = counts.start + plan.learn_days * steps.per_day
    weeks = (counts.end - first) / steps.per_day / 7
    for budget in plan.budgets:
        asked = replace(policy, budget_per_week=budget)
        calm = _judge(counts, settings, asked, steps, tick)
        surges = (change for change in calm if change.series != OUTAGE)
        pages = sum(change.kind == "opened" and change.step >= first for change in surges)
        changes = _judge(injection.counts, settings, asked, steps, tick)
        yield TradeOff(budget, pages / weeks, list(_caught(injection, changes, steps, plan)))


def ticks(counts: Counts, steps: Steps, plan: Plan) -> int:
    """How many weeks `trade_offs` judges."""
    return 2 * len(plan.budgets) * -(-(counts.end - counts.start) // (7 * steps.per_day))


def inject(counts: Counts, steps: Steps, plan: Plan) -> Injection:
    """Surges in negative stories of the series that have enough of them, at random times after the days of learning."""
    rng = np.random.default_rng(plan.seed)
    days = (counts.end - counts.start) // steps.per_day
    if days < plan.learn_days + _LEAST_DAYS:
        raise InputError(
            f"{days} days of trends are too few: {plan.learn_days} to learn and {_LEAST_DAYS} to put surges into"
        )
    length = max(1, round(plan.minutes / (steps.length.total_seconds() / 60)))
    places, dense = _busy(counts, days * steps.per_day, length)
    within, apart = round(_FOUND_WITHIN * length), round(_APART_DAYS * steps.per_day)
    rows, starts, ratios = [], [], []
    for row in range(len(places)):
        step = plan.learn_days * steps.per_day + int(rng.integers(0, apart))
        while step + within <= dense.shape[1]:
            rows.append(row)
            starts.append(step)
            ratios.append(float(rng.choice(plan.ratios)))
            step += apart + int(rng.integers(0, apart))
    extra: dict[tuple[int, int], float] = {}
    for row, start, ratio in zip(rows, starts, ratios, strict=True):
        of_days = dense[row].reshape(days, steps.per_day)
        for place in range(start, start + length):
            added = _drawn(of_days[:, place % steps.per_day], place // steps.per_day, ratio - 1.0, rng)
            if added:
                extra[places[row], counts.start + place] = added
    names = [counts.names[places[row]] for row in rows]
    return Injection(names, counts.start + np.array(starts, np.int64), np.array(ratios), _with_stories(counts, extra))


def _drawn(others: Floats, today: int, times: float, rng: np.random.Generator) -> float:
    """Stories of `times` other days, the last in part."""
    days = np.delete(np.arange(len(others)), today)
    chosen = rng.choice(days, int(np.ceil(times)), replace=times > len(days))
    whole, part = int(times), times - int(times)
    drawn = float(others[chosen[:whole]].sum())
    return drawn + float(rng.binomial(int(others[chosen[whole]]), part)) if part else drawn


def _busy(counts: Counts, steps: int, length: int) -> tuple[list[int], Floats]:
    """Places of the series with enough negative stories, the busiest first, and their stories by step, (n, steps)."""
    inside = counts.step < counts.start + steps
    total = np.bincount(counts.series[inside], counts.negative[inside], len(counts.names))
    enough = np.flatnonzero(total * length / steps >= _LEAST_STORIES)
    if not enough.size:
        busiest = int(np.argmax(total)) if total.size else -1
        most = (
            f"{counts.names[busiest]}, has {total[busiest] * length / steps:.2g}" if busiest >= 0 else "none, has none"
        )
        raise InputError(
            f"no series is busy enough to show a surge: that takes {_LEAST_STORIES:g} negative stories in its time on "
            f"average, and the busiest, {most}; longer surges need fewer a day: try a larger --minutes"
        )
    chosen = enough[np.argsort(-total[enough], kind="stable")][:_MOST_SERIES]
    dense = np.zeros((len(chosen), steps))
    row = np.full(len(counts.names), -1)
    row[chosen] = np.arange(len(chosen))
    mine = inside & (row[counts.series] >= 0)
    np.add.at(dense, (row[counts.series[mine]], counts.step[mine] - counts.start), counts.negative[mine])
    return chosen.tolist(), dense


def _with_stories(counts: Counts, extra: dict[tuple[int, int], float]) -> Counts:
    """`counts` with `extra` negative stories, of a message each, by place of the series and step."""
    span = counts.end - counts.start
    added = np.array([[series * span + step - counts.start, value] for (series, step), value in extra.items()])
    cell, value = added.reshape(-1, 2).T
    cells = np.concatenate(
        [counts.series.astype(np.int64) * span + (counts.step - counts.start), cell.astype(np.int64)]
    )
    unique, place = np.unique(cells, return_inverse=True)

    def summed(values: Floats, more: Floats) -> Floats:
        return np.bincount(place, np.concatenate([values, more]), len(unique)).astype(np.float64)

    none = np.zeros(len(value))
    return Counts(
        counts.start,
        counts.end,
        counts.names,
        (unique // span).astype(np.int32),
        counts.start + unique % span,
        summed(counts.messages, value),
        summed(counts.negative, value),
        summed(counts.neutral, none),
        summed(counts.positive, none),
    )


def _judge(
    counts: Counts, settings: AlertingSettings, policy: Policy, steps: Steps, tick: Callable[[], None]
) -> list[SurgeChange]:
    detector = open_detector(settings, policy, counts.start)
    changes: list[SurgeChange] = []
    for start in range(counts.start, counts.end, 7 * steps.per_day):
        changes += detector.judge(counts.cut(start, min(start + 7 * steps.per_day, counts.end)))
        tick()
    return changes


def _caught(injection: Injection, changes: Sequence[SurgeChange], steps: Steps, plan: Plan) -> Iterator[Caught]:
    minutes = steps.length.total_seconds() / 60
    by_series: dict[Series, list[int]] = {}
    for change in changes:
        if change.kind in ("opened", "grown"):
            by_series.setdefault(change.series, []).append(change.step)
    found: dict[float, list[float | None]] = {ratio: [] for ratio in plan.ratios}
    for series, start, ratio in zip(injection.series, injection.start.tolist(), injection.ratio.tolist(), strict=True):
        within = start + round(_FOUND_WITHIN * plan.minutes / minutes)
        first = min((step for step in by_series.get(series, ()) if start <= step < within), default=None)
        found[ratio].append(None if first is None else (first - start + 1) * minutes)
    for ratio, delays in found.items():
        known = [delay for delay in delays if delay is not None]
        yield Caught(ratio, len(delays), len(known), float(np.median(known)) if known else None)
