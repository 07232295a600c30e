"""All methods on the same simulations, and what the live detector must reach."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detection import live, oracle
from benchmarks.detection.methods import METHODS
from benchmarks.detection.scoring import Detection, FalseAlarms, Outcome, choose_threshold, judge, openings
from benchmarks.detection.simulation import RATIOS, Floats, Simulation

CEILING, LIVE, FIRST = "oracle CUSUM", "newstide", "newstide 0.1 (earlier)"
SHIPPED = "PromQL as shipped"
BUDGET = 1.0  # false alarms a series-week

_SHIPPED_MULTIPLE = 2.0
_EARLIER = Path(__file__).with_name("first_detector.json")
_SHARE_OF_CEILING = {"NB": 0.9, "heavy": 0.8, "bursty": 0.8}
_MORE_DELAY = 10.0
_FALSE_ALARMS = (0.5, 1.5)  # times the budget

Key = tuple[str, float]  # model and rate
Outcomes = Mapping[Key, Outcome]


def key_of(simulation: Simulation) -> Key:
    return simulation.model.name, simulation.rate


def run_oracle(simulation: Simulation) -> Outcome:
    """The CUSUM for each ratio, with a level of its own; its false alarms are the mean over the ratios."""
    weeks, model = simulation.weeks, simulation.model
    found, alarms = [], []
    for ratio in RATIOS:

        def ratios(counts: Floats, steps: slice, ratio: float = ratio) -> Floats:
            return oracle.likelihood_ratios(counts[:, steps], simulation.mean[steps], model, ratio)

        calibration = ratios(simulation.calm, weeks.calibration_steps)
        level = oracle.choose_level(calibration, BUDGET * len(calibration) * weeks.calibration)
        calm = oracle.openings(ratios(simulation.calm, weeks.test_steps), level)
        surged = oracle.openings(ratios(simulation.surged, weeks.test_steps), level)
        outcome = judge(simulation, calm, surged)
        found.append(outcome.detections[RATIOS.index(ratio)])
        alarms.append(outcome.false_alarms.alarms)
    return Outcome(found, FalseAlarms(round(float(np.mean(alarms))), outcome.false_alarms.series_weeks))


def run_methods(simulation: Simulation) -> Iterator[tuple[str, Outcome]]:
    """What the detector is compared with, each with the threshold that keeps the budget on the calibration weeks."""
    weeks = simulation.weeks
    budget = BUDGET * len(simulation.calm) * weeks.calibration
    for name, score in METHODS.items():
        calm, surged = score(simulation.calm), score(simulation.surged)
        thresholds = {name: choose_threshold(calm[:, weeks.calibration_steps], budget)}
        if name == "PromQL bands":
            thresholds[SHIPPED] = _SHIPPED_MULTIPLE
        for named, threshold in thresholds.items():
            on_calm = openings(calm, threshold)[:, weeks.test_steps]
            yield named, judge(simulation, on_calm, openings(surged, threshold)[:, weeks.test_steps])


def run_live(simulations: list[Simulation], alone: bool) -> Outcomes:
    """The live detector, which calibrates itself: it is given the budget, and watches all series together, or each
    `alone`."""
    if alone:
        pages = [live.watch_alone(each, BUDGET) for each in simulations]
    else:
        pages = live.watch_together(simulations, BUDGET)
    return {
        key_of(each): judge(each, calm.opened, surged.opened, surged.grown)
        for each, (calm, surged) in zip(simulations, pages, strict=True)
    }


def earlier() -> tuple[str, Outcomes]:
    """The first detector, as measured by this benchmark before it was replaced, and a note that says so."""
    document = json.loads(_EARLIER.read_text(encoding="utf-8"))
    found = {
        (row["model"], row["rate_per_minute"]): Outcome(
            [Detection(**each) for each in row["detections"]], FalseAlarms(**row["false_alarms"])
        )
        for row in document["results"]
    }
    return document["note"], found


@dataclass(frozen=True)
class Verdict:
    """One target: `reached` against `wanted`, in words."""

    target: str
    reached: str
    wanted: str
    passed: bool


def verdicts(ceiling: Outcomes, live: Outcomes) -> list[Verdict]:
    """Detected share and delay by model, rate and ratio; false alarms by model."""
    found = []
    for (model, rate), outcome in live.items():
        for mine, best in zip(outcome.detections, ceiling[model, rate].detections, strict=True):
            found.append(_of_detection(f"{model} {rate:g}/min x{mine.ratio:g}", model, mine, best))
    for model in dict.fromkeys(model for model, _ in live):
        total = _total(live, model)
        low, high = total.interval
        least, most = (bound * BUDGET for bound in _FALSE_ALARMS)
        found.append(
            Verdict(
                f"{model} false alarms a series-week",
                f"{total.per_week:.2f} [{low:.2f}, {high:.2f}]",
                f"{least:g} to {most:g}",
                least <= total.per_week <= most,
            )
        )
    return found


def _of_detection(target: str, model: str, mine: Detection, best: Detection) -> Verdict:
    share = _SHARE_OF_CEILING[model]
    ratio = mine.share / best.share if best.share else 1.0
    later = (mine.delay_minutes or 0.0) - (best.delay_minutes or 0.0)
    return Verdict(
        target,
        f"{in_words(mine)}, {ratio:.2f} of the ceiling's {in_words(best)}",
        f"{share:g}, at most {_MORE_DELAY:g} min later",
        ratio >= share and later <= _MORE_DELAY,
    )


def _total(outcomes: Outcomes, model: str) -> FalseAlarms:
    mine = [outcome.false_alarms for (name, _), outcome in outcomes.items() if name == model]
    return sum(mine[1:], mine[0])


def in_words(detection: Detection) -> str:
    delay = "-" if detection.delay_minutes is None else f"{detection.delay_minutes:.0f}"
    return f"{100 * detection.share:.0f}% @ {delay}"


def as_json(outcomes: Mapping[str, Outcomes]) -> list[dict[str, Any]]:
    """A record for each method, model and rate."""
    return [
        {
            "method": method,
            "model": model,
            "rate_per_minute": rate,
            "detections": [asdict(each) for each in outcome.detections],
            "false_alarms": asdict(outcome.false_alarms),
        }
        for method, cells in outcomes.items()
        for (model, rate), outcome in cells.items()
    ]
