"""Faust as a worker uses it: it reads from where ledger and group stand, and holds a bounded number of bytes.

Tables, windows, transactions and the web server of Faust are not used.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from faust.transport.drivers.aiokafka import Consumer, ensure_aiokafka_TP
from faust.types import TP
from mode.loop import use as use_loop
from mode.utils.queues import ThrowableQueue

from core.kafka import tls_context
from core.settings import KafkaSettings, Settings
from core.worker_group import START_MARK
from stream.backlog import MAX_WAITING_BYTES
from stream.progress import ReadFrom

log = logging.getLogger(__name__)

_FETCH_BYTES = 2**16
_METADATA_AGE_MS = 30_000  # how soon a partition that was added is read
_RETRY_S = 1.0

FindPositions = Callable[[Sequence[TP]], Awaitable[Mapping[TP, ReadFrom]]]
"""Tells where the ledger has partitions read on."""


def use_uvloop() -> None:
    """Take uvloop where it is installed: a third more records per second."""
    use_loop("uvloop")


def create_app(settings: Settings, find_positions: FindPositions) -> LedgerApp:
    """The app of one worker, which asks `find_positions` whenever it was assigned partitions."""
    kafka = settings.kafka
    app = LedgerApp(
        settings.worker_group,
        broker=[f"kafka://{server.strip()}" for server in (kafka.bootstrap_servers or "").split(",")],
        broker_credentials=_credentials(kafka),
        broker_session_timeout=settings.stream.session_timeout_s,
        broker_heartbeat_interval=settings.stream.session_timeout_s / 3,
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        # Small helpings of every partition: with large ones a replay reads years of one partition before the next, and
        # the watermark and the stories' order suffer. A larger record still comes whole.
        consumer_max_fetch_size=_FETCH_BYTES,
        consumer_metadata_max_age_ms=_METADATA_AGE_MS,
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
    app.find_positions = find_positions
    return app


def _credentials(kafka: KafkaSettings) -> Any:
    context = tls_context(kafka)
    if kafka.security_protocol.startswith("SASL"):
        password = kafka.sasl_password.get_secret_value() if kafka.sasl_password else None
        return faust.SASLCredentials(
            username=kafka.sasl_username, password=password, mechanism=kafka.sasl_mechanism, ssl_context=context
        )
    return faust.SSLCredentials(context) if context else None


class LedgerApp(faust.App):
    """Faust's app, with the consumer and the queue below."""

    find_positions: FindPositions

    def _new_transport(self) -> Any:
        transport: Any = super()._new_transport()
        transport.Consumer = LedgerConsumer
        return transport

    def FlowControlQueue(self, maxsize: int | None = None, *, clear_on_resume: bool = False) -> ByteQueue:
        return ByteQueue(maxsize=maxsize, flow_control=self.flow_control, clear_on_resume=clear_on_resume)


class LedgerConsumer(Consumer):
    """Reads from where the ledger stands, and from where the group's offset stands if that is behind.

    The group's offset follows once a batch's `classified` records are in Kafka: what lies between the two was committed
    and may not have been published. Read again it changes nothing in the store, and is published. Faust asks for the
    committed offsets at the end of each rebalance, and seeks to them itself; this is that place.
    """

    _unplaced: bool = False  # assigned, and not yet sought

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self._unplaced = True
        await super().on_partitions_assigned(assigned, generation_id)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        places = sorted(self.assignment())
        app: Any = self.app
        ledger = await app.find_positions(places)
        positions: dict[TP, int] = {}
        if ledger:
            try:
                positions = await self._thread.call_thread(self._seek_all, ledger)
            except KafkaError as error:
                log.warning("reading waits for the group's offsets: %s", error)
                await asyncio.sleep(_RETRY_S)
                return {}
        if set(places) == self.assignment():
            self._unplaced = False
        return positions

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[TP, list[Any]]:
        if self._unplaced:
            # Faust goes on without the seek when that takes long, for instance while the database is away.
            await self.perform_seek()
            return {}
        return await super()._getmany(active_partitions, timeout)

    async def _seek_all(self, ledger: Mapping[TP, ReadFrom]) -> dict[TP, int]:
        return await seek_all(self._thread._ensure_consumer(), ledger)


async def seek_all(consumer: AIOKafkaConsumer, ledger: Mapping[TP, ReadFrom]) -> dict[TP, int]:
    """Have `consumer` read on from the ledger, or from its group's offset where that is behind; from which offsets.

    Raises KafkaError.
    """
    places = {ensure_aiokafka_TP(place): read_from for place, read_from in ledger.items()}
    committed = await consumer._coordinator.fetch_committed_offsets(list(places))
    # `newstide topics` has committed the marked ones, in the place of none.
    group = {place: found.offset for place, found in committed.items() if found.metadata != START_MARK}
    # Below its start the log holds nothing. Faust would list each offset from there on, which can be millions.
    positions = {
        place: max(min(offset, group.get(place, offset)), log_start) for place, (_, offset, log_start) in places.items()
    }
    # The group says so before anything is read. A worker that is killed before it commits an offset would else leave
    # none, or one ahead of the ledger (of another log, say), and what it had not published would not be read again.
    if moved := {place: offset for place, offset in positions.items() if group.get(place) != offset}:
        await consumer.commit(moved)
    for place, offset in positions.items():
        consumer.seek(place, offset)
    return {TP(place.topic, place.partition): offset for place, offset in positions.items()}


class ByteQueue(ThrowableQueue):
    """Faust's queue between the consumer and an agent, full when its records hold too many bytes."""

    _bytes: int = 0

    def _put(self, item: Any) -> None:
        self._bytes += size_of(item)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self._bytes -= size_of(item)
        return item

    def clear(self) -> None:
        super().clear()
        self._bytes = 0

    def full(self) -> bool:
        return self._bytes >= MAX_WAITING_BYTES or super().full()


def size_of(event: Any) -> int:
    """Bytes of the record of one of Faust's events."""
    message = event.message
    return len(message.value or b"") + len(message.key or b"")
