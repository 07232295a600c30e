"""Seeded series of counts with a daily and a weekly rhythm, and surges at known times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEP_MINUTES = 5
PER_DAY = 288
PER_WEEK = 7 * PER_DAY
SURGE_STEPS = 12  # an hour
FOUND_WITHIN = 18  # steps from its start in which a surge must be found
RATIOS = (2.0, 3.0, 5.0)

_SWING = 4.0  # the busiest hour of a day over the quietest
_WEEKEND = 0.5
_APART = PER_DAY + PER_DAY // 2  # steps between the starts of two surges of a series, at least
_BURST_MINUTES = 60.0  # time scale of a bursty rate


@dataclass(frozen=True)
class Model:
    """Counts of a step are negative binomial with `size`, variance mu + mu^2 / size. The rate of a bursty one is
    multiplied by exp(z) / E[exp(z)], z an AR(1) of one hour and standard deviation `burst`."""

    name: str
    size: float
    burst: float = 0.0

    @property
    def marginal_size(self) -> float:
        """The size of the negative binomial with the same variance in a step."""
        spread = np.expm1(self.burst**2)
        return 1.0 / (1.0 / self.size + spread + spread / self.size)


MODELS = (Model("NB", 6.0), Model("heavy", 2.0), Model("bursty", 6.0, 0.4))
RATES = (0.2, 0.6, 2.0)  # a minute


@dataclass(frozen=True)
class Weeks:
    """How a series' weeks are used, in this order: nothing is judged in `learning`; thresholds are chosen on
    `calibration`; figures come from `test`."""

    learning: int
    calibration: int
    test: int

    @property
    def total(self) -> int:
        return self.learning + self.calibration + self.test

    @property
    def calibration_steps(self) -> slice:
        return slice(self.learning * PER_WEEK, (self.learning + self.calibration) * PER_WEEK)

    @property
    def test_steps(self) -> slice:
        return slice((self.learning + self.calibration) * PER_WEEK, self.total * PER_WEEK)


@dataclass(frozen=True)
class Surges:
    """Where surges begin: `row` of the series, `step` and `ratio`, each of shape (k,), by row and step."""

    row: NDArray[np.int64]
    step: NDArray[np.int64]
    ratio: Floats


@dataclass(frozen=True)
class Simulation:
    """n series of one model and rate: `mean` (steps,), `calm` counts (n, steps), and the `surged` ones, which differ
    in the steps of `surges` only."""

    model: Model
    rate: float
    weeks: Weeks
    mean: Floats
    calm: Floats
    surged: Floats
    surges: Surges

    @cached_property
    def name(self) -> str:
        return f"{self.model.name} {self.rate:g}/min"


def profile(steps: int) -> Floats:
    """The rhythm of a week that begins on a Monday, with mean 1, (steps,)."""
    step = np.arange(steps)
    swing = (_SWING - 1.0) / (_SWING + 1.0)
    shape = 1.0 - swing * np.cos(2 * np.pi * step / PER_DAY)
    shape *= np.where(step // PER_DAY % 7 >= 5, _WEEKEND, 1.0)
    return shape * (7.0 / (5.0 + 2.0 * _WEEKEND))


def simulate(model: Model, rate: float, series: int, weeks: Weeks, seed: int) -> Simulation:
    """`series` of them with a mean of `rate` a minute. The same arguments give the same counts."""
    place = MODELS.index(model) * len(RATES) + RATES.index(rate)
    rng = np.random.default_rng([seed, place])
    steps = weeks.total * PER_WEEK
    mean = rate * STEP_MINUTES * profile(steps)
    latent = mean * _bursts(model.burst, series, steps, rng)
    calm = _draw(latent, model.size, rng)
    surges = _place_surges(series, weeks.test_steps, rng)
    surged = calm.copy()
    inside = surges.step[:, None] + np.arange(SURGE_STEPS)
    rows = np.broadcast_to(surges.row[:, None], inside.shape)
    surged[rows, inside] = _draw(latent[rows, inside] * surges.ratio[:, None], model.size, rng)
    return Simulation(model, rate, weeks, mean, calm, surged, surges)


def _draw(mean: Floats, size: float, rng: np.random.Generator) -> Floats:
    return rng.poisson(mean * rng.gamma(size, 1.0 / size, mean.shape)).astype(np.float64)


def _bursts(deviation: float, series: int, steps: int, rng: np.random.Generator) -> Floats:
    if not deviation:
        return np.ones((series, steps))
    memory = np.exp(-STEP_MINUTES / _BURST_MINUTES)
    z = rng.normal(0.0, deviation, (series, steps))
    z[:, 1:] *= np.sqrt(1.0 - memory**2)
    for step in range(1, steps):
        z[:, step] += memory * z[:, step - 1]
    return np.exp(z - deviation**2 / 2.0)


def _place_surges(series: int, test: slice, rng: np.random.Generator) -> Surges:
    """About one surge in two days and a quarter of each series, at random times of day, at least `_APART` apart; the
    ratios come in turn, in an order drawn for each series."""
    rows, places, ratios = [], [], []
    for row in range(series):
        step = test.start + int(rng.integers(0, 2 * PER_DAY))
        order = rng.permutation(RATIOS)
        turn = 0
        while step + FOUND_WITHIN <= test.stop:
            rows.append(row)
            places.append(step)
            ratios.append(order[turn % len(order)])
            turn += 1
            step += _APART + int(rng.integers(0, 3 * PER_DAY // 2))
    return Surges(np.array(rows, np.int64), np.array(places, np.int64), np.array(ratios))
