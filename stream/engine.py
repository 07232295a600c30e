"""The Faust adapter: a stateless pump from Kafka into the pipeline. The only file that knows Faust.

Tables, windows, transactions and the web server of Faust are not used. Records are acknowledged in order, after the
database commit and after their `classified` records are in Kafka; whatever can't be handled ends the process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import tempfile
import threading
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import faust
from faust.types import TP
from mode.loop import use as use_loop

from core import metrics
from core.dead_letters import DeadLetter
from core.health import Beat
from core.settings import KafkaSettings, Settings
from stream.archive import Archive, Letter
from stream.batch import Record
from stream.pipeline import Pipeline
from stream.progress import EndOffsets, Lag
from stream.publication import classified_record
from stream.readiness import CommitProgress
from stream.watchdog import Stall, watch

log = logging.getLogger(__name__)

EXIT_FAILED = 70  # EX_SOFTWARE: the supervisor starts the worker again and Kafka redelivers
_NOTE_EVERY_S = 0.5
_LOOP_SILENT_S = 30.0
_UNDER_WAY = 2
_FETCH_BYTES = 2**16
_SEND_TIMEOUT_S = 60  # a loop that is being stopped never answers


class Engine:
    """One worker process: `messages` through the pipeline, `dead-letters` into the archive."""

    def __init__(
        self, settings: Settings, archive: Archive, end_offsets: EndOffsets, lag: Lag, progress: CommitProgress
    ) -> None:
        self._settings = settings
        self._archive = archive
        self._end_offsets = end_offsets
        self._lag = lag
        self._progress = progress
        self.loop_beat = Beat(_LOOP_SILENT_S, None)
        self._pipeline: Pipeline | None = None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pipeline")
        self._side_executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="side")
        self._stopping = threading.Event()
        self._done = 0  # records acknowledged by this worker
        self._app = self._create_app()

    def run(self, pipeline: Pipeline) -> None:
        """Pump records through `pipeline` until SIGTERM or SIGINT. Raises SystemExit."""
        self._pipeline = pipeline
        self._start_watchdog(pipeline)
        worker = faust.Worker(self._app, redirect_stdouts=False, override_logging=False)
        worker.execute_from_commandline()

    async def send_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Return once Kafka has all `letters`."""
        topic = self._settings.topic("dead-letters")
        await self._send([(topic, letter.key, letter.value or b"", letter.headers()) for letter in letters])

    def send_dead_letters_blocking(self, letters: Sequence[DeadLetter]) -> None:
        """The same, from the pipeline's thread."""
        asyncio.run_coroutine_threadsafe(self.send_dead_letters(letters), self._app.loop).result(_SEND_TIMEOUT_S)

    def _create_app(self) -> faust.App:
        settings = self._settings
        kafka = settings.kafka
        app = faust.App(
            f"{kafka.topic_prefix}worker",
            broker=[f"kafka://{server.strip()}" for server in (kafka.bootstrap_servers or "").split(",")],
            broker_credentials=_credentials(kafka),
            broker_session_timeout=settings.stream.session_timeout_s,
            broker_heartbeat_interval=settings.stream.session_timeout_s / 3,
            broker_commit_interval=1.0,
            consumer_auto_offset_reset="earliest",
            # Small helpings of every partition: with large ones a replay reads years of one partition before the
            # next, and the watermark and the stories' order suffer. A larger record still comes whole.
            consumer_max_fetch_size=_FETCH_BYTES,
            producer_acks=-1,
            stream_buffer_maxsize=4096,
            topic_disable_leader=True,
            topic_allow_declare=False,
            web_enabled=False,
            worker_redirect_stdouts=False,
            autodiscover=False,
            store="memory://",
            datadir=str(Path(tempfile.gettempdir(), f"newstide-{os.getuid()}")),  # unused, but Faust makes it
        )
        raw: dict[str, Any] = {
            "key_type": bytes,
            "value_type": bytes,
            "key_serializer": "raw",
            "value_serializer": "raw",
        }
        messages = app.topic(settings.topic("messages"), **raw)
        dead_letters = app.topic(settings.topic("dead-letters"), **raw)

        @app.agent(messages, concurrency=1, name="newstide.messages")
        async def classify(stream: Any) -> None:
            await self._pump(stream)

        @app.agent(dead_letters, concurrency=1, name="newstide.dead-letters")
        async def archive(stream: Any) -> None:
            async for events in stream.noack_take(settings.stream.batch_size, within=settings.stream.batch_within_s):
                await self._or_exit(self._archive_letters(events))

        @app.on_before_shutdown.connect(weak=False)
        def stop_waiting(*_: Any, **__: Any) -> None:
            self._stopping.set()
            if self._pipeline is not None:
                self._pipeline.stopping.set()
            self._archive.stopping.set()

        @app.timer(_NOTE_EVERY_S)
        async def note_end_offsets() -> None:
            await self._note_end_offsets()

        return app

    async def _pump(self, stream: Any) -> None:
        """Keep the pipeline's thread busy: Faust gathers a batch while the one before is classified and stored.

        At most `_UNDER_WAY` batches are not yet acknowledged. They enter the pipeline and are acknowledged in order.
        """
        settings = self._settings.stream
        under_way: deque[asyncio.Task[None]] = deque()
        async for events in stream.noack_take(settings.batch_size, within=settings.batch_within_s):
            while len(under_way) >= _UNDER_WAY:
                await under_way.popleft()
            before = under_way[-1] if under_way else None
            under_way.append(asyncio.create_task(self._or_exit(self._process(events, before))))

    async def _process(self, events: Sequence[Any], before: asyncio.Task[None] | None) -> None:
        ends = {tp: self._end_offset(tp) for tp in {event.message.tp for event in events}}
        records = [_record(event.message, ends[event.message.tp]) for event in events]
        loop = asyncio.get_running_loop()
        assert self._pipeline is not None
        classified = await loop.run_in_executor(self._executor, self._pipeline.process, records)
        if before is not None:
            await before
        if self._settings.stream.publish_classified:
            topic = self._settings.topic("classified")
            await self._send([(topic, *classified_record(item)) for item in classified])
        for event in events:
            event.ack()
        self._done += len(events)
        self._progress.committed()

    async def _archive_letters(self, events: Sequence[Any]) -> None:
        letters = [Letter(_record(event.message, None), event.message.headers) for event in events]
        await asyncio.get_running_loop().run_in_executor(self._side_executor, self._archive.store, letters)
        for event in events:
            event.ack()

    async def _or_exit(self, work: Coroutine[Any, Any, None]) -> None:
        """Faust would stall for good on an exception here, holding its partitions: the process ends instead."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException:
            if self._stopping.is_set() or self._app.should_stop:
                log.info("stopped in the middle of a batch; nothing of it was acknowledged, so it comes again")
                return
            log.critical("this batch can't be handled; ending the worker, Kafka redelivers", exc_info=True)
            logging.shutdown()
            os._exit(EXIT_FAILED)

    async def _send(self, records: Sequence[tuple[str, bytes | None, bytes, list[tuple[str, bytes]]]]) -> None:
        producer = self._app.producer
        sent = [await producer.send(topic, key, value, None, None, headers) for topic, key, value, headers in records]
        await asyncio.gather(*sent)

    def _end_offset(self, tp: TP) -> int | None:
        try:
            return self._app.consumer.highwater(tp) or None
        except (AttributeError, KeyError, AssertionError):
            return None  # revoked in this moment: the new owner knows

    async def _note_end_offsets(self) -> None:
        self.loop_beat.good()
        consumer = self._app.consumer
        topic = self._settings.topic("messages")
        ends = {
            tp.partition: end
            for tp in consumer.assignment()
            if tp.topic == topic and (end := self._end_offset(tp)) is not None
        }
        await asyncio.get_running_loop().run_in_executor(self._side_executor, self._end_offsets.note, ends)

    def _start_watchdog(self, pipeline: Pipeline) -> None:
        topic = self._settings.topic("messages")

        def lag() -> int | None:
            try:
                mine = [tp.partition for tp in self._app.consumer.assignment() if tp.topic == topic]
            except (AttributeError, AssertionError):
                return None  # not started yet
            behind = self._lag.read(mine)
            for partition, records in (behind or {}).items():
                metrics.LAG.labels(topic, str(partition)).set(records)
            lag = None if behind is None else sum(behind.values())
            self._progress.look(lag, pipeline.waiting_for_database)
            return lag

        stall = Stall(self._settings.stream.watchdog_s, time.monotonic())
        threading.Thread(
            target=watch,
            args=(stall, lag, lambda: self._done, lambda: pipeline.waiting_for_database, self._stopping),
            name="watchdog",
            daemon=True,
        ).start()


def use_uvloop() -> None:
    """Take uvloop where it is installed: a third more records per second."""
    use_loop("uvloop")


def _record(message: Any, end_offset: int | None) -> Record:
    return Record(message.topic, message.partition, message.offset, message.key, message.value, end_offset)


def _credentials(kafka: KafkaSettings) -> Any:
    context = None
    if kafka.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=str(kafka.ssl_cafile) if kafka.ssl_cafile else None)
        if kafka.ssl_certfile:
            context.load_cert_chain(kafka.ssl_certfile, kafka.ssl_keyfile)
    if kafka.security_protocol.startswith("SASL"):
        password = kafka.sasl_password.get_secret_value() if kafka.sasl_password else None
        return faust.SASLCredentials(
            username=kafka.sasl_username, password=password, mechanism=kafka.sasl_mechanism, ssl_context=context
        )
    return faust.SSLCredentials(context) if context else None
