"""The detector on two years of real tweets about 88 companies: known events, pages a week, what alerting costs.

    python -m benchmarks.detection.tweets [--tweets FILE.jsonl.gz] [--save-counts FILE.npz] [--json]
    python -m benchmarks.detection.tweets --counts FILE.npz [--budget 1]

The first form runs the whole stack on the tweets, as `newstide up --replay FILE --until-drained` does, with embedded
broker and database, and reads the alerts from there: stories are folded and classified as always. It takes minutes, and
can save the counts that were judged; the second form judges these again by the detector alone, in seconds.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from alerting.backtest.run import weekly
from alerting.backtest.watcher import open_detector
from alerting.detection.detector import Counts, Series
from alerting.judging.trend_window import TrendWindow
from alerting.rules.policy import Policy
from alerting.steps import Steps
from benchmarks.detection.machine import PROJECT, setting
from core.settings import AlertingSettings, Settings, load_settings
from core.store.alerts import list_alerts
from core.store.connection import connect
from core.store.incidents import list_incidents
from newstide.stack.loop import run
from newstide.stack.opening import running
from newstide.stack.plan import Plan, ReplayFile
from newstide.stack.stack import Stack

TWEETS = PROJECT.parent / "shared" / "data" / "stocknet_tweets_2014_2016" / "stocknet_tweets.jsonl.gz"
MAP = "id=id,text=text,published_at=ts,entities=tickers"
_ALL = 1_000_000
FIELDS = ("messages", "negative", "neutral", "positive")


@dataclass(frozen=True)
class Event:
    """`entity` alerts on `day` (UTC) if `wanted`; else it must not."""

    entity: str
    day: date
    what: str
    wanted: bool


EVENTS = (
    Event("BABA", date(2014, 9, 19), "goes public", True),
    Event("WMT", date(2015, 10, 14), "warns of its profit", True),
    Event("AMZN", date(2014, 5, 21), "527 copies of one spam", False),
)

PAGES_A_WEEK = (0.5, 1.5)  # a budget of one a week, true ones among them

Opened = list[tuple[Series, datetime]]  # where and when an alert opened


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tweets", type=Path, default=TWEETS, help="the stocknet file, JSON Lines, gzip")
    parser.add_argument("--bundle", type=Path, default=PROJECT / "models" / "default")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--save-counts", type=Path, metavar="FILE.npz", help="save the counts that were judged")
    parser.add_argument("--counts", type=Path, metavar="FILE.npz", help="judge saved counts, without the stack")
    parser.add_argument("--budget", type=float, default=1.0, help="false pages a week, with --counts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    about = setting("benchmarks.detection.tweets")
    found = judge_counts(load_counts(options.counts), options.budget) if options.counts else judge_tweets(options)
    result = {**about, **found}
    print(json.dumps(result, indent=1) if options.json else describe(result))
    sys.exit(0 if all(event["right"] for event in result["events"]) else 1)


def judge_tweets(options: argparse.Namespace) -> dict[str, Any]:
    """What the whole stack finds and pages; the CPU time of its alerting process goes with it."""
    with tempfile.TemporaryDirectory(prefix="newstide-tweets-") as scratch:
        settings, plan = prepare(Path(scratch), options.tweets, options.bundle, options.workers)
        spent: dict[str, float] = {}
        with running(settings, plan, details=False) as stack:
            run(stack, until_drained=True, show=lambda _: _note_time(stack, spent))
            alerts = [row for row in list_alerts(stack.engine, limit=_ALL) if row.state != "withdrawn"]
            pages = sum(incident.row.state != "withdrawn" for incident in list_incidents(stack.engine, limit=_ALL))
            counts = read_counts(stack)
        if options.save_counts:
            save_counts(options.save_counts, counts)
    opened = [(Series(row.kind, row.name), row.opened_at) for row in alerts]
    messages = float(counts.volume.sum())
    return {
        "messages": messages,
        "alerting_us_per_message": round(1e6 * spent["alerts"] / messages, 1),
        "cpu_seconds": {name: round(seconds, 1) for name, seconds in spent.items()},
        **figures(opened, counts, pages),
    }


def prepare(directory: Path, tweets: Path, bundle: Path, workers: int) -> tuple[Settings, Plan]:
    """Of a stack in `directory` that replays the tweets, unpacked there."""
    directory.mkdir(exist_ok=True)
    directory.chmod(0o755)  # the embedded database may run as another user
    file = directory / "tweets.jsonl"
    with gzip.open(tweets, "rb") as packed, file.open("wb") as out:
        shutil.copyfileobj(packed, out)
    settings = load_settings(
        embedded={"directory": directory},
        stream={"bundle": bundle},
        alerting={"clock": "event"},
        metrics={"worker_port": 0, "ingest_port": 0, "alerting_port": 0},
    )
    return settings, Plan(workers, replay=ReplayFile(file, ("--map", MAP)), until_drained=True)


def judge_counts(counts: Counts, budget: float) -> dict[str, Any]:
    """What the detector alone finds in `counts`, given a week at a time as in a replay. Alerts are not folded."""
    settings = AlertingSettings(clock="event")
    steps = Steps(settings.step_minutes)
    detector = open_detector(settings, Policy(budget), counts.start)
    opened: Opened = []
    began = time.process_time()
    for part in weekly(counts, steps):
        opened += [(c.series, steps.start(c.surge.start)) for c in detector.judge(part) if c.kind == "opened"]
    spent, messages = time.process_time() - began, float(counts.volume.sum())
    return {
        "messages": messages,
        "detector_us_per_message": round(1e6 * spent / messages, 1),
        **figures(opened, counts, None),
    }


def read_counts(stack: Stack) -> Counts:
    """All trends of the store, by step, from a midnight on."""
    settings: Settings = stack.settings
    steps = Steps(settings.alerting.step_minutes)
    with connect(settings, autocommit=True) as connection:
        row = connection.execute("SELECT min(minute), max(minute) FROM trend WHERE kind = 'all'").fetchone()
        assert row is not None
        first, last = row
        start, end = steps.of(first) // steps.per_day * steps.per_day, steps.of(last + timedelta(minutes=1)) + 1
        window = TrendWindow(steps, start)
        window.extend(connection, end)
    return window.counts(start, end)


def save_counts(path: Path, counts: Counts) -> None:
    """As an npz file without pickled objects."""
    arrays = {name: getattr(counts, name) for name in FIELDS}
    names = np.array([f"{series.kind}={series.name}" for series in counts.names])
    span = np.array([counts.start, counts.end])
    np.savez_compressed(
        path, allow_pickle=False, span=span, names=names, series=counts.series, step=counts.step, **arrays
    )


def load_counts(path: Path) -> Counts:
    """What `save_counts` wrote."""
    with np.load(path, allow_pickle=False) as file:
        names = [Series(*name.split("=", 1)) for name in file["names"].tolist()]
        start, end = file["span"].tolist()
        return Counts(start, end, names, file["series"], file["step"], *(file[name] for name in FIELDS))


def figures(opened: Opened, counts: Counts, pages: int | None) -> dict[str, Any]:
    """The known events, and how many alerts and pages there were; `pages` None: alerts were not folded into any."""
    weeks = (counts.end - counts.start) / Steps(AlertingSettings().step_minutes).per_day / 7
    events = []
    for event in EVENTS:
        mine = [at for series, at in opened if series == Series("entity", event.entity) and at.date() == event.day]
        found = min(mine).isoformat() if mine else None
        events.append(
            {**asdict(event), "day": event.day.isoformat(), "opened_at": found, "right": bool(mine) == event.wanted}
        )
    return {
        "weeks": round(weeks, 1),
        "alerts": {kind: sum(series.kind == kind for series, _ in opened) for kind in ("all", "topic", "entity")},
        "alerts_per_week": round(len(opened) / weeks, 2),
        "pages_per_week": None if pages is None else round(pages / weeks, 2),
        "events": events,
    }


def describe(result: dict[str, Any]) -> str:
    lines = [f"{name}: {value}" for name, value in result.items() if name != "events"]
    for event in result["events"]:
        word, wanted = ("PASS" if event["right"] else "MISS"), ("alerts" if event["wanted"] else "does not alert")
        found = event["opened_at"] or "no alert"
        lines.append(f"{word}  {event['entity']} {event['day']} ({event['what']}) {wanted}: {found}")
    pages, (least, most) = result["pages_per_week"], PAGES_A_WEEK
    if pages is not None:
        word = "PASS" if least <= pages <= most else "MISS"
        lines.append(f"{word}  pages a week: {pages} (wanted {least:g} to {most:g})")
    return "\n".join(lines)


def _note_time(stack: Stack, spent: dict[str, float]) -> None:
    """Keep the CPU seconds of each process so far, by name."""
    for child in stack.processes():
        if child.pid is not None:
            try:
                fields = Path(f"/proc/{child.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
            except OSError:
                continue
            spent[child.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
