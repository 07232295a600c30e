"""Messages per second of the whole stack, from produced to committed, and the peak memory of each process.

    python benchmarks/bench_end_to_end.py [--texts FILE.jsonl.gz] [--count 30000] [--workers 1 2] [--json]

Embedded broker and database, real tweets replayed at full speed, alerting on: everything shares the machine, as on the
desk of somebody who tries it. The yardstick is the classifier alone, as many single-threaded processes, in the same
run: what the pipeline around it costs is the difference.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench_classifier import PROJECT, TWEETS, in_words, measure, processor

from core.settings import Settings, load_settings
from core.store.ledger import read_ledger
from core.store.recount import differences
from newstide.stack.loop import run
from newstide.stack.opening import running
from newstide.stack.plan import Plan, ReplayFile
from newstide.stack.stack import Stack

MAP = "id=id,text=text,published_at=ts,entities=tickers"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=PROJECT / "models" / "default")
    parser.add_argument("--texts", type=Path, default=TWEETS, help="JSON Lines, gzip, shaped like the stocknet file")
    parser.add_argument("--count", type=int, default=30_000, help="messages of the file to replay")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of worker processes to measure")
    parser.add_argument("--seconds", type=float, default=10, help="how long the yardstick runs")
    parser.add_argument("--seed", type=int, default=0, help="of the yardstick's sample of texts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result: dict[str, Any] = {"machine": processor(), "command": " ".join(sys.argv), "count": options.count}
    for workers in options.workers:
        alone = measure(options, options.bundle, threads=1, processes=workers)
        figures = measure_stack(options, workers)
        figures["classifier_alone"] = alone["rate"]
        figures["ratio"] = round(figures["rate"] / alone["rate"], 2)
        result[f"workers={workers}"] = figures
    print(json.dumps(result) if options.json else describe(result))


def measure_stack(options: argparse.Namespace, workers: int) -> dict[str, Any]:
    """Replay into a fresh store with `workers` workers; raises SystemExit if the store is not exact afterwards."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        directory.chmod(0o755)  # the embedded database may run as another user
        file = directory / "texts.jsonl"
        with gzip.open(options.texts, "rt", encoding="utf-8") as lines, file.open("w", encoding="utf-8") as out:
            out.writelines(itertools.islice(lines, options.count))
        settings = load_settings(
            embedded={"directory": directory},
            stream={"bundle": options.bundle},
            alerting={"clock": "event"},
            metrics={"worker_port": 0, "ingest_port": 0, "alerting_port": 0},
        )
        plan = Plan(workers, replay=ReplayFile(file, ("--map", MAP)), until_drained=True)
        with running(settings, plan, details=False) as stack:
            watch = Watch(stack)
            run(stack, until_drained=True, show=lambda _: watch.look())
            if found := differences(stack.engine, limit=1):
                raise SystemExit(f"the store is not exact, so its speed means nothing: {found}")
            return watch.figures(settings)


class Watch:
    """Notes when the first and the last message were committed, and the most memory each process had."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._memory: dict[str, float] = {}
        self._commits: list[tuple[float, int]] = []
        self._began = time.perf_counter()

    def look(self) -> None:
        for child in self._stack.processes():
            if child.pid is not None:
                self._memory[child.name] = max(self._memory.get(child.name, 0.0), _peak_mb(child.pid))
        read = sum(row.next_offset or 0 for row in read_ledger(self._stack.engine, "newstide.messages"))
        if not self._commits or read > self._commits[-1][1]:
            self._commits.append((time.perf_counter(), read))

    def figures(self, settings: Settings) -> dict[str, Any]:
        moving = [commit for commit in self._commits if commit[1] > 0]
        (first_at, first), (last_at, last) = moving[0], moving[-1]
        return {
            "rate": round((last - first) / (last_at - first_at), 1),
            "messages": last,
            "seconds_from_start": round(last_at - self._began, 1),
            "peak_mb": {name: round(peak) for name, peak in self._memory.items()},
            "batch_size": settings.stream.batch_size,
        }


def describe(result: dict[str, Any]) -> str:
    machine = result["machine"]
    lines = [
        in_words(machine),
        f"{result['count']} real tweets, load before {machine['load'][0]:.2f}, command: {result['command']}",
    ]
    for name, figures in result.items():
        if not name.startswith("workers="):
            continue
        memory = ", ".join(f"{process} {peak} MB" for process, peak in figures["peak_mb"].items())
        lines += [
            f"{name}: {figures['rate']:.0f} messages/s from produced to committed, "
            f"{figures['ratio']}x of the classifier alone ({figures['classifier_alone']:.0f}/s)",
            f"  peak memory: {memory}",
        ]
    return "\n".join(lines)


def _peak_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


if __name__ == "__main__":
    main()
