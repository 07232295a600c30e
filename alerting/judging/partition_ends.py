"""How far the partitions of a topic reach, asked from the brokers again and again in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

from kafka import KafkaConsumer, TopicPartition

from alerting.judging.watermark import Ends
from core.health import Beat
from core.kafka import client_options, open_client
from core.settings import Settings

log = logging.getLogger(__name__)

_FETCH_WAIT_MS = 100
_FETCH_BYTES = 1024  # the records are of no interest, but a broker gives at least one batch
_ROUND_S = 5.0
_METADATA_MS = 30_000


class PartitionEnds(threading.Thread):
    """Keeps `latest`, None while the brokers do not answer, until `stop` is set. `knowing` notes whether they do.

    The ends are the high watermarks of fetches: the answers to ListOffsets are wrong on some brokers. A fetch of one
    round may be answered in the next, so the ends of a round are those at the beginning of the round before, or later.
    """

    def __init__(
        self,
        settings: Settings,
        pause_s: float,
        stop: threading.Event,
        clock: Callable[[], datetime],
        knowing: Beat | None = None,
    ) -> None:
        super().__init__(name="partition-ends", daemon=True)
        self._settings = settings
        self._topic = settings.topic("messages")
        self._pause_s = pause_s
        self._halt = stop
        self._clock = clock
        self._knowing = knowing or Beat()
        self._fault = ""
        self._known: dict[TopicPartition, int] = {}
        self.latest: Ends | None = None

    def run(self) -> None:
        while not self._halt.is_set():
            try:
                self._follow()
            except Exception as error:  # a client of Kafka raises many kinds, and its options may have lost a file
                self._note_failure(f"{type(error).__name__}: {error}")
            self._halt.wait(self._pause_s)

    def _follow(self) -> None:
        consumer = open_client(
            KafkaConsumer,
            **client_options(self._settings),
            enable_auto_commit=False,
            auto_offset_reset="latest",
            enable_incremental_fetch_sessions=False,  # within a session, quiet partitions are left out
            allow_auto_create_topics=False,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            max_partition_fetch_bytes=_FETCH_BYTES,
            metadata_max_age_ms=_METADATA_MS,
            request_timeout_ms=int(2 * _ROUND_S * 1000),
        )
        before: datetime | None = None
        try:
            while not self._halt.is_set():
                begun = self._clock()
                ends = self._ask(consumer)
                if ends is None:
                    self._note_failure(f"they do not name all ends of the topic {self._topic}")
                elif before is not None:
                    self.latest, self._fault = Ends(before, ends), ""
                    self._knowing.good()
                before = begun if ends is not None else None
                self._halt.wait(self._pause_s)
        finally:
            consumer.close(autocommit=False)

    def _note_failure(self, reason: str) -> None:
        self.latest = None
        self._knowing.bad(f"the brokers do not say how far the partitions reach: {reason}")
        if reason != self._fault:
            log.warning("the brokers do not say how far they are (%s); judging waits for them", reason)
        self._fault = reason

    def _ask(self, consumer: KafkaConsumer) -> dict[int, int] | None:
        """The end of every partition, or None if the brokers did not name all of them in time."""
        places = [TopicPartition(self._topic, number) for number in consumer.partitions_for_topic(self._topic) or ()]
        if not places:
            return None
        consumer.unsubscribe()  # what was known of the partitions is forgotten with their assignment
        consumer.assign(places)
        for place in places:
            if place in self._known:
                consumer.seek(place, self._known[place])
        deadline = time.monotonic() + _ROUND_S
        while time.monotonic() < deadline and not self._halt.is_set():
            consumer.poll(_FETCH_WAIT_MS, max_records=1)
            ends = {place: consumer.highwater(place) for place in places}
            if all(end is not None for end in ends.values()):
                self._known = {place: end for place, end in ends.items() if end is not None}
                return {place.partition: end for place, end in self._known.items()}
        return None
