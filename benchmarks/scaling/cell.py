"""One cell of the matrix: so many workers on so many partitions, on a database of their own."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from kafka import KafkaProducer
from kafka.errors import KafkaError

from benchmarks.bench_classifier import PROJECT
from benchmarks.history import SENTENCES, fill
from benchmarks.scaling.usage import usage
from benchmarks.scaling.waits import Waits
from core.kafka import client_options, connect_admin, prepare_topics
from core.records import Message, encode
from core.settings import Settings, load_settings
from core.store.connection import open_engine
from core.store.migration import migrate
from core.store.recount import differences

SOURCES = 50
HISTORY_DAYS = 50
_READY_WITHIN_S = 120
_STEADY_S = 3.0  # caches and connections are warm
_LEFT = 0.02  # a backlog of which less than this share is left keeps no worker busy


@dataclass(frozen=True)
class Cell:
    """`history`: messages that the store holds before; `again`: measured before, to see how steady the machine is."""

    workers: int
    partitions: int
    history: int = 0
    again: bool = False

    @property
    def name(self) -> str:
        more = f", {self.history} stored" if self.history else ""
        return f"{self.workers} x {self.partitions}{more}{', again' if self.again else ''}"


@dataclass(frozen=True)
class Load:
    """Messages: tweets, each about two of `series` companies, one drawn by Zipf's law and one in turn, `per_second` of
    them to a second of event time."""

    texts: Path
    count: int
    series: int
    per_second: float
    seed: int
    _records: list[tuple[bytes, bytes]] = field(default_factory=list)

    def records(self) -> list[tuple[bytes, bytes]]:
        """Keys and values for Kafka, encoded once."""
        if not self._records:
            self._records.extend(self._encoded())
            if len(self._records) < self.count:
                raise SystemExit(f"{self.texts} has {len(self._records)} texts; ask for a --count of at most so many")
        return self._records

    def _encoded(self) -> Iterator[tuple[bytes, bytes]]:
        shares = 1 / np.arange(1, self.series + 1)
        drawn = np.random.default_rng(self.seed).choice(self.series, self.count, p=shares / shares.sum())
        received = datetime.now(UTC)
        begin = received - timedelta(hours=12)
        with gzip.open(self.texts, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(itertools.islice(lines, self.count)):
                companies = sorted({int(drawn[number]), number % self.series})
                message = Message(
                    id=str(number),
                    source=f"Source {number % SOURCES}",
                    kind="comment",
                    published_at=begin + timedelta(seconds=number / self.per_second),
                    received_at=received,
                    text=json.loads(line)["text"],
                    language="en",
                    entities=[f"C{company}" for company in companies],
                )
                yield message.id.encode(), encode(message)


@dataclass(frozen=True)
class Place:
    """Where it is measured: addresses and process ids of Postgres and Kafka."""

    directory: Path
    database_url: str
    postgres: int
    bootstrap_servers: str
    kafka: int
    bundle: Path


def measure_cell(cell: Cell, load: Load, place: Place, seconds: float) -> dict[str, Any]:
    """The figures of `cell`. Raises SystemExit if workers don't start, or leave a store that is not exact."""
    with _database(place, cell) as url, _topics(cell, place, url) as settings:
        sent = _send(settings, load.records(), place)
        with _workers(settings, cell, place) as pids, psycopg.connect(url, autocommit=True) as connection:
            _wait_until_all_read(connection, cell, place)
            time.sleep(_STEADY_S)
            connection.execute("CHECKPOINT")
            before, stored_before = usage(pids, place.postgres, place.kafka), _stored(connection)
            began = time.perf_counter()
            with Waits(url) as waits:
                while (passed := time.perf_counter() - began) < seconds:
                    time.sleep(min(0.5, seconds - passed))
                    if _stored(connection)["messages"] > (1 - _LEFT) * load.count:
                        break
            stored, after = _stored(connection), usage(pids, place.postgres, place.kafka)
            passed = time.perf_counter() - began
            peaks = [_peak_mb(pid) for pid in pids]
        if not cell.history:
            _check(settings)
    done = stored["messages"] - stored_before["messages"]
    if done <= 0:
        raise SystemExit(f"{cell.name}: nothing was committed in {passed:.0f} s; ask for a larger --count")
    names = ("worker", "postgres", "kafka", "benchmark", "busy")
    spent = {name: getattr(after, name) - getattr(before, name) for name in names}
    busy, whole = spent.pop("busy"), after.whole - before.whole
    return {
        **asdict(cell),
        "rate": round(done / passed, 1),
        "messages": done,
        "seconds": round(passed, 1),
        "cpu_us": {name: round(1e6 * used / done, 1) for name, used in spent.items()},
        "cpu_us_others": round(1e6 * (busy - sum(spent.values())) / done, 1),
        "idle": round(1 - busy / whole, 3),
        "sessions": waits.sessions(),
        "wal_bytes": round((stored["wal"] - stored_before["wal"]) / done),
        "store_bytes": round((stored["size"] - stored_before["size"]) / done),
        "known_bytes": round((stored["known"] - stored_before["known"]) / done),
        "trend_rows": round((stored["trends"] - stored_before["trends"]) / done, 2),
        "peak_mb": round(max(peaks)),
        "sent": sent,
        "load": list(os.getloadavg()),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@contextmanager
def _database(place: Place, cell: Cell) -> Iterator[str]:
    """A database with the newest schema, and history where the cell has some."""
    name = f"cell_{cell.workers}_{cell.partitions}_{cell.history}_{int(cell.again)}"
    with psycopg.connect(place.database_url, autocommit=True) as owner:
        owner.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        owner.execute(f"CREATE DATABASE {name}")
        url = f"{place.database_url.rsplit('/', 1)[0]}/{name}"
        engine = open_engine(load_settings(database={"url": url}))
        migrate(engine)
        engine.dispose()
        if cell.history:
            today = datetime.now(UTC).date()
            with psycopg.connect(url, autocommit=True) as connection:
                first = today - timedelta(days=HISTORY_DAYS)
                yesterday = today - timedelta(days=1)
                fill(connection, first, yesterday, cell.history // HISTORY_DAYS, SENTENCES, entities=10_000)
                connection.execute("VACUUM ANALYZE")
        yield url
        owner.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _topics(cell: Cell, place: Place, url: str) -> Iterator[Settings]:
    """Settings of the cell, with topics of its own that are deleted at the end."""
    prefix = f"cell-{cell.workers}-{cell.partitions}-{cell.history}-{int(cell.again)}."
    settings = load_settings(
        kafka={"bootstrap_servers": place.bootstrap_servers, "partitions": cell.partitions, "topic_prefix": prefix},
        database={"url": url},
        embedded={"directory": place.directory / prefix},
        stream={"bundle": place.bundle},
    )
    prepare_topics(settings)
    yield settings
    admin = connect_admin(settings)
    with suppress(KafkaError):  # what stays is only disk
        admin.delete_topics([settings.topic(name) for name in ("messages", "classified", "alerts", "dead-letters")])
    admin.close()


def _send(settings: Settings, records: list[tuple[bytes, bytes]], place: Place) -> dict[str, float]:
    """Put `records` into Kafka; what it cost."""
    before, began = usage([], place.postgres, place.kafka), time.perf_counter()
    producer = KafkaProducer(**client_options(settings), acks="all", enable_idempotence=True, linger_ms=20)
    for key, value in records:
        producer.send(settings.topic("messages"), key=key, value=value)
    producer.flush()
    producer.close()
    after, passed = usage([], place.postgres, place.kafka), time.perf_counter() - began
    return {
        "rate": round(len(records) / passed),
        "kafka_us": round(1e6 * (after.kafka - before.kafka) / len(records), 1),
        "bytes": round(sum(len(value) for _, value in records) / len(records)),
    }


@contextmanager
def _workers(settings: Settings, cell: Cell, place: Place) -> Iterator[list[int]]:
    """Process ids of the cell's workers, which are ended in order."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("NEWSTIDE_")},
        "PYTHONPATH": str(PROJECT),
        "OMP_NUM_THREADS": "1",
        "NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS": place.bootstrap_servers,
        "NEWSTIDE_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "NEWSTIDE_KAFKA__PARTITIONS": str(cell.partitions),
        "NEWSTIDE_DATABASE__URL": settings.database.url or "",
        "NEWSTIDE_EMBEDDED__DIRECTORY": str(settings.embedded.directory),
        "NEWSTIDE_STREAM__BUNDLE": str(place.bundle),
        "NEWSTIDE_METRICS__WORKER_PORT": "0",
    }
    with ExitStack() as stack:
        running = []
        for index in range(cell.workers):
            log = stack.enter_context((place.directory / f"worker-{index}.log").open("wb"))
            command = [sys.executable, "-m", "newstide", "worker", "--index", str(index)]
            worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=place.directory)
            stack.callback(_end, worker)
            running.append(worker)
        yield [worker.pid for worker in running]
        if ended := [index for index, worker in enumerate(running) if worker.poll() is not None]:
            raise SystemExit(f"{cell.name}: worker {ended[0]} ended; its log says:\n{_log(place, ended[0])}")


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.send_signal(signal.SIGTERM)
    try:
        worker.wait(30)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


def _wait_until_all_read(connection: psycopg.Connection[Any], cell: Cell, place: Place) -> None:
    """Until something of every partition is committed: all workers have their share of them."""
    deadline = time.monotonic() + _READY_WITHIN_S
    asked = "SELECT count(*) FROM offset_ledger WHERE topic LIKE '%.messages' AND messages > 0"
    while connection.execute(asked).fetchone() != (cell.partitions,):
        if time.monotonic() > deadline:
            raise SystemExit(f"{cell.name}: not all partitions are read; a worker's log says:\n{_log(place, 0)}")
        time.sleep(0.1)


def _stored(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Messages, rows of trends, bytes of the database, of what each message is looked up in (keys, stories), and of the
    log of the whole server."""
    row = connection.execute(
        "SELECT (SELECT coalesce(sum(messages), 0) FROM offset_ledger WHERE topic LIKE '%.messages'),"
        " (SELECT coalesce(n_tup_ins, 0) FROM pg_stat_user_tables WHERE relname = 'trend'),"
        " pg_database_size(current_database()),"
        " (SELECT sum(pg_total_relation_size(oid)) FROM pg_class"
        "  WHERE relkind = 'r' AND relname ~ '^(message_key|story)'),"
        " pg_current_wal_lsn() - '0/0'::pg_lsn"
    ).fetchone()
    assert row is not None
    return dict(zip(("messages", "trends", "size", "known", "wal"), map(int, row), strict=True))


def _check(settings: Settings) -> None:
    engine = open_engine(settings)
    try:
        if found := differences(engine, limit=1):
            raise SystemExit(f"the store is not exact, so its speed means nothing: {found}")
    finally:
        engine.dispose()


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _log(place: Place, index: int) -> str:
    return (place.directory / f"worker-{index}.log").read_text(encoding="utf-8", errors="replace")[-2000:]
