"""Replay of a file of records into Kafka, at full speed or at a multiple of real time, resumable."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from core.dead_letters import dead_letter
from core.errors import UndecodableMessage
from core.readers import RecordFile, Row
from core.records import BYTES_REPLACED, ENCODING_DOUBTFUL, Message, mark
from core.settings import Settings
from core.sources import MAX_SOURCE_CHARACTERS
from ingest import checkpoint
from ingest.duplicates import Duplicates
from ingest.pace import Pace
from ingest.producer import MessageProducer
from ingest.replay_plan import ReplayOptions, ReplayPlan, plan_replay
from ingest.transform import transform
from ingest.window import AckWindow

_CHECKPOINT_EVERY_S = 1.0
_LOOK_EVERY_ROWS = 256
_BRAKE_S = 0.05
_DEFAULTS = ReplayOptions()

Progress = Callable[[float, int, int], None]
Brake = Callable[[Mapping[int, int]], bool]


class ReplaySummary(msgspec.Struct, kw_only=True):
    """What a replay did. `end_offsets`: per partition of `messages`, the offset after its last acknowledged record.

    `marks` counts messages by what had to be assumed or changed (see `core.records`), as `end_offsets` since the
    beginning of the file. `duplicates` and `changed_duplicates` repeat the id of a record that was read before, with
    the same content and with another.
    """

    file: str
    read: int
    produced: int
    dead_letters: int
    duplicates: int
    changed_duplicates: int
    marks: dict[str, int]
    encoding: str
    warnings: list[str]
    end_offsets: dict[int, int]
    seconds: float
    messages_per_second: float
    resumed_after: int
    finished: bool


def replay(
    settings: Settings,
    producer: MessageProducer,
    path: Path,
    options: ReplayOptions = _DEFAULTS,
    *,
    speed: float | None = None,
    resume: bool = False,
    unpaced_rows: int = 0,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
    brake: Brake | None = None,
) -> ReplaySummary:
    """Send the records of the file at `path` to `messages`, in file order, and bad ones to `dead-letters`.

    `speed` is a multiple of real time (gaps between event times, divided by it), None full speed. The source of
    `options` stands in where the map gives none; empty: the name of the file. With `resume` it goes on after the last
    checkpoint, which only ever holds what Kafka acknowledged. The first `unpaced_rows` are sent at full speed: a replay
    that has to begin again need not take its time again. `progress` is called now and then with the share of the
    file read, the rows read and the dead letters. `brake` is given the end offsets acknowledged so far; reading waits
    while it holds. `stop` ends it early; what was read is then acknowledged and checkpointed.

    Raises InputError for an unusable file or a map that does not fit it, DeliveryFailed if Kafka stops acknowledging.
    """
    started = time.monotonic()
    store = checkpoint.checkpoint_path(settings, path)
    plan = plan_replay(path, replace(options, source=options.source or source_of(path)))
    state = checkpoint.load(store, path) if resume else checkpoint.begin(path)
    run = _Run(producer, plan)
    resumed_after = state.row
    run.window.end_offsets.update(state.end_offsets)
    run.window.marks.update(state.marks)
    pace = Pace(speed, stop or threading.Event(), unpaced_rows)
    file = plan.open()
    try:
        checkpoint.save(store, state)
        _send_all(file, state, store, run, pace, progress, brake)
    finally:
        file.close()
        run.note(state)
        checkpoint.save(store, state)
    seconds = time.monotonic() - started
    window = run.window
    return ReplaySummary(
        file=path.name,
        read=run.read,
        produced=window.produced,
        dead_letters=window.dead_letters,
        duplicates=run.duplicates.same,
        changed_duplicates=run.duplicates.changed,
        marks=dict(sorted(window.marks.items())),
        encoding=plan.encoding,
        warnings=list(plan.warnings),
        end_offsets=dict(sorted(window.end_offsets.items())),
        seconds=round(seconds, 3),
        messages_per_second=round(window.produced / seconds, 1) if seconds else 0.0,
        resumed_after=resumed_after,
        finished=not pace.stopped,
    )


def source_of(path: Path) -> str:
    """The source name that a file's own name makes: "Stock Tweets.jsonl.gz" is "stock-tweets", "快讯.csv" is "快讯"."""
    name = re.sub(r"[^\w.-]+", "-", path.name.lower().removesuffix(".gz").rpartition(".")[0]).strip("-._")
    return name[:MAX_SOURCE_CHARACTERS].rstrip("-._") or "replay"


class _Run:
    """One replay under way: each row becomes a message or a dead letter."""

    def __init__(self, producer: MessageProducer, plan: ReplayPlan) -> None:
        self.window: AckWindow[int] = AckWindow(producer)
        self.read = 0
        self.duplicates = Duplicates()
        self._producer = producer
        self._plan = plan
        rules = plan.options.fields.rules
        self._states_receipt = any(rule.target == "received_at" and not rule.optional for rule in rules)

    def message(self, row: Row) -> Message | None:
        """The message in `row`; None if it went to the dead letters."""
        self.read += 1
        options = self._plan.options
        try:
            if row.fields is None:
                raise UndecodableMessage(row.reason)
            message = transform(
                row.fields, options.fields, source=options.source, kind=options.kind, times=self._plan.times
            )
        except UndecodableMessage as error:
            letter = dead_letter(
                row.original(),
                str(error),
                origin=f"replay:{self._plan.path.name}:{row.number}",
                stage="ingest",
                topic=self._producer.messages_topic,
                context=self._plan.context,
            )
            self.window.reject(row.number, letter, options.source)
            return None
        if row.replaced:
            mark(message, BYTES_REPLACED)
        if self._plan.doubtful and not message.body.isascii():
            mark(message, ENCODING_DOUBTFUL)
        self.duplicates.see(message)
        return message

    def note(self, state: checkpoint.Checkpoint) -> None:
        """Move `state` up to what is acknowledged by now."""
        state.row = self.window.acknowledged or state.row
        state.end_offsets = dict(self.window.end_offsets)
        state.marks = dict(self.window.marks)

    def receive_now(self, message: Message) -> None:
        """Move the time of receipt of a message that waited until it was due, unless the record itself states one."""
        if not self._states_receipt:
            message.received_at = datetime.now(UTC)


def _send_all(
    file: RecordFile,
    state: checkpoint.Checkpoint,
    store: Path,
    run: _Run,
    pace: Pace,
    progress: Progress | None,
    brake: Brake | None,
) -> None:
    saved_at = time.monotonic()

    def look() -> None:
        nonlocal saved_at
        run.window.reap()
        if time.monotonic() - saved_at >= _CHECKPOINT_EVERY_S:
            saved_at = time.monotonic()
            run.note(state)
            checkpoint.save(store, state)
        if progress:
            progress(file.progress, run.read, run.window.dead_letters)

    for count, row in enumerate(_until_stopped(file.rows(state.row), pace)):
        message = run.message(row)
        if message is not None:
            while (wait := pace.due_in(row.number, message)) > 0 and not pace.stopped:
                pace.sleep(wait)
                look()
                run.receive_now(message)
            if pace.stopped:
                run.read -= 1
                break
            run.window.send(row.number, message)
        if count % _LOOK_EVERY_ROWS == 0:
            look()
            while brake is not None and brake(run.window.end_offsets) and not pace.stopped:
                pace.sleep(_BRAKE_S)
                look()
    run.window.drain()
    if progress:
        progress(file.progress, run.read, run.window.dead_letters)


def _until_stopped(rows: Iterator[Row], pace: Pace) -> Iterator[Row]:
    for row in rows:
        if pace.stopped:
            return
        yield row
