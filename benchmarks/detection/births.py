"""Companies that are in the news for the first time: how soon a surge at birth is found, and what ordinary births cost.

    python -m benchmarks.detection.births [--seeds 8] [--budget 1] [--json]

Beside 60 series that are there from the start, 20 a week are born: each with a number of stories whose tail is a Pareto
distribution's of index 1.5, spread over hours to a day, and a rate of its own from then on, of a story a week in the
median. In the test weeks one a week is born in a surge: 5 to 30 stories, evenly on a logarithmic scale, within one to
four hours. All stories are negative. Six weeks are learnt from, eight are the test. What opens on series without a
surge is false. In a third run a feed is connected in the middle of the test: 300 series are born within a day.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerting.backtest.watcher import open_detector, reopen_detector
from alerting.detection.detector import ALL, Counts, Series, SurgeChange
from alerting.detection.surges import SurgeDetector
from alerting.rules.policy import Policy, Watch
from benchmarks.detection.live import MONDAY
from benchmarks.detection.machine import setting
from benchmarks.detection.scoring import FalseAlarms
from benchmarks.detection.simulation import PER_DAY, PER_WEEK, STEP_MINUTES, profile
from core.settings import AlertingSettings

Ints = NDArray[np.int64]

LEARNING, TEST = 6, 8  # weeks
OLD, BORN, SURGES, CONNECTED = 60, 20, 1, 300  # series there from the start; born a week; in a surge; at once
FOUND_WITHIN = PER_DAY  # steps from the first story on

_OLD_RATES = (0.3, 30.0)  # stories a day
_PARETO, _MOST = 1.5, 40  # first stories of an ordinary birth
_SPREAD_HOURS = (2.0, 24.0)
_LATER_RATE, _LATER_SPREAD = 1 / 7, 1.5  # stories a day in the median, and the standard deviation of its logarithm
_SIZES, _YOUNG = (9, 17), 3 * PER_DAY  # stories; steps
_STEPS = (LEARNING + TEST) * PER_WEEK


@dataclass(frozen=True)
class Births:
    """Series of one group by the steps of their stories. `born`: the first of each, (n,); `stories`: all, each (k,)."""

    group: str
    born: Ints
    stories: list[Ints]

    @property
    def names(self) -> list[Series]:
        return [Series("entity", f"{self.group} {row}") for row in range(len(self.born))]


@dataclass(frozen=True)
class Figures:
    """What opened in the test weeks. `delays`: minutes to each surge at birth that was found. `by_size`: found and all
    of up to 9, up to 17 and more stories on the first day. False: on `old` series, on `young` ones in their first three
    days, and on these `later`. `crowd`: on the series of the feed in their first three days."""

    delays: list[float]
    by_size: list[tuple[int, int]]
    false_old: int
    false_young: int
    false_later: int
    crowd: int
    weeks: float


def draw(seed: int) -> dict[str, Births]:
    """The groups `old`, `born`, `surge` and `crowd`; the same seed gives the same."""
    rng = np.random.default_rng(seed)
    rhythm = profile(_STEPS)
    times = rhythm / rhythm.sum()
    born = np.sort(rng.choice(_STEPS, BORN * (LEARNING + TEST), p=times))
    surged = np.sort(LEARNING * PER_WEEK + rng.choice(TEST * PER_WEEK - PER_DAY, SURGES * TEST))
    connected = (LEARNING + TEST // 2) * PER_WEEK + 3 * PER_DAY + 100
    crowd = connected + (PER_DAY * rng.beta(1.0, 4.0, CONNECTED)).astype(np.int64)
    old = [_later(rhythm, 0, rate, rng) for rate in np.geomspace(*_OLD_RATES, OLD)]
    return {
        "old": Births("old", np.zeros(OLD, np.int64), old),
        "born": Births("born", born, [_ordinary(rhythm, at, rng) for at in born.tolist()]),
        "surge": Births("surge", surged, [_surge(rhythm, at, rng) for at in surged.tolist()]),
        "crowd": Births("crowd", crowd, [_ordinary(rhythm, at, rng) for at in crowd.tolist()]),
    }


def _later(rhythm: NDArray[np.float64], start: int, a_day: float, rng: np.random.Generator) -> Ints:
    mean = a_day / PER_DAY * rhythm[start:] * rng.gamma(2.0, 1 / 2.0, len(rhythm) - start)
    return start + np.repeat(np.arange(len(mean)), rng.poisson(mean))


def _after(first: Ints, rhythm: NDArray[np.float64], at: int, rng: np.random.Generator) -> Ints:
    """The `first` stories, and those of the time after, at a low rate."""
    rate = min(_LATER_RATE * float(np.exp(rng.normal(0.0, _LATER_SPREAD))), 10.0)
    steps = np.concatenate([[at], first, _later(rhythm, at, rate, rng)])
    return np.sort(steps[steps < _STEPS]).astype(np.int64)


def _ordinary(rhythm: NDArray[np.float64], at: int, rng: np.random.Generator) -> Ints:
    number = min(int(rng.pareto(_PARETO) + 1.0), _MOST)
    spread = float(np.exp(rng.uniform(*np.log(_SPREAD_HOURS)))) * 60 / STEP_MINUTES
    return _after(at + rng.exponential(spread, number - 1), rhythm, at, rng)


def _surge(rhythm: NDArray[np.float64], at: int, rng: np.random.Generator) -> Ints:
    number = int(np.exp(rng.uniform(np.log(5.0), np.log(31.0))))
    return _after(at + rng.uniform(0.0, rng.uniform(1.0, 4.0) * 60 / STEP_MINUTES, number - 1), rhythm, at, rng)


def counts_of(groups: Sequence[Births], start: int, end: int) -> Counts:
    """Of the steps `start` to `end` after MONDAY; a message a step comes from elsewhere."""
    names = [name for group in groups for name in group.names]
    stories = [steps for group in groups for steps in group.stories]
    row, step = np.repeat(np.arange(len(names)), [len(steps) for steps in stories]), np.concatenate(stories)
    mine = (step >= start) & (step < end)
    key, number = np.unique(row[mine] * _STEPS + step[mine], return_counts=True)
    total = np.bincount(step[mine] - start, minlength=end - start)
    values = np.concatenate([number, total]).astype(np.float64)
    return Counts(
        MONDAY + start,
        MONDAY + end,
        [*names, ALL],
        np.concatenate([key // _STEPS, np.full(end - start, len(names))]).astype(np.int32),
        MONDAY + np.concatenate([key % _STEPS, np.arange(start, end)]),
        values + np.repeat([0.0, 1.0], [len(number), end - start]),
        values,
        np.zeros(len(values)),
        np.zeros(len(values)),
    )


def measure(seed: int, budget: float) -> Figures:
    """One detector learns; three go on from there: without surges, with them, and with a feed that is connected."""
    groups = draw(seed)
    settings = AlertingSettings()
    policy = Policy(budget, {"entity": 1.0}, (Watch(("entity=*",), ("negative",)),))
    first = LEARNING * PER_WEEK
    detector = open_detector(settings, policy, MONDAY)
    _judge(detector, [groups["old"], groups["born"]], 0, first)
    checkpoint = detector.dump()

    def opened(*chosen: str) -> list[tuple[str, int]]:
        going = reopen_detector(settings, policy, checkpoint)
        changes = _judge(going, [groups["old"], groups["born"], *(groups[name] for name in chosen)], first, _STEPS)
        return [(change.series.name, change.step - MONDAY) for change in changes if change.kind == "opened"]

    calm, surged, crowded = opened(), opened("surge"), opened("crowd")
    delays: dict[int, int] = {}
    for row, _, age in _of("surge", groups, surged):
        if age < FOUND_WITHIN:
            delays.setdefault(row, age + 1)
    surges = groups["surge"]
    # of which a few may be of the low rate that follows
    sizes = [int((steps < at + PER_DAY).sum()) for at, steps in zip(surges.born, surges.stories, strict=True)]
    classes = np.searchsorted(_SIZES, sizes)
    ages = [age for _, _, age in _of("born", groups, calm)]
    return Figures(
        [delay * STEP_MINUTES for delay in delays.values()],
        [(sum(classes[row] == each for row in delays), int((classes == each).sum())) for each in range(3)],
        len(_of("old", groups, calm)),
        sum(age < _YOUNG for age in ages),
        sum(age >= _YOUNG for age in ages),
        sum(age < _YOUNG for _, _, age in _of("crowd", groups, crowded)),
        float(TEST),
    )


def _of(group: str, groups: Mapping[str, Births], opened: Sequence[tuple[str, int]]) -> list[tuple[int, int, int]]:
    """Row, step and age in steps of what was `opened` of the `group`."""
    mine = [(int(name.split(" ")[1]), step) for name, step in opened if name.split(" ")[0] == group]
    return [(row, step, step - int(groups[group].born[row])) for row, step in mine]


def _judge(detector: SurgeDetector, groups: Sequence[Births], start: int, end: int) -> list[SurgeChange]:
    changes: list[SurgeChange] = []
    for at in range(start, end, PER_WEEK):
        changes += detector.judge(counts_of(groups, at, at + PER_WEEK))
    return changes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8, help="from 0 on")
    parser.add_argument("--budget", type=float, default=1.0, help="false pages a week over all series")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    about: dict[str, Any] = setting("benchmarks.detection.births")
    found = [measure(seed, options.budget) for seed in range(options.seeds)]
    if options.json:
        print(json.dumps({**about, "results": [asdict(figures) for figures in found]}, indent=1))
        return
    print("\n".join(f"{name}: {value}" for name, value in about.items()))
    print(f"{'seed':>4}{'up to 9':>10}{'up to 17':>10}{'more':>10}   false: old  young  later   of 300 at once")
    for seed, each in enumerate(found):
        sizes = "".join(f"{f'{part} of {whole}':>10}" for part, whole in each.by_size)
        print(f"{seed:4}{sizes}{each.false_old:13}{each.false_young:7}{each.false_later:7}{each.crowd:17}")
    delays = [delay for each in found for delay in each.delays]
    print(f"surges at birth: {len(delays)} of {SURGES * TEST * len(found)} found @ {np.median(delays):.0f} min")
    weeks = sum(each.weeks for each in found)
    for name in ("false_old", "false_young", "false_later"):
        false = FalseAlarms(sum(getattr(each, name) for each in found), weeks)
        low, high = false.interval
        print(f"{name.replace('_', ' ')}: {false.per_week:.2f} [{low:.2f}, {high:.2f}] a week")


if __name__ == "__main__":
    main()
