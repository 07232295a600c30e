"""Records on their way to Kafka, in order: how many are in flight, and up to where everything is acknowledged."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from core.dead_letters import DeadLetter
from core.metrics import INGEST_REJECTED, source_label
from core.records import Message
from ingest.producer import MessageProducer, count_ingested

Position = TypeVar("Position")

MOST_IN_FLIGHT = 5_000
MOST_BYTES_IN_FLIGHT = 64_000_000
_BYTES_BESIDE_TEXT = 500


class _Sent(NamedTuple, Generic[Position]):
    """One record in flight; a dead letter has no kind, and what is skipped no future either."""

    position: Position
    future: Any
    size: int
    source: str
    kind: str
    marks: tuple[str, ...] = ()


class AckWindow(Generic[Position]):
    """Sends records in the order of their positions in the input, and waits while too many are in flight.

    `acknowledged` is the last position with nothing unacknowledged at or before it: what a checkpoint may hold. `marks`
    counts the marks of acknowledged messages.
    """

    def __init__(
        self,
        producer: MessageProducer,
        *,
        limit: int = MOST_IN_FLIGHT,
        byte_limit: int = MOST_BYTES_IN_FLIGHT,
        on_acknowledged: Callable[[Position], None] | None = None,
    ) -> None:
        self.acknowledged: Position | None = None
        self.produced = 0
        self.dead_letters = 0
        self.marks: Counter[str] = Counter()
        self.end_offsets: dict[int, int] = {}
        self._producer = producer
        self._limit = limit
        self._byte_limit = byte_limit
        self._bytes = 0
        self._on_acknowledged = on_acknowledged
        self._flight: deque[_Sent[Position]] = deque()
        self._uncounted: Counter[tuple[str, str]] = Counter()

    def __len__(self) -> int:
        return len(self._flight)

    def send(self, position: Position, message: Message) -> None:
        """Queue the message read at `position`. Raises DeliveryFailed if an earlier one failed."""
        size = len(message.text) + _BYTES_BESIDE_TEXT
        marks = tuple(message.marks)
        self._add(_Sent(position, self._producer.send(message), size, message.source, message.kind, marks))

    def reject(self, position: Position, letter: DeadLetter, source: str) -> None:
        """Queue the dead letter of the input at `position`."""
        size = len(letter.value or b"") + _BYTES_BESIDE_TEXT
        self._add(_Sent(position, self._producer.send_dead_letter(letter), size, source, ""))

    def skip(self, position: Position) -> None:
        """Nothing is sent for the input at `position`; it counts as acknowledged once all before it is."""
        self._add(_Sent(position, None, 0, "", ""))

    def reap(self) -> None:
        """Take notice of what was acknowledged meanwhile, without waiting."""
        while self._flight and (self._flight[0].future is None or self._flight[0].future.is_done):
            self._settle()
        self._count()

    def drain(self) -> None:
        """Wait until everything is acknowledged. Raises DeliveryFailed."""
        while self._flight:
            self._settle()
        self._count()

    def _add(self, sent: _Sent[Position]) -> None:
        self._flight.append(sent)
        self._bytes += sent.size
        if len(self._flight) >= self._limit or self._bytes >= self._byte_limit:
            # Half at once: waiting for one record at a time would hand every batch over nearly empty.
            while len(self._flight) > self._limit // 2 or self._bytes > self._byte_limit // 2:
                self._settle()
            self._count()

    def _settle(self) -> None:
        sent = self._flight[0]
        metadata = None if sent.future is None else self._producer.wait(sent.future)
        self._flight.popleft()
        self._bytes -= sent.size
        self.acknowledged = sent.position
        if self._on_acknowledged is not None:
            self._on_acknowledged(sent.position)
        if metadata is None:
            return
        if not sent.kind:
            self.dead_letters += 1
            INGEST_REJECTED.labels(source_label(sent.source)).inc()
            return
        self.produced += 1
        self._uncounted[sent.source, sent.kind] += 1
        self.marks.update(sent.marks)
        # The last one, not the highest: acknowledgements of a partition come in order, and a topic that was re-created
        # meanwhile counts from zero.
        self.end_offsets[metadata.partition] = metadata.offset + 1

    def _count(self) -> None:
        for (source, kind), count in self._uncounted.items():
            count_ingested(source, kind, count)
        self._uncounted.clear()
