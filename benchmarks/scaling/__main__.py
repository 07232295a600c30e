"""How throughput and its cost change with workers and partitions, on a real Kafka and 10,000 companies.

    KAFKA_HOME=... python -m benchmarks.scaling [--workers 1 2 4] [--partitions 8 32 128] [--seconds 30]
    python -m benchmarks.scaling --page      # writes the figures, and what follows from them, into docs/scaling.md

Each cell of the matrix is a topic and a database of its own: `--count` messages wait in Kafka, the workers start, and
once every partition has been read from, what they commit in `--seconds` is measured, with the CPU seconds of each
process, bytes of the store and its log, and what sessions of the database wait for. Then the store is counted again: a
cell that is not exact ends the run. Two cells more: the first one again, at the end, which shows how steady the machine
was, and two workers on a store that holds `--history` messages already, whose trends are not counted again. The
classifier alone is the yardstick.

Figures are written to `--out` after each cell; a run that was interrupted goes on there, `--fresh` begins anew. On two
cores it takes about twelve minutes, and means something only where nothing else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.bench_classifier import PROJECT, TWEETS, measure, processor
from benchmarks.scaling.broker import real_kafka
from benchmarks.scaling.cell import Cell, Load, Place, measure_cell
from benchmarks.scaling.page import table, update_page
from newstide.embedded.postgres import EmbeddedPostgres

MEASURED = Path(__file__).with_name("measured.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--partitions", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--count", type=int, default=60_000, help="messages that wait in Kafka")
    parser.add_argument("--series", type=int, default=10_000, help="companies that the messages are about")
    parser.add_argument("--seconds", type=float, default=30, help="how long each cell is measured")
    parser.add_argument("--per-second", type=float, default=100, help="messages of a second of event time")
    parser.add_argument("--history", type=int, default=500_000, help="messages in the store of one more cell; 0: none")
    parser.add_argument("--texts", type=Path, default=TWEETS, help="JSON Lines, gzip, shaped like the stocknet file")
    parser.add_argument("--bundle", type=Path, default=PROJECT / "models" / "default")
    parser.add_argument("--seed", type=int, default=0, help="of the companies that messages are about")
    parser.add_argument("--out", type=Path, default=MEASURED)
    parser.add_argument("--fresh", action="store_true", help="measure again what --out has already")
    parser.add_argument("--page", action="store_true", help="measure nothing: write docs/scaling.md from --out")
    options = parser.parse_args()
    if options.page:
        update_page(options.out)
        return
    if not os.environ.get("KAFKA_HOME") or shutil.which("java") is None:
        raise SystemExit("this needs Java and an Apache Kafka: set KAFKA_HOME, as for the tests (docs/contributing.md)")
    result = run(options)
    print(table(result))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what `options.out` does not have yet. Raises SystemExit if a store is not exact."""
    setting = {name: getattr(options, name) for name in ("count", "series", "seconds", "per_second", "seed")}
    result = _begun(options, setting)
    cells = [Cell(workers, partitions) for workers in options.workers for partitions in options.partitions]
    if options.history:
        cells.append(Cell(2, 8, history=options.history))
    cells.append(Cell(cells[0].workers, cells[0].partitions, again=True))
    if "classifier_alone" not in result:
        alone = argparse.Namespace(**{**vars(options), "cache": False, "seconds": min(10, options.seconds)})
        result["classifier_alone"] = measure(alone, options.bundle, threads=1, processes=1)
        _keep(options.out, result)
    load = Load(options.texts, options.count, options.series, options.per_second, options.seed)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="newstide-scaling-")))
        directory.chmod(0o755)  # Postgres does not run as root, and has to get there
        server = stack.enter_context(EmbeddedPostgres(directory))
        servers, kafka = stack.enter_context(real_kafka(directory))
        place = Place(directory, server.url, server.pid, servers, kafka, options.bundle)
        for number, cell in enumerate(cells, start=1):
            if cell.name in result["cells"]:
                print(f"{number}/{len(cells)} {cell.name}: measured already", file=sys.stderr, flush=True)
                continue
            figures = measure_cell(cell, load, place, options.seconds)
            result["cells"][cell.name] = figures
            _keep(options.out, result)
            print(
                f"{number}/{len(cells)} {cell.name}: {figures['rate']:.0f} messages/s, worker "
                f"{figures['cpu_us']['worker']:.0f}, Postgres {figures['cpu_us']['postgres']:.0f}, Kafka "
                f"{figures['cpu_us']['kafka']:.0f} us of CPU a message",
                file=sys.stderr,
                flush=True,
            )
    return result


def _begun(options: argparse.Namespace, setting: dict[str, Any]) -> dict[str, Any]:
    if options.out.is_file() and not options.fresh:
        kept: dict[str, Any] = json.loads(options.out.read_text(encoding="utf-8"))
        if kept["setting"] == setting:
            return kept
        raise SystemExit(f"{options.out} was measured with {kept['setting']}; --fresh begins anew")
    return {
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": processor(),
        "command": f"python -m benchmarks.scaling {' '.join(sys.argv[1:])}".strip(),
        "setting": setting,
        "cells": {},
    }


def _keep(out: Path, result: dict[str, Any]) -> None:
    draft = out.with_suffix(".tmp")
    draft.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    draft.replace(out)


if __name__ == "__main__":
    main()
