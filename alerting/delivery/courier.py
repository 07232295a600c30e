"""Delivery from the outbox: at least once, oldest first, each channel in its own thread so that none waits for another.

A change of an alert waits until the alert's earlier change is through; other alerts go on.
"""

from __future__ import annotations

import logging
import random
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from alerting.delivery.channels import Channel, Delivery, DeliveryFailed
from alerting.delivery.sql import QUERIES, fetch
from core import metrics
from core.settings import Settings
from core.store.connection import connect

log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 300.0
_LOOK_S = 0.5
_FLUSH_S = 20.0

Connection = psycopg.Connection[Any]


def pause_before_retry(attempts: int, chance: float) -> float:
    """Seconds to wait after that many failures: doubling from 1 s to 5 min, times 0.5 to 1.5 by `chance` (0 to 1)."""
    return min(_FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 20), _LONGEST_PAUSE_S) * (0.5 + chance)


class Courier(threading.Thread):
    """Delivers what the outbox holds for one channel, while `leading` is set and until `stop` is."""

    def __init__(self, settings: Settings, channel: Channel, leading: threading.Event, stop: threading.Event) -> None:
        super().__init__(name=f"courier-{channel.name}", daemon=True)
        self._settings = settings
        self._channel = channel
        self._leading = leading
        self._halt = stop

    def run(self) -> None:
        try:
            while not self._halt.is_set():
                try:
                    with connect(self._settings, autocommit=True) as connection:
                        while not self._halt.is_set():
                            sent = self.deliver_due(connection) if self._leading.is_set() else 0
                            if not sent:
                                self._halt.wait(_LOOK_S)
                except psycopg.OperationalError as error:
                    log.warning("%s: the database failed: %s", self.name, str(error).strip().split("\n")[0])
                    self._halt.wait(2.0)
        finally:
            self._channel.close()

    def deliver_due(self, connection: Connection) -> int:
        """Try once what is due; returns how much arrived."""
        arrived = 0
        for row in fetch(connection, "due", {"channel": self._channel.name}):
            if self._halt.is_set():
                break
            delivery = Delivery(row.dedupe, row.key, row.payload)
            arrived += self._deliver(connection, row.id, delivery, row.attempts, row.created_at)
        (outbox,) = fetch(connection, "pending")
        metrics.OUTBOX.set(outbox.pending)
        return arrived

    def _deliver(
        self, connection: Connection, number: int, delivery: Delivery, attempts: int, created_at: datetime
    ) -> bool:
        name = self._channel.name
        try:
            self._channel.send(delivery)
        except DeliveryFailed as error:
            if self._is_too_old(created_at):
                connection.execute(QUERIES["give_up"], {"id": number, "error": str(error)})
                metrics.DELIVERIES.labels(channel=name, outcome="given-up").inc()
                log.error("delivery %s to %s given up after %d tries: %s", delivery.dedupe, name, attempts + 1, error)
                return False
            pause = pause_before_retry(attempts + 1, random.random())
            connection.execute(QUERIES["mark_failed"], {"id": number, "error": str(error), "pause_s": pause})
            metrics.DELIVERIES.labels(channel=name, outcome="failed").inc()
            log.warning("delivery %s to %s failed: %s; next try in %.0f s", delivery.dedupe, name, error, pause)
            return False
        connection.execute(QUERIES["mark_delivered"], {"id": number})
        metrics.DELIVERIES.labels(channel=name, outcome="delivered").inc()
        return True

    def _is_too_old(self, created_at: datetime) -> bool:
        return datetime.now(UTC) - created_at > timedelta(hours=self._settings.alerting.delivery_max_age_hours)


def wait_for_first_tries(settings: Settings, stop: threading.Event, timeout_s: float = _FLUSH_S) -> int:
    """Wait until each delivery that can be tried was, or `timeout_s` passed; returns how many are still pending."""
    with connect(settings, autocommit=True) as connection:
        for _ in range(max(1, int(timeout_s / _LOOK_S))):
            (outbox,) = fetch(connection, "pending")
            if not outbox.untried or stop.is_set():
                break
            stop.wait(_LOOK_S)
    pending: int = outbox.pending
    return pending
