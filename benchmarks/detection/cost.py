"""What it costs to judge 10,000 series a step: CPU seconds and memory of one process.

    python -m benchmarks.detection.cost [--series 10000] [--days 35] [--steps 36] [--seed 0] [--json]

Rates are spread evenly on a logarithmic scale from one story in three days to one a minute; no series has a surge. The
detector goes through `--days` days, then judges `--steps` steps one by one, as it does live; the end of a day, when it
learns, is measured by itself. A step must take at most 5 s of one core, and all of it 500 MB. Pages after the first two
weeks are false, and counted against the budget of one a week over all series.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import Any

import numpy as np

from alerting.backtest.watcher import open_detector
from alerting.detection.detector import Series
from alerting.rules.policy import Policy
from benchmarks.detection.live import MONDAY, counts_of
from benchmarks.detection.machine import setting
from benchmarks.detection.scoring import FalseAlarms
from benchmarks.detection.simulation import PER_DAY, PER_WEEK, STEP_MINUTES, Floats, profile
from core.settings import AlertingSettings

SLOWEST, FASTEST = 1 / 4320, 1.0  # stories a minute
MOST_SECONDS, MOST_MB = 5.0, 500.0

_BLOCK = 24  # steps
_LEARNT = 2 * PER_WEEK


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=35)
    parser.add_argument("--steps", type=int, default=36, help="judged one by one, at most a day")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = {**setting("benchmarks.detection.cost"), "seed": options.seed, **measure(options)}
    print(json.dumps(result, indent=1) if options.json else describe(result))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    rng = np.random.default_rng(options.seed)
    rates = np.geomspace(SLOWEST, FASTEST, options.series) * STEP_MINUTES
    names = [Series("entity", f"E{row}") for row in range(options.series)]
    detector = open_detector(AlertingSettings(max_series=max(options.series, 10)), Policy(1.0, {"entity": 1.0}), MONDAY)
    shape = profile(7 * PER_DAY)

    opened: list[int] = []

    def judge(values: Floats, first: int) -> float:
        counts = counts_of(values, names, first)
        began = time.process_time()
        changes = detector.judge(counts)
        spent = time.process_time() - began
        opened.extend(change.step - MONDAY for change in changes if change.kind == "opened")
        return spent

    def draw(first: int, steps: int) -> Floats:
        rhythm = shape[np.arange(first, first + steps) % len(shape)]
        return rng.poisson(rates[:, None] * rhythm * rng.gamma(6.0, 1 / 6.0, (len(rates), steps))).astype(float)

    def judge_blocks(first: int, end: int) -> float:
        """In blocks, so that the memory of what is drawn stays small."""
        return sum(judge(draw(at, min(_BLOCK, end - at)), at) for at in range(first, end, _BLOCK))

    days = [judge_blocks(day * PER_DAY, (day + 1) * PER_DAY) for day in range(options.days)]
    first = options.days * PER_DAY
    steps = [judge(draw(step, 1), step) for step in range(first, first + options.steps)]
    judge_blocks(first + options.steps, first + PER_DAY - 1)
    midnight = judge(draw(first + PER_DAY - 1, 1), first + PER_DAY - 1)
    began = time.process_time()
    state = detector.dump()
    packed = time.process_time() - began
    false = FalseAlarms(sum(step >= _LEARNT for step in opened), max(first + PER_DAY - _LEARNT, 1) / PER_WEEK)
    return {
        "series": options.series,
        "false_pages_a_week": round(false.per_week, 2),
        "false_pages_interval": [round(bound, 2) for bound in false.interval],
        "step_seconds_median": round(float(np.median(steps)), 3),
        "step_seconds_max": round(max(steps), 3),
        "midnight_step_seconds": round(midnight, 2),
        "day_in_blocks_seconds": round(float(np.median(days[len(days) // 2 :])), 2),
        "checkpoint_mb": round(len(state) / 1e6, 1),
        "checkpoint_seconds": round(packed, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def describe(result: dict[str, Any]) -> str:
    lines = [f"{name}: {value}" for name, value in result.items()]
    for what, reached, wanted in (
        ("seconds a step", max(result["step_seconds_max"], result["midnight_step_seconds"]), MOST_SECONDS),
        ("MB", result["peak_mb"], MOST_MB),
    ):
        lines.append(f"{'PASS' if reached <= wanted else 'MISS'}  {reached:g} {what} at most (wanted {wanted:g})")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
