"""How many surges the detector finds, how soon, and at how many false alarms, beside other methods and the ceiling.

    python -m benchmarks.detection [--series 30] [--seed 0] [--quick] [--live-only] [--alone] [--json]

Simulated counts of three models and three rates, with surges of an hour at x2, x3 and x5 in weeks of their own. Every
method has the same budget, one false alarm a series-week: those compared with get the threshold that keeps it on
earlier weeks of the same series, model and rate by themselves, which is more than a real one is given. The live one
is given the budget, and calibrates itself. It exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from benchmarks.detection.comparison import (
    CEILING,
    FIRST,
    LIVE,
    Outcomes,
    Verdict,
    as_json,
    earlier,
    in_words,
    key_of,
    run_live,
    run_methods,
    run_oracle,
    verdicts,
)
from benchmarks.detection.machine import setting
from benchmarks.detection.simulation import MODELS, RATES, RATIOS, Weeks, simulate

FULL, QUICK = Weeks(learning=4, calibration=6, test=6), Weeks(learning=4, calibration=2, test=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=30, help="of each model and rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="8 weeks of 6 series each: shows that it runs, no figures")
    parser.add_argument("--live-only", action="store_true", help="only the live detector and its ceiling")
    parser.add_argument("--alone", action="store_true", help="a live detector for each series, as in newstide backtest")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    began = time.process_time()
    about: dict[str, Any] = {**setting("benchmarks.detection"), "seed": options.seed}
    outcomes = measure(options)
    about["cpu_seconds"] = round(time.process_time() - began, 1)
    found = verdicts(outcomes[CEILING], outcomes[LIVE])
    if options.json:
        note, past = earlier()
        results = {"results": as_json(outcomes), "earlier": {"note": note, "results": as_json({FIRST: past})}}
        print(json.dumps({**about, **results, "verdicts": [asdict(verdict) for verdict in found]}, indent=1))
    else:
        print(describe(about, outcomes, found))
    sys.exit(0 if all(verdict.passed for verdict in found) or options.quick else 1)


def measure(options: argparse.Namespace) -> dict[str, Outcomes]:
    """Outcomes by method."""
    weeks, series = (QUICK, 6) if options.quick else (FULL, options.series)
    simulations = [simulate(model, rate, series, weeks, options.seed) for model in MODELS for rate in RATES]
    outcomes: dict[str, dict[Any, Any]] = {CEILING: {}, LIVE: {}}
    for simulation in simulations:
        say(f"ceiling and other methods: {simulation.name}")
        outcomes[CEILING][key_of(simulation)] = run_oracle(simulation)
        for name, outcome in () if options.live_only else run_methods(simulation):
            outcomes.setdefault(name, {})[key_of(simulation)] = outcome
    say(f"live detector: {'each series alone' if options.alone else 'all series together'}")
    outcomes[LIVE] = dict(run_live(simulations, options.alone))
    return outcomes


def describe(about: Mapping[str, Any], outcomes: Mapping[str, Outcomes], found: list[Verdict]) -> str:
    """Tables of all figures, and the verdicts."""
    lines = [f"{name}: {value}" for name, value in about.items()]
    note, past = earlier()
    for key, ceiling in outcomes[CEILING].items():
        weeks, surges = ceiling.false_alarms.series_weeks, ceiling.detections[0].surges
        lines += ["", f"{key[0]}, {key[1]:g} a minute: {surges} surges of each ratio, {weeks:g} calm series-weeks"]
        ratios = "".join(f"{f'x{ratio:g}':>12}" for ratio in RATIOS)
        lines.append(f"  {'':24}{ratios}   false alarms a series-week")
        for method, cells in {**outcomes, FIRST: past}.items():
            false = cells[key].false_alarms
            low, high = false.interval
            shares = "".join(f"{in_words(each):>12}" for each in cells[key].detections)
            lines.append(f"  {method:24}{shares}   {false.per_week:.2f} [{low:.2f}, {high:.2f}]")
    lines += ["", f"{FIRST}: {note}", ""]
    width = max(len(verdict.target) for verdict in found)
    for verdict in found:
        word = "PASS" if verdict.passed else "MISS"
        lines.append(f"{word}  {verdict.target:{width}}  {verdict.reached}  (wanted {verdict.wanted})")
    missed = sum(not verdict.passed for verdict in found)
    lines.append(f"{len(found) - missed} of {len(found)} targets reached")
    return "\n".join(lines)


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
