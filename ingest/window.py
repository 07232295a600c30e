"""Records on their way to Kafka, in order: how many are in flight, and up to where everything is acknowledged."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from core.dead_letters import DeadLetter
from core.metrics import INGEST_REJECTED
from core.records import Message
from ingest.producer import MessageProducer, count_ingested, source_label

Position = TypeVar("Position")

MOST_IN_FLIGHT = 5_000


class AckWindow(Generic[Position]):
    """Sends records in the order of their positions in the input, and waits while too many are in flight.

    `acknowledged` is the last position with nothing unacknowledged at or before it: what a checkpoint may hold.
    """

    def __init__(
        self,
        producer: MessageProducer,
        *,
        limit: int = MOST_IN_FLIGHT,
        on_acknowledged: Callable[[Position], None] | None = None,
    ) -> None:
        self.acknowledged: Position | None = None
        self.produced = 0
        self.dead_letters = 0
        self.end_offsets: dict[int, int] = {}
        self._producer = producer
        self._limit = limit
        self._on_acknowledged = on_acknowledged
        self._flight: deque[tuple[Position, Any, Message | None, str]] = deque()
        self._uncounted: Counter[tuple[str, str]] = Counter()

    def __len__(self) -> int:
        return len(self._flight)

    def send(self, position: Position, message: Message) -> None:
        """Queue the message read at `position`. Raises DeliveryFailed if an earlier one failed."""
        self._flight.append((position, self._producer.send(message), message, ""))
        self._make_room()

    def reject(self, position: Position, letter: DeadLetter, source: str) -> None:
        """Queue the dead letter of the input at `position`."""
        self._flight.append((position, self._producer.send_dead_letter(letter), None, source))
        self._make_room()

    def reap(self) -> None:
        """Take notice of what was acknowledged meanwhile, without waiting."""
        while self._flight and self._flight[0][1].is_done:
            self._settle()
        self._count()

    def drain(self) -> None:
        """Wait until everything is acknowledged. Raises DeliveryFailed."""
        while self._flight:
            self._settle()
        self._count()

    def _make_room(self) -> None:
        if len(self._flight) >= self._limit:
            # Half at once: waiting for one record at a time would hand every batch over nearly empty.
            while len(self._flight) > self._limit // 2:
                self._settle()
            self._count()

    def _settle(self) -> None:
        position, future, message, source = self._flight[0]
        metadata = self._producer.wait(future)
        self._flight.popleft()
        self.acknowledged = position
        if self._on_acknowledged is not None:
            self._on_acknowledged(position)
        if message is None:
            self.dead_letters += 1
            INGEST_REJECTED.labels(source_label(source)).inc()
            return
        self.produced += 1
        self._uncounted[message.source, message.kind] += 1
        end = metadata.offset + 1
        if end > self.end_offsets.get(metadata.partition, 0):
            self.end_offsets[metadata.partition] = end

    def _count(self) -> None:
        for (source, kind), count in self._uncounted.items():
            count_ingested(source, kind, count)
        self._uncounted.clear()
