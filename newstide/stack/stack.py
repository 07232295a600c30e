"""The whole stack on one machine: embedded parts where none are configured, and every process supervised."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, text

from core.errors import NewstideError
from core.kafka import ensure_topics, partition_numbers, wait_for_broker
from core.settings import Settings
from core.store.connection import connect, open_engine
from core.store.ledger import begin_replay, end_replay, forget_offsets, open_ledger, read_ledger
from core.store.partitions import drop_old_partitions
from core.store.recount import totals
from newstide.embedded.broker import EmbeddedBroker
from newstide.stack.children import addresses, command, worker_children
from newstide.stack.resources import amended, announced, database, exclusive
from newstide.stack.supervisor import TICK_S, Child, ChildStatus, Supervisor, catch_stop_signals

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
_RETENTION_EVERY_S = 86_400
_DRAIN_AT_STOP_S = 10
_MAX_LAG_PER_WORKER = 1000


class BrokerDied(NewstideError):
    """The embedded broker ended, and the records it held in memory with it; start the stack again."""


@dataclass(frozen=True)
class Replay:
    """A file to replay: `arguments` are those of `newstide ingest replay`."""

    file: Path
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """What the store holds when a stack has drained, and how long this run took from its first record to the last."""

    messages: int
    stories: int
    dead_letters: int
    alerts: int
    seconds: float
    messages_per_second: float


class Stack:
    """A running stack. `poll()` it several times a second; leave it with the `with` block of `running`."""

    def __init__(
        self, settings: Settings, engine: Engine, supervisor: Supervisor, broker: EmbeddedBroker | None
    ) -> None:
        self.settings = settings
        self.engine = engine
        self._supervisor = supervisor
        self._broker = broker
        self._logs = settings.embedded.directory / "logs"
        self._topic = settings.topic("messages")
        self._replay: UUID | None = None
        self._replay_summary: dict[str, Any] | None = None
        self._began = time.monotonic()
        self._base = self._records_read()
        self._next_retention = time.monotonic()

    def start(self, workers: int, feeds: Path | None, replay: Replay | None, until_drained: bool) -> None:
        """Start all processes: workers, alerting, feeds and push where asked for, and the replay last."""
        environment = addresses(self.settings)
        if replay is not None:
            environment["NEWSTIDE_ALERTING__CLOCK"] = self.settings.alerting.clock
            self._replay = begin_replay(self.engine, replay.file.name)
        for child in worker_children(self.settings, workers, self._logs):
            self._supervisor.start(child)
        judge = command("alerts", "run", *(["--until-drained"] if until_drained else []))
        self._start("alerts", judge, environment, one_shot=until_drained, stop_order=2)
        if feeds is not None:
            self._start("ingest", command("ingest", "run", "--feeds", str(feeds)), environment)
        elif self.settings.ingest.push_token is not None:
            self._start("ingest", command("ingest", "serve"), environment)
        if replay is not None:
            self._log("replay").unlink(missing_ok=True)
            # Partitions read far apart in event time would delay the watermark, and an in-memory broker would fill up.
            pace = ("--max-lag", str(_MAX_LAG_PER_WORKER * workers))
            argv = command("ingest", "replay", str(replay.file), *replay.arguments, *pace, "--json")
            self._start("replay", argv, environment, one_shot=True)
        self._began = time.monotonic()

    def poll(self) -> None:
        """Look after the processes. Raises ChildFailed or BrokerDied when there is no point in going on."""
        if self._broker is not None and self._broker.pid is None:
            raise BrokerDied(
                f"the embedded broker ended; its log is {self._broker.log}. What was committed is safe; "
                "start again, and replays and feeds bring the rest"
            )
        self._supervisor.poll()
        if self._replay is not None and self._replay_summary is None and self._state("replay") == "finished":
            self._replay_summary = _last_json(self._log("replay"))
            ends = {int(partition): end for partition, end in self._replay_summary["end_offsets"].items()}
            end_replay(self.engine, self._replay, ends, self._replay_summary)
        if time.monotonic() >= self._next_retention:
            self._next_retention = time.monotonic() + _RETENTION_EVERY_S
            before = datetime.now(UTC).date() - timedelta(days=self.settings.database.retention_days)
            with connect(self.settings, autocommit=True) as connection:
                drop_old_partitions(connection, before)

    def drained(self) -> bool:
        """True once all that was ingested is committed and judged, and every dead letter is in the archive."""
        if self._replay_summary is None or self._state("alerts") != "finished":
            return False
        rejected = int(self._replay_summary["dead_letters"]) + sum(row.dead_letters for row in self._ledger())
        return self.behind() == 0 and self._archived() >= rejected

    def behind(self) -> int:
        """Records that Kafka holds and the store does not, as far as the ledger knows."""
        return sum(max((row.end_offset or 0) - (row.next_offset or 0), 0) for row in self._ledger())

    def children(self) -> list[ChildStatus]:
        """State of every process."""
        return self._supervisor.status()

    def summary(self) -> Summary:
        """Totals of the store, and the speed of this run."""
        seconds = time.monotonic() - self._began
        counts = totals(self.engine)
        with self.engine.connect() as connection:
            alerts = connection.execute(text("SELECT count(*) FROM alert")).scalar_one()
        return Summary(
            messages=counts["messages"],
            stories=counts["stories"],
            dead_letters=counts["dead_letters"],
            alerts=alerts,
            seconds=round(seconds, 2),
            messages_per_second=round((self._records_read() - self._base) / seconds, 1),
        )

    def stop_ingest(self) -> None:
        """End what brings records in, and give the workers a moment with what an in-memory broker would forget."""
        names = [child.name for child in self.children() if child.name in ("ingest", "replay")]
        if names:
            self._supervisor.stop(*names)
        deadline = time.monotonic() + _DRAIN_AT_STOP_S
        while self._broker is not None and self.behind() and time.monotonic() < deadline:
            self._supervisor.poll()
            time.sleep(TICK_S)

    def _start(
        self, name: str, argv: list[str], environment: dict[str, str], one_shot: bool = False, stop_order: int = 0
    ) -> None:
        self._supervisor.start(
            Child(name, argv, self._log(name), environment, one_shot=one_shot, stop_order=stop_order)
        )

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _state(self, name: str) -> str | None:
        return next((child.state for child in self.children() if child.name == name), None)

    def _ledger(self) -> list[Any]:
        return list(read_ledger(self.engine, self._topic))

    def _records_read(self) -> int:
        return sum(row.next_offset or 0 for row in self._ledger())

    def _archived(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM dead_letter")).scalar_one())


@contextmanager
def running(settings: Settings) -> Iterator[Stack]:
    """A stack with its broker, database, topics and schema ready, and nothing started yet. It ends all it began."""
    with exclusive(settings.embedded.directory), database(settings) as found:
        engine = open_engine(found)
        broker = (
            None
            if found.kafka.bootstrap_servers
            else EmbeddedBroker(found.embedded.directory, found.embedded.broker_port)
        )
        try:
            if broker is not None:
                broker.start()
                forget_offsets(engine)
                found = amended(found, kafka={"bootstrap_servers": broker.bootstrap_servers})
            wait_for_broker(found)
            ensure_topics(found)
            topic = found.topic("messages")
            open_ledger(engine, topic, partition_numbers(found, topic))
            with announced(found.embedded.directory, found.kafka.bootstrap_servers or ""), Supervisor() as supervisor:
                yield Stack(found, engine, supervisor, broker)
        finally:
            if broker is not None:
                broker.stop()
            engine.dispose()


def run(stack: Stack, until: Callable[[], bool], look: Callable[[], None] = lambda: None) -> bool:
    """Poll until `until()` or a stop signal; `look` is called between. True if `until()` ended it."""
    next_look = 0.0
    with catch_stop_signals() as stopping:
        try:
            while not stopping():
                stack.poll()
                if time.monotonic() >= next_look:
                    next_look = time.monotonic() + _LOOK_EVERY_S
                    look()
                    if until():
                        return True
                time.sleep(TICK_S)
        finally:
            stack.stop_ingest()
    return False


def _last_json(file: Path) -> dict[str, Any]:
    """The summary that a child printed as its last JSON line."""
    for line in reversed(file.read_text(encoding="utf-8", errors="replace").splitlines()):
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    raise NewstideError(f"{file} holds no summary; the process that wrote it ended too early")
