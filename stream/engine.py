"""A stateless pump from Kafka into the pipeline. With `faust_app`, the only file that knows Faust.

Reading begins where the ledger stands, at every assignment, or at the group's offset where that is behind. Records are
acknowledged in order, after the database commit and after their `classified` records are in Kafka; whatever can't be
handled ends the process.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faust
from aiokafka.errors import MessageSizeTooLargeError
from faust.exceptions import ProducerSendError
from faust.types import TP
from kafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError

from core.dead_letters import DeadLetter
from core.epochs import Reconciler
from core.errors import NewstideError
from core.health import Beat
from core.settings import Settings
from stream.archive import Archive, Letter
from stream.backlog import Backlog
from stream.batch import Record
from stream.faust_app import create_app, size_of
from stream.pipeline import Pipeline, timed
from stream.progress import EndOffsets, LedgerWatch, Place, Position, ReadFrom, ShownLag, find_positions
from stream.readiness import CommitProgress
from stream.sending import Outgoing, Sender
from stream.watchdog import EXIT_FAILED, EXIT_STALLED, Stall, end_process, watch

log = logging.getLogger(__name__)

_NOTE_EVERY_S = 0.5
_LOOP_SILENT_S = 30.0
_UNDER_WAY = 2
_SEND_TIMEOUT_S = 60  # a loop that is being stopped never answers
_RETRY_S = 1.0


class Engine:
    """One worker process: `messages` through the pipeline, `dead-letters` into the archive."""

    def __init__(
        self,
        settings: Settings,
        archive: Archive,
        end_offsets: EndOffsets,
        reconciler: Reconciler,
        ledger_watch: LedgerWatch,
        progress: CommitProgress,
    ) -> None:
        self._settings = settings
        self._archive = archive
        self._end_offsets = end_offsets
        self._reconciler = reconciler
        self._ledger_watch = ledger_watch
        self._progress = progress
        self.loop_beat = Beat(_LOOP_SILENT_S, None)
        self._pipeline: Pipeline | None = None
        self._on_stop: Callable[[], None] = lambda: None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pipeline")
        self._side_executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="side")
        self._positions_executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="positions")
        self._stopping = threading.Event()
        self._topics = (settings.topic("messages"), settings.topic("dead-letters"))
        self._done: Counter[str] = Counter()  # records acknowledged by this worker, by topic
        self._epochs: dict[Place, int] = {}  # of every place that was ever read
        self._backlogs = {topic: Backlog() for topic in self._topics}
        self._noting: asyncio.Future[None] | None = None
        self._sender = Sender(settings, self._send)
        self._app = self._create_app()

    def run(self, pipeline: Pipeline, on_stop: Callable[[], None]) -> None:
        """Pump records through `pipeline` until SIGTERM or SIGINT; `on_stop` is called before the first thread ends.
        Raises SystemExit."""
        self._pipeline, self._on_stop = pipeline, on_stop
        self._start_watchdog(pipeline)
        worker = faust.Worker(self._app, redirect_stdouts=False, override_logging=False)
        worker.execute_from_commandline()

    def send_dead_letters_blocking(self, letters: Sequence[DeadLetter]) -> None:
        """Return once Kafka has all `letters`. From the pipeline's thread."""
        asyncio.run_coroutine_threadsafe(self._sender.send_letters(letters), self._app.loop).result(_SEND_TIMEOUT_S)

    def _create_app(self) -> faust.App:
        app = create_app(self._settings, self._find_positions)
        raw: dict[str, Any] = {
            "key_type": bytes,
            "value_type": bytes,
            "key_serializer": "raw",
            "value_serializer": "raw",
        }
        messages, dead_letters = (app.topic(topic, **raw) for topic in self._topics)

        @app.agent(messages, concurrency=1, name="newstide.messages")
        async def classify(stream: Any) -> None:
            await self._pump(stream)

        @app.agent(dead_letters, concurrency=1, name="newstide.dead-letters")
        async def archive(stream: Any) -> None:
            async for events in self._batches(stream, self._topics[1]):
                await self._or_exit(self._archive_letters(events))

        @app.on_before_shutdown.connect(weak=False)
        def stop_waiting(*_: Any, **__: Any) -> None:
            self._on_stop()
            self._stopping.set()
            if self._pipeline is not None:
                self._pipeline.stopping.set()
            self._archive.stopping.set()

        @app.timer(_NOTE_EVERY_S)
        async def note_end_offsets() -> None:
            await self._note_end_offsets()

        return app

    async def _find_positions(self, places: Sequence[TP]) -> dict[TP, ReadFrom]:
        """Where to read each of `places` on: what the ledger says, asked until brokers and database answer."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                known = await loop.run_in_executor(self._positions_executor, find_positions, self._reconciler)
            except (KafkaError, DBAPIError, OSError) as error:
                log.warning("reading waits for the ledger: %s", str(error).strip().splitlines()[0])
            else:
                if all(place in known for place in places):
                    break
                log.warning("reading waits until the ledger knows all of %s", sorted(places))
            await asyncio.sleep(_RETRY_S)
        for place in places:
            epoch = self._epochs.setdefault(place, known[place].epoch)
            if epoch != known[place].epoch:
                self._end_for_new_epoch([place])
        return {place: known[place] for place in places}

    async def _pump(self, stream: Any) -> None:
        """Keep the pipeline's thread busy: Faust gathers a batch while the one before is classified and stored.

        At most `_UNDER_WAY` batches are not yet acknowledged. They enter the pipeline and are acknowledged in order.
        """
        under_way: deque[asyncio.Task[None]] = deque()
        async for events in self._batches(stream, self._topics[0]):
            while len(under_way) >= _UNDER_WAY:
                await under_way.popleft()
            before = under_way[-1] if under_way else None
            under_way.append(asyncio.create_task(self._or_exit(self._process(events, before))))

    def _batches(self, stream: Any, topic: str) -> Any:
        """Batches of events, once there is room for each of them in the topic's backlog."""
        backlog = self._backlogs[topic]

        async def wait_for_room(value: bytes | None) -> bytes | None:
            await backlog.take(size_of(stream.current_event))
            return value

        stream.add_processor(wait_for_room)  # before that of `noack_take`, which gathers
        return stream.noack_take(self._settings.stream.batch_size, within=self._settings.stream.batch_within_s)

    async def _process(self, events: Sequence[Any], before: asyncio.Task[None] | None) -> None:
        ends = {tp: self._end_offset(tp) for tp in {event.message.tp for event in events}}
        records = [self._record(event.message, ends[event.message.tp]) for event in events]
        loop = asyncio.get_running_loop()
        assert self._pipeline is not None
        classified = await loop.run_in_executor(self._executor, self._pipeline.process, records)
        if before is not None:
            await before
        if self._settings.stream.publish_classified:
            with timed("publish"):
                await self._sender.publish(classified)
        self._acknowledge(self._topics[0], events)
        self._progress.committed()

    async def _archive_letters(self, events: Sequence[Any]) -> None:
        letters = [Letter(self._record(event.message, None), event.message.headers) for event in events]
        await asyncio.get_running_loop().run_in_executor(self._side_executor, self._archive.store, letters)
        self._acknowledge(self._topics[1], events)

    def _acknowledge(self, topic: str, events: Sequence[Any]) -> None:
        for event in events:
            event.ack()
        self._done[topic] += len(events)
        self._backlogs[topic].release(len(events), sum(map(size_of, events)))

    async def _or_exit(self, work: Coroutine[Any, Any, None]) -> None:
        """Faust would stall for good on an exception here, holding its partitions: the process ends instead."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if self._stopping.is_set() or self._app.should_stop:
                log.info("stopped in the middle of a batch; nothing of it was acknowledged, so it comes again")
                return
            expected = isinstance(error, NewstideError)
            log.critical("this batch can't be handled: %s", error, exc_info=not expected)
            end_process(EXIT_FAILED, "ending the worker; it reads on from the ledger when it is started again")

    async def _send(self, record: Outgoing) -> Any:
        topic, key, value, headers = record
        try:
            return await self._app.producer.send(topic, key, value, None, None, headers)
        except ProducerSendError as error:
            if isinstance(error.__cause__, MessageSizeTooLargeError):
                raise error.__cause__ from None
            raise

    def _record(self, message: Any, end_offset: int | None) -> Record:
        epoch = self._epochs[message.topic, message.partition]
        return Record(message.topic, message.partition, message.offset, message.key, message.value, end_offset, epoch)

    def _end_offset(self, tp: TP) -> int | None:
        try:
            return self._app.consumer.highwater(tp) or None
        except (AttributeError, KeyError, AssertionError):
            return None  # revoked in this moment: the new owner knows

    async def _note_end_offsets(self) -> None:
        self.loop_beat.good()
        topic = self._topics[0]
        ends = {
            tp.partition: Position(self._epochs[tp], end)
            for tp in self._app.consumer.assignment()
            if tp.topic == topic and tp in self._epochs and (end := self._end_offset(tp)) is not None
        }
        if self._noting is not None:
            if not self._noting.done():
                return  # it waits for the database; the beat goes on
            self._noting.result()
        self._noting = asyncio.get_running_loop().run_in_executor(self._side_executor, self._end_offsets.note, ends)

    def _assigned(self) -> dict[Place, int]:
        """Epochs of what this worker reads now; empty before it has started."""
        try:
            assignment = self._app.consumer.assignment()
        except (AttributeError, AssertionError, faust.exceptions.ConsumerNotStarted):
            return {}
        return {(tp.topic, tp.partition): self._epochs[tp] for tp in assignment if tp in self._epochs}

    def _start_watchdog(self, pipeline: Pipeline) -> None:
        shown = ShownLag()

        def lag() -> Mapping[str, int] | None:
            idle = not any(backlog.records for backlog in self._backlogs.values())
            look = self._ledger_watch.look(self._assigned(), idle)
            if look is None:
                self._progress.look(None, pipeline.waiting_for_database)
                return None
            if look.moved:
                self._end_for_new_epoch(look.moved)
            behind: Counter[str] = Counter()
            for (topic, _), records in look.behind.items():
                behind[topic] += records
            shown.update(look.behind)
            self._progress.look(behind[self._topics[0]], pipeline.waiting_for_database)
            return behind

        now = time.monotonic()
        threading.Thread(
            target=watch,
            args=(
                {topic: Stall(self._settings.stream.watchdog_s, now) for topic in self._topics},
                lag,
                self._done.__getitem__,
                lambda: pipeline.waiting_for_database or self._archive.waiting_for_database,
                self._stopping,
            ),
            name="watchdog",
            daemon=True,
        ).start()

    def _end_for_new_epoch(self, places: Sequence[Place]) -> None:
        names = ", ".join(f"{topic}/{partition}" for topic, partition in sorted(places))
        end_process(EXIT_STALLED, f"another log stands in the place of {names}; ending the worker, to read it anew")
