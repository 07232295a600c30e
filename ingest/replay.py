"""Replay of a file of records into Kafka, at full speed or at a multiple of real time, resumable."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from core.dead_letters import dead_letter
from core.errors import UndecodableMessage
from core.readers import RecordFile, Row, open_records
from core.records import TIME_ASSUMED, Kind, Message
from core.settings import Settings
from core.sources import MAX_SOURCE_CHARACTERS
from ingest import checkpoint
from ingest.mapping import IDENTITY, FieldMap
from ingest.producer import MessageProducer
from ingest.reread import Form, reading_context
from ingest.transform import transform
from ingest.window import AckWindow

SAMPLE_ROWS = 1_000
SAMPLE_BYTES = 16_000_000
_CHECKPOINT_EVERY_S = 1.0
_LOOK_EVERY_ROWS = 256
_LONGEST_SLEEP_S = 0.5
_BRAKE_S = 0.05

Progress = Callable[[float, int, int], None]
Brake = Callable[[Mapping[int, int]], bool]


class ReplaySummary(msgspec.Struct, kw_only=True):
    """What a replay did. `end_offsets`: per partition of `messages`, the offset after its last acknowledged record."""

    file: str
    read: int
    produced: int
    dead_letters: int
    end_offsets: dict[int, int]
    seconds: float
    messages_per_second: float
    resumed_after: int
    finished: bool


def replay(
    settings: Settings,
    producer: MessageProducer,
    path: Path,
    *,
    fields: FieldMap = IDENTITY,
    source: str = "",
    kind: Kind = "news",
    speed: float | None = None,
    resume: bool = False,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
    brake: Brake | None = None,
) -> ReplaySummary:
    """Send the records of the file at `path` to `messages`, in file order, and bad ones to `dead-letters`.

    `speed` is a multiple of real time (gaps between event times, divided by it), None full speed. `source` stands in
    where the map gives none; empty: the name of the file. With `resume` it goes on after the last checkpoint, which
    only ever holds what Kafka acknowledged. `progress` is called now and then with the share of the file read, the
    rows read and the dead letters. `brake` is given the end offsets acknowledged so far; reading waits while it holds.
    `stop` ends it early; what was read is then acknowledged and checkpointed.

    Raises InputError for an unusable file or a map that does not fit it, DeliveryFailed if Kafka stops acknowledging.
    """
    started = time.monotonic()
    store = checkpoint.checkpoint_path(settings, path)
    file = open_records(path)
    try:
        state = checkpoint.load(store, path) if resume else checkpoint.begin(path)
        sample = _sample(file)
        dialect = getattr(file, "dialect", None)
    finally:
        file.close()
    fields.check([row.fields for row in sample if row.fields is not None], str(path))
    run = _Run(producer, path, fields, source or source_of(path), kind, dialect)
    resumed_after = state.row
    pace = Pace(speed, stop or threading.Event())
    file = open_records(path)
    try:
        checkpoint.save(store, state)
        _send_all(file, state, store, run, pace, progress, brake)
    finally:
        file.close()
        state.row = run.window.acknowledged or state.row
        checkpoint.save(store, state)
    seconds = time.monotonic() - started
    window = run.window
    return ReplaySummary(
        file=path.name,
        read=run.read,
        produced=window.produced,
        dead_letters=window.dead_letters,
        end_offsets=dict(sorted(window.end_offsets.items())),
        seconds=round(seconds, 3),
        messages_per_second=round(window.produced / seconds, 1) if seconds else 0.0,
        resumed_after=resumed_after,
        finished=not pace.stopped,
    )


def _sample(file: RecordFile) -> list[Row]:
    """The first rows, as many as show which columns there are: bounded in number and in bytes."""
    sample: list[Row] = []
    size = 0
    for row in itertools.islice(file.rows(), SAMPLE_ROWS):
        sample.append(row)
        size += len(row.raw)
        if size > SAMPLE_BYTES:
            break
    return sample


def source_of(path: Path) -> str:
    """The source name that a file's own name makes: "Stock Tweets.jsonl.gz" is "stock-tweets", "快讯.csv" is "快讯"."""
    name = re.sub(r"[^\w.-]+", "-", path.name.lower().removesuffix(".gz").rpartition(".")[0]).strip("-._")
    return name[:MAX_SOURCE_CHARACTERS].rstrip("-._") or "replay"


class Pace:
    """Waits so that event time passes `speed` times as fast as the clock; None: never waits."""

    def __init__(self, speed: float | None, stop: threading.Event) -> None:
        self._speed = speed
        self._stop = stop
        self._first: tuple[datetime, float] | None = None

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def due_in(self, message: Message) -> float:
        """Seconds until `message` is due; 0 if it is late, out of order or has no time of its own."""
        if self._speed is None or TIME_ASSUMED in message.marks:
            return 0.0
        now = time.monotonic()
        if self._first is None:
            self._first = (message.published_at, now)
        event, wall = self._first
        return max(0.0, (message.published_at - event).total_seconds() / self._speed - (now - wall))

    def sleep(self, seconds: float) -> None:
        self._stop.wait(min(seconds, _LONGEST_SLEEP_S))


class _Run:
    """One replay under way: each row becomes a message or a dead letter."""

    def __init__(
        self,
        producer: MessageProducer,
        path: Path,
        fields: FieldMap,
        source: str,
        kind: Kind,
        dialect: tuple[str, str] | None,
    ) -> None:
        self.window: AckWindow[int] = AckWindow(producer)
        self.read = 0
        self._producer = producer
        self._path = path
        self._fields = fields
        self._source = source
        self._kind = kind
        form: Form = "csv" if dialect else "record"
        header, delimiter = dialect or ("", "")
        self._context = reading_context(form, fields, source=source, kind=kind, header=header, delimiter=delimiter)
        self._states_receipt = any(rule.target == "received_at" and not rule.optional for rule in fields.rules)

    def message(self, row: Row) -> Message | None:
        """The message in `row`; None if it went to the dead letters."""
        self.read += 1
        try:
            if row.fields is None:
                raise UndecodableMessage(row.reason)
            return transform(row.fields, self._fields, source=self._source, kind=self._kind)
        except UndecodableMessage as error:
            letter = dead_letter(
                row.original(),
                str(error),
                origin=f"replay:{self._path.name}:{row.number}",
                stage="ingest",
                topic=self._producer.messages_topic,
                context=self._context,
            )
            self.window.reject(row.number, letter, self._source)
            return None

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
            state.row = run.window.acknowledged or state.row
            checkpoint.save(store, state)
        if progress:
            progress(file.progress, run.read, run.window.dead_letters)

    for count, row in enumerate(_until_stopped(file.rows(state.row), pace)):
        message = run.message(row)
        if message is not None:
            while (wait := pace.due_in(message)) > 0 and not pace.stopped:
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
