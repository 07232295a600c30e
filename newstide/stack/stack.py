"""The whole stack on one machine: every process supervised, and the embedded parts started again when they end.

What each kind of death costs, and what brings it back:

- A worker, alerting, ingest: started again; Kafka and Postgres have what it was doing.
- The replay: goes on after its last checkpoint, which holds only what the broker acknowledged.
- The database: its keeper starts it again; everybody else waits for it.
- The embedded broker, which holds its records in memory: all processes end, the ledger begins anew, and everything that
  can be read again is: the replay from its beginning, feeds from their documents. What was committed already is
  recognised by its id. A push is answered only once it is committed, see `ingest.push_confirms`.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from kafka.errors import KafkaError

from core.epochs import Reconciler
from core.errors import InputError, NewstideError
from core.kafka import prepare_topics
from core.settings import Settings
from core.store.connection import open_engine
from core.store.ledger import end_replay
from core.store.replays import begin_replay, forget_replays, give_signs_of_life
from core.topics import TopicReader
from ingest.checkpoint import checkpoint_path
from ingest.checkpoint import load as load_checkpoint
from newstide.embedded.broker import EmbeddedBroker
from newstide.embedded.keeper import DatabaseKeeper
from newstide.embedded.process import LogLimit, describe_exit
from newstide.stack.background import Steps, in_background, once_database_answers, pause
from newstide.stack.desk import listens
from newstide.stack.letters import LettersArchived
from newstide.stack.observer import Observer, Progress
from newstide.stack.plan import Plan, retention_child, stack_children
from newstide.stack.reachability import is_reachable
from newstide.stack.resources import amended, announce
from newstide.stack.supervisor import ChildStatus, State, Supervisor

log = logging.getLogger(__name__)

_RETENTION_EVERY_S = 86_400.0
_FIRST_RETENTION_AFTER_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 15.0
_STEADY_AFTER_S = 30.0
_BROKER_ANSWERS_WITHIN_S = 10.0
_MOVE_AFTER_S = 10.0


class Stack:
    """A running stack. `poll()` it several times a second; leave it with the `with` block of `running`."""

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        supervisor: Supervisor,
        keeper: DatabaseKeeper | None,
        broker: EmbeddedBroker | None,
        say: Callable[[str], None],
        details: bool,
    ) -> None:
        self.settings = settings
        self.engine = open_engine(settings)
        self.desk = ""
        """Where the desk is found, and how to get in; empty: it does not run."""
        self._desk_answers = False
        self._plan = plan
        self._supervisor = supervisor
        self._keeper = keeper
        self._broker = broker
        self._broker_restarts = 0
        self._broker_started_at = time.monotonic()
        self._broker_exit_status: int | None = None
        self._broker_log_limit = LogLimit()
        self._say = say
        self._directory = settings.embedded.directory
        self._logs = self._directory / "logs"
        self._progress = Progress()
        self._closed = threading.Event()
        self._job: Steps[None] | None = None
        self._recovering = False
        self._unpaced_rows = 0
        self._next_retention = time.monotonic() + _FIRST_RETENTION_AFTER_S
        self._letters_archived = LettersArchived(lambda: self.settings)
        self.observer = Observer(
            settings.topic("messages"),
            lambda: self.engine,
            lambda: self._progress,
            self._letters_archived,
            details=details,
            # The keeper has its own lines on the embedded database.
            say=say if keeper is None else lambda line: None,
        )

    def start(self) -> None:
        """Start all processes of the plan."""
        self._job = self._begin()
        self.observer.start()
        living = (lambda: self.engine), (lambda: self._progress.replay), self._closed
        threading.Thread(target=give_signs_of_life, args=living, name="signs-of-life", daemon=True).start()

    def poll(self) -> None:
        """Look after everything. Raises ChildFailed, or another NewstideError, when there is no point in going on."""
        self._follow_database()
        if self._broker is not None and self._broker.pid is None and not self._recovering:
            self._job, self._recovering = self._recover_broker(self._broker), True
        if self._broker is not None:
            self._broker_log_limit.look([self._broker.log])
        self._supervisor.poll()
        self._look_at_alerts()
        self._look_at_replay()
        if time.monotonic() >= self._next_retention and not self._recovering:
            self._next_retention = time.monotonic() + _RETENTION_EVERY_S
            if self._state("retention") not in ("running", "waiting"):
                self._supervisor.start(retention_child(self.settings, self._logs))
        self._advance_job()

    def processes(self) -> list[ChildStatus]:
        """State of every process, the embedded parts first."""
        embedded = []
        if self._keeper is not None:
            keeper = self._keeper
            pid, restarts = keeper.server.pid, keeper.restarts
            embedded.append(ChildStatus("database", _state(keeper.is_up), pid, restarts, keeper.exit_status))
        if self._broker is not None:
            pid = self._broker.pid
            status = ChildStatus(
                "broker", _state(pid is not None), pid, self._broker_restarts, self._broker_exit_status
            )
            embedded.append(status)
        shown = [child for child in self._supervisor.status() if (child.name, child.state) != ("retention", "finished")]
        return embedded + shown

    def desk_answers(self) -> bool:
        """Whether the desk has begun to serve: its address is of no use before."""
        port = self._plan.desk_port
        if not self._desk_answers and port is not None:
            self._desk_answers = listens(self.settings.desk, port)
        return self._desk_answers

    def has_drained(self) -> bool:
        """True once all that the replay sent is committed and judged, and its dead letters are archived."""
        seen = self.observer.latest
        return (
            seen is not None and seen.summary is not None and seen.progress is self._progress and not self._recovering
        )

    @property
    def replay_summary(self) -> dict[str, Any] | None:
        """What the replay printed when it had ended."""
        return self._progress.replay_summary

    def close(self) -> None:
        """Leave the store."""
        self._closed.set()
        self.observer.stop()
        self._letters_archived.close()
        self.engine.dispose()

    def stop_ingest(self) -> None:
        """End what brings records in."""
        names = [child.name for child in self._supervisor.status() if child.name in ("ingest", "replay")]
        if names:
            self._supervisor.stop(*names)

    def loses_uncommitted(self) -> bool:
        """True while the broker's memory holds records that the store lacks."""
        seen = self.observer.latest
        alive = self._broker is not None and self._broker.pid is not None
        return alive and not self.observer.database_is_away and seen is not None and seen.behind > 0

    def is_away(self) -> bool:
        """True while the database or the broker can't be used: what processes suffer then is no fault of theirs."""
        if self._recovering or self.observer.database_is_away or (self._keeper is not None and not self._keeper.is_up):
            return True
        return not is_reachable(self.settings)

    def _begin(self) -> Steps[None]:
        while True:
            try:
                yield from once_database_answers(lambda: self._begin_epoch(anew=self._broker is not None))
                break
            except KafkaError:  # our own broker is started again by poll(), which begins anew
                yield from pause(_FIRST_PAUSE_S)
        self._forget_replay()
        self._start_children()

    def _start_children(self, *, finished_too: bool = True, resume: bool = False) -> None:
        for child in stack_children(self.settings, self._plan, self._logs, self._unpaced_rows):
            if finished_too or self._state(child.name) != "finished":
                self._supervisor.start(replace(child, argv=child.argv_again) if resume and child.argv_again else child)

    def _advance_job(self) -> None:
        if self._job is not None and next(self._job, self) is self:
            self._job, self._recovering = None, False

    def _follow_database(self) -> None:
        keeper = self._keeper
        if keeper is None:
            return
        failure, patience_s = keeper.failure, self.settings.database.start_timeout_s
        if failure is not None and self._plan.until_drained and keeper.failing_for_s > patience_s:
            raise failure
        if keeper.is_up and keeper.server.url != self.settings.database.url:
            self.settings = amended(self.settings, database={"url": keeper.server.url})
            self.engine = open_engine(self.settings)
            self._say("the embedded database has another port now; the processes are started anew with it")
            if not self._recovering:
                self._supervisor.suspend()
                self._start_children(finished_too=False, resume=True)

    def _look_at_alerts(self) -> None:
        judged = self._state("alerts") == "finished"
        if judged != self._progress.judged:
            self._progress = replace(self._progress, judged=judged)

    def _look_at_replay(self) -> None:
        if self._progress.replay_summary is not None or self._job is not None or self._state("replay") != "finished":
            return
        self._job = self._note_end_of_replay(_last_json(self._logs / "replay.log"))

    def _note_end_of_replay(self, summary: dict[str, Any]) -> Steps[None]:
        ends = {int(partition): end for partition, end in summary["end_offsets"].items()}
        replay = self._progress.replay
        assert replay is not None
        topic = self.settings.topic("messages")
        yield from once_database_answers(lambda: end_replay(self.engine, replay, ends, summary, topic))
        self._progress = replace(self._progress, replay_summary=summary)

    def _recover_broker(self, broker: EmbeddedBroker) -> Steps[None]:
        """Start the broker again and all processes with it; what it held and the store lacks is read again."""
        ended = time.monotonic()
        self._broker_exit_status = broker.exit_status
        how = f" ({describe_exit(broker.exit_status)})" if broker.exit_status is not None else ""
        self._say(
            f"the embedded broker ended{how}; starting it again, and reading again what it held and nobody committed"
        )
        seen = self.observer.latest
        settled = seen is not None and seen.settled and seen.progress.replay == self._progress.replay
        self._supervisor.suspend()
        wait = 0.0 if ended - self._broker_started_at > _STEADY_AFTER_S else _FIRST_PAUSE_S
        said = ""
        while True:
            yield from pause(wait)
            try:
                broker.start()
                yield from self._open_broker(broker)
                yield from once_database_answers(lambda: self._begin_epoch(anew=True, settled=settled))
                break
            except (NewstideError, KafkaError, OSError) as error:
                failing_for_s = time.monotonic() - ended
                if self._plan.until_drained and failing_for_s > self.settings.kafka.start_timeout_s:
                    raise
                if (reason := (str(error) or type(error).__name__).splitlines()[0]) != said:
                    self._say(f"{reason}; trying again until it starts")
                said, wait = reason, min(2 * wait + _FIRST_PAUSE_S, _LONGEST_PAUSE_S)
                if failing_for_s > _MOVE_AFTER_S and self.settings.embedded.broker_port == 0 and broker.pid is None:
                    broker.move()
        if not settled:
            self._note_replayed_rows()
            self._forget_replay()
        self._start_children(finished_too=not settled)
        self._broker_restarts += 1
        self._broker_started_at = time.monotonic()
        self._next_retention = max(self._next_retention, time.monotonic() + _FIRST_RETENTION_AFTER_S)
        self._say(f"the embedded broker is back after {time.monotonic() - ended:.1f} s")

    def _open_broker(self, broker: EmbeddedBroker) -> Steps[None]:
        self.settings = amended(self.settings, kafka={"bootstrap_servers": broker.bootstrap_servers})
        announce(self._directory, broker.bootstrap_servers)
        impatient = amended(self.settings, kafka={"start_timeout_s": _BROKER_ANSWERS_WITHIN_S})
        yield from in_background(lambda: prepare_topics(impatient))

    def _begin_epoch(self, *, anew: bool, settled: bool = False) -> None:
        """Make the ledger fit the topics, and declare the replay; others, `anew`, went with the broker's last life.

        One that is `settled` has nothing to send again, and ends where it begins.
        """
        with TopicReader(self.settings) as reader:
            Reconciler(self.engine, reader, self.settings).reconcile()
        if anew:
            forget_replays(self.engine)
        if self._plan.replay is None:
            self._progress = Progress()
            return
        replay = begin_replay(self.engine, self._plan.replay.file.name)
        summary = self._progress.replay_summary if settled else None
        if summary is not None:
            end_replay(self.engine, replay, {}, summary)
        self._progress = Progress(replay, summary)

    def _note_replayed_rows(self) -> None:
        if self._plan.replay is not None:
            file = self._plan.replay.file
            with suppress(InputError):
                state = load_checkpoint(checkpoint_path(self.settings, file), file)
                self._unpaced_rows = max(self._unpaced_rows, state.row)

    def _forget_replay(self) -> None:
        """Remove what would let the replay go on where another run stood, or with records that a dead broker had."""
        (self._logs / "replay.log").unlink(missing_ok=True)
        if self._broker is not None:
            shutil.rmtree(self._directory / "replay", ignore_errors=True)
        if self._plan.replay is not None:
            checkpoint_path(self.settings, self._plan.replay.file).unlink(missing_ok=True)

    def _state(self, name: str) -> str | None:
        return next((child.state for child in self._supervisor.status() if child.name == name), None)


def _state(up: bool) -> State:
    return "running" if up else "waiting"


def _last_json(file: Path) -> dict[str, Any]:
    """The summary that a child printed as its last JSON line."""
    for line in reversed(file.read_text(encoding="utf-8", errors="replace").splitlines()):
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    raise NewstideError(f"{file} holds no summary; the process that wrote it ended too early")
