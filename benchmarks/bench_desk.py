"""How long the desk's API takes on a store of 5 million messages and 30 days of minute trends.

    python benchmarks/bench_desk.py [--messages 5000000] [--days 30] [--clients 4] [--rounds 30] [--database URL]

It fills an embedded database (or the one at URL, if it is empty), starts `newstide desk` on it, warms it, and lets
several clients ask every route in turn. Then it commits news as a worker does, and takes the time until a page that
listens to the desk's events has the new figures. It prints the machine, its own command, and for each route the median,
the 95% quantile and the longest answer in milliseconds, and exits with 1 where a 95% quantile is above `--limit-ms`, an
answer is an error, news takes longer than `--limit-update-s`, or the desk takes more than `--limit-mb` of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import psycopg
from scratch_store import add_options, filled_store, news_end

from core.settings import load_settings
from core.store.connection import connect, open_engine
from desk.security.accounts import Accounts
from desk.security.sessions import Sessions

UPDATES, GIVE_UP_S = 10, 60
API = "/api/v1"
_ADDRESS = re.compile(r"http://[\d.]+:\d+")


@dataclass(frozen=True)
class Timing:
    """Milliseconds that a route took."""

    route: str
    median_ms: float
    p95_ms: float
    longest_ms: float
    errors: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, days=30)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=30, help="times that each client asks every route")
    parser.add_argument("--seed", type=int, default=1, help="of the order in which routes are asked")
    parser.add_argument("--limit-ms", type=float, default=300)
    parser.add_argument("--limit-mb", type=float, default=400)
    parser.add_argument("--limit-update-s", type=float, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with filled_store(options.database, options.messages, options.days) as settings, ExitStack() as stack:
        url = settings.database.url or ""
        with connect(settings) as connection:
            routes = routes_of(connection)
            stored = _one(connection, "SELECT count(*) FROM message_key")
            minutes = _one(connection, "SELECT count(DISTINCT minute::date) FROM trend WHERE kind = 'all'")
        address, process = stack.enter_context(running_desk(url))
        token = api_token(url)
        wait_until_rolled_up(url)
        timings = measure(address, token, routes, options.clients, options.rounds, options.seed)
        updates = update_delays(address, token, url)
        memory_mb = resident_mb(process)
    report = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}",
        "command": " ".join(["python", *sys.argv]).replace(str(options.database), "URL"),
        "messages": stored,
        "days_by_minute": minutes,
        "seed": options.seed,
        "desk_mb": round(memory_mb, 1),
        "update_s": [round(seconds, 2) for seconds in updates],
        "routes": [asdict(timing) for timing in timings],
    }
    show(report, as_json=options.json)
    slow = [timing for timing in timings if timing.p95_ms > options.limit_ms or timing.errors]
    late = max(updates) > options.limit_update_s
    sys.exit(1 if slow or late or memory_mb > options.limit_mb else 0)


def routes_of(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Addresses by a name that says what is asked."""
    story = _one(connection, "SELECT id FROM story ORDER BY stored_on DESC LIMIT 1")
    incident = _one(connection, "SELECT id FROM incident ORDER BY opened_at DESC LIMIT 1")
    message = _one(connection, "SELECT uid FROM message_key ORDER BY stored_on DESC LIMIT 1")
    now = news_end(connection)

    def ago(days: float) -> dict[str, str]:
        return {"from": (now - timedelta(days=days)).isoformat(), "to": now.isoformat()}

    def route(address: str, **parameters: Any) -> str:
        return f"{API}{address}?{urlencode(parameters)}" if parameters else f"{API}{address}"

    return {
        "session": route("/session"),
        "mood": route("/mood", until=now.isoformat()),
        "mood, 7 days": route("/mood", until=now.isoformat(), window=10080),
        "all views, a day": route("/mood/overview", until=now.isoformat()),
        "all views of companies, 30 days": route("/mood/overview", until=now.isoformat(), range="30d", kind="entity"),
        "heat of topics, a day": route("/mood/heat", kind="topic", bucket="15m", **ago(1)),
        "heat of companies, a day": route("/mood/heat", kind="entity", bucket="15m", **ago(1)),
        "heat of companies, 7 days": route("/mood/heat", kind="entity", bucket="1h", **ago(7)),
        "heat of companies, 30 days": route("/mood/heat", kind="entity", bucket="6h", **ago(30)),
        "heat of sources, 16 days": route("/mood/heat", kind="source", bucket="1h", **ago(16)),
        "movers, a day": route("/mood/movers", kind="entity", **ago(1)),
        "movers, 2 days": route("/mood/movers", kind="entity", **ago(2)),
        "movers, 30 days": route("/mood/movers", kind="entity", **ago(30)),
        "find series": route("/series", q="7"),
        "all series": route("/series"),
        "series, a day": route("/series/entity/E7", bucket="5m", **ago(1)),
        "series, 30 days": route("/series/all/all", bucket="1h", **ago(30)),
        "arithmetic": route("/series/topic/T3/arithmetic", at=now.isoformat(), bucket="1h"),
        "stories": route("/stories", **ago(1)),
        "stories of a company, 30 days": route("/stories", series="entity=E7", sentiment="negative", **ago(30)),
        "stories of a topic and source": route("/stories", series="topic=T3", source="s7", **ago(7)),
        "story": route(f"/stories/{story}"),
        "terms, a day": route("/terms", series="entity=E7", **ago(1)),
        "terms of all, 7 days": route("/terms", **ago(7)),
        "sources, a day": route("/sources", **ago(1)),
        "sources, 30 days": route("/sources", **ago(30)),
        "incidents": route("/incidents"),
        "incident": route(f"/incidents/{incident}"),
        "incident figures": route("/incidents/figures"),
        "search, a frequent word": route("/search", q="w3"),
        "search, a rare word": route("/search", q="w19900"),
        "search, two words": route("/search", q="w200 w300"),
        "search, a phrase": route("/search", q='"w3 w5"'),
        "search, nothing": route("/search", q="zzzz"),
        "search, Chinese": route("/search", q="盈利预警"),
        "search in a series": route("/search", series="entity=E7", sentiment="negative", **ago(30)),
        "search, all": route("/search"),
        "queue": route("/queue"),
        "queue of a task": route("/queue", task="topic"),
        "labels": route("/labels"),
        "labels with a word": route("/labels", q="w3"),
        "label figures": route("/labels/figures"),
        "agreement": route("/agreement"),
        "adjudications": route("/adjudications"),
        "explanation": route(f"/explanations/{message}"),
        "models": route("/models"),
        "training": route("/models/training"),
        "evaluation": route("/models/evaluation"),
        "export of heat": route("/mood/heat/export", kind="topic", bucket="1h", **ago(7)),
        "export of movers": route("/mood/movers/export", kind="entity", **ago(7)),
        "export of a series": f"{API}/series/entity/{quote('E7')}/export?{urlencode(ago(7))}",
    }


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None, "the store is empty"
    return row[0]


@contextmanager
def running_desk(url: str) -> Iterator[tuple[str, int]]:
    """A desk of its own process: its address, and the process's id."""
    environment = {
        **os.environ,
        "NEWSTIDE_DATABASE__URL": url,
        "NEWSTIDE_DESK__PORT": "0",
        "NEWSTIDE_METRICS__DESK_PORT": "0",
        "NEWSTIDE_DESK__REQUESTS_PER_SECOND": "100000",
    }
    command = [sys.executable, "-m", "newstide", "desk"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := _ADDRESS.search(line):
                    threading.Thread(target=process.stderr.read, daemon=True).start()
                    yield found.group(), process.pid
                    break
            else:
                raise SystemExit("the desk ended before it served")
        finally:
            process.terminate()


def api_token(url: str) -> str:
    """A token of an account made for this."""
    engine = open_engine(load_settings(database={"url": url}))
    try:
        Accounts(engine).add("bench", "admin")
        return Sessions(engine, 1).make_api_token("bench", "bench", "admin")[1]
    finally:
        engine.dispose()


def measure(address: str, token: str, routes: dict[str, str], clients: int, rounds: int, seed: int) -> list[Timing]:
    """Every route asked `rounds` times by each client, all at once, after one round that nobody counts."""
    taken: dict[str, list[float]] = {name: [] for name in routes}
    errors = dict.fromkeys(routes, 0)
    lock = threading.Lock()

    def ask(client: httpx.Client, name: str, count: bool) -> None:
        began = time.perf_counter()
        answer = client.get(routes[name])
        milliseconds = 1000 * (time.perf_counter() - began)
        with lock:
            if answer.status_code != 200:
                errors[name] += 1
                print(f"{name}: {answer.status_code} {answer.text[:200]}", file=sys.stderr)
            if count:
                taken[name].append(milliseconds)

    def work(number: int) -> None:
        chance = random.Random(seed + number)
        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
            for turn in range(rounds + 1):
                for name in chance.sample(list(routes), len(routes)):
                    ask(client, name, count=turn > 0)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(work, range(clients)))
    return [
        Timing(name, median(times), quantile(times, 0.95), max(times), errors[name]) for name, times in taken.items()
    ]


def update_delays(address: str, token: str, url: str) -> list[float]:
    """Seconds from a commit of news until a listener of the desk's events has asked for the mood and got the new count.

    What is committed is taken back in the end.
    """
    delays, added = [], 0
    with (
        psycopg.connect(url, autocommit=True) as connection,
        httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client,
        client.stream("GET", f"{API}/events") as events,
    ):
        minute = news_end(connection) - timedelta(minutes=1)
        lines = events.iter_lines()
        while "connected" not in next(lines):
            pass
        try:
            for _ in range(UPDATES):
                before = _messages(client)
                add_message(connection, minute, 1)
                added += 1
                began = time.monotonic()
                while '"trends"' not in next(lines) or _messages(client) != before + 1:
                    if time.monotonic() - began > GIVE_UP_S:
                        raise SystemExit(f"nothing was heard of new messages for {GIVE_UP_S} s")
                delays.append(time.monotonic() - began)
        finally:
            add_message(connection, minute, -added)
    return delays


def add_message(connection: psycopg.Connection[Any], minute: datetime, count: int) -> None:
    """What a worker's commit changes that the mood of all news shows."""
    with connection.transaction():
        connection.execute(
            "UPDATE trend SET neutral = neutral + %s WHERE kind = 'all' AND name = 'all' AND minute = %s",
            (count, minute),
        )
        connection.execute("UPDATE offset_ledger SET messages = messages + %s, updated_at = now()", (count,))


def _messages(client: httpx.Client) -> int:
    return int(client.get(f"{API}/mood").json()["messages"])


def quantile(values: list[float], share: float) -> float:
    """The least value that so many are no greater than."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def resident_mb(process: int) -> float:
    """Memory of a process, in millions of bytes (Linux)."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def wait_until_rolled_up(url: str) -> None:
    """Return once the desk has added up the hours that are over, and Postgres has tidied up after that."""
    rolled = (
        "SELECT rolled_until > max(minute) - interval '2 hours' FROM trend_rolling, trend "
        "WHERE kind = 'all' AND name = 'all' GROUP BY rolled_until"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(rolled).fetchone() != (True,):
            time.sleep(0.5)
        connection.execute("VACUUM ANALYZE trend_rolled")  # as autovacuum does some minutes later


def show(report: dict[str, Any], *, as_json: bool) -> None:
    """Print the report, the slowest routes first."""
    if as_json:
        print(json.dumps(report, indent=1))
        return
    print(*(f"{name}: {value}" for name, value in report.items() if name != "routes"), sep="\n")
    for timing in sorted(report["routes"], key=lambda each: -each["p95_ms"]):
        print(
            f"{timing['route']:32} median {timing['median_ms']:7.1f}  p95 {timing['p95_ms']:7.1f}  "
            f"longest {timing['longest_ms']:7.1f} ms {'ERRORS' if timing['errors'] else ''}"
        )


if __name__ == "__main__":
    main()
