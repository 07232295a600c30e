"""Delivery from the outbox: at least once, each channel in a thread of its own, so that none waits for another.

A change of an incident waits until its earlier change is through; other incidents go on. What waits for the end of
quiet hours or for a digest goes out in one message.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import psycopg

from alerting.delivery.channel import Channel, Delivery, DeliveryFailed, Notice
from alerting.delivery.folding import SUPERSEDED, fold
from alerting.delivery.sql import QUERIES, fetch
from alerting.judging.clock import utc_now
from alerting.rules.alert_rules import AlertRules
from core import metrics
from core.settings import Settings
from core.store.connection import connect

log = logging.getLogger(__name__)

OUTCOMES = ("delivered", "failed", "given-up", "superseded")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 300.0
_LEAST_TRIES = 8  # about two minutes of failures: what waited untried for days is not given up at the first of them
_LOOK_S = 0.5
_FLUSH_S = 20.0
_AFTER_FAULT_S = 2.0
_NEVER = timedelta(days=2)
"""Nothing is put off for so long: a time so far ahead was written by a clock that was wrong, and is over."""

Connection = psycopg.Connection[Any]


def pause_before_retry(attempts: int, chance: float) -> float:
    """Seconds to wait after that many failures: doubling from 1 s to 5 min, times 0.5 to 1.5 by `chance` (0 to 1)."""
    return min(_FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 20), _LONGEST_PAUSE_S) * (0.5 + chance)


class Courier(threading.Thread):
    """Delivers what the outbox holds for one channel, while `leading` is set and until `stop` is.

    `clock` returns aware UTC.
    """

    def __init__(
        self,
        settings: Settings,
        channel: Channel,
        leading: threading.Event,
        stop: threading.Event,
        rules: AlertRules | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(name=f"courier-{channel.name}", daemon=True)
        self._longest = timedelta(hours=settings.alerting.delivery_max_age_hours)
        self._settings = settings
        self._channel = channel
        self._leading = leading
        self._halt = stop
        self._rules = rules or AlertRules()
        self._clock = clock
        for outcome in OUTCOMES:
            metrics.DELIVERIES.labels(channel=channel.name, outcome=outcome)  # 0 until its first increase
        self._failures = 0  # in a row, of a channel that can't be reached
        self._rests_until: datetime | None = None
        self._resent_at: datetime | None = None

    def run(self) -> None:
        try:
            while not self._halt.is_set():
                try:
                    self._work()
                except psycopg.Error as error:
                    log.warning("%s: the database failed: %s", self.name, str(error).strip().split("\n")[0])
                except Exception:
                    log.exception("%s failed, by a fault of newstide itself; it begins anew", self.name)
                self._halt.wait(_AFTER_FAULT_S)
        finally:
            self._channel.close()

    def deliver_due(self, connection: Connection) -> int:
        """Try once what is due; returns how many messages arrived."""
        arrived = 0
        for row in self._due(connection, "due"):
            if self._halt.is_set() or self._is_resting():
                break
            if row.superseded:
                self._drop(connection, [row.id], SUPERSEDED)
                continue
            if self._waits(connection, [row]):
                continue
            delivery = Delivery(row.dedupe, row.key, (Notice(row.payload, tuple(row.labels)),))
            arrived += self._deliver(connection, [row], delivery)
        for _, group in groupby(self._due(connection, "held_due"), lambda row: (row.not_before, row.held)):
            if self._halt.is_set() or self._is_resting():
                break
            arrived += self._deliver_together(connection, list(group))
        self._resend(connection)
        (outbox,) = fetch(connection, "pending", {"now": self._clock()})
        metrics.OUTBOX.set(outbox.pending - outbox.waiting)
        return arrived

    def _work(self) -> None:
        with connect(self._settings, autocommit=True) as connection:
            while not self._halt.is_set():
                sent = self.deliver_due(connection) if self._leading.is_set() else 0
                if not sent:
                    self._halt.wait(_LOOK_S)

    def _due(self, connection: Connection, query: str) -> list[Any]:
        if self._is_resting():
            return []
        now = self._clock()
        return fetch(connection, query, {"channel": self._channel.name, "now": now, "never": now + _NEVER})

    def _is_resting(self) -> bool:
        return self._rests_until is not None and timedelta(0) < self._rests_until - self._clock() < _NEVER

    def _waits(self, connection: Connection, rows: Sequence[Any]) -> bool:
        """Let rows wait that have come into quiet hours meanwhile, or into other rules."""
        holds = [self._rules.hold(row.rules, row.severity, self._clock()) for row in rows]
        waits = [hold for hold in holds if hold is not None]
        if not waits or len(waits) < len(holds):
            return False
        held, not_before = min(waits, key=lambda hold: hold[1])
        ids = [row.id for row in rows]
        connection.execute(QUERIES["hold"], {"ids": ids, "held": held, "not_before": not_before})
        return True

    def _deliver_together(self, connection: Connection, rows: list[Any]) -> int:
        """Send what waited for the same moment in one message; `rows` share `held` and `not_before`."""
        held, not_before = rows[0].held, rows[0].not_before
        if held == "quiet" and self._waits(connection, rows):
            return 0
        bundle = fold(rows)
        for reason, numbers in bundle.dropped.items():
            self._drop(connection, numbers, reason)
        if not bundle.notices:
            return 0
        included = [row for row in rows if row.id in set(bundle.included)]
        if len(bundle.notices) == 1 and held == "quiet":
            delivery = Delivery(included[-1].dedupe, included[-1].key, tuple(bundle.notices))
        else:
            # what was committed too late for this message goes out in another, which must not look the same
            dedupe = f"{held}:{self._channel.name}:{not_before.isoformat()}:{max(bundle.included)}"
            delivery = Delivery(dedupe, self._channel.name, tuple(bundle.notices), held)
        return self._deliver(connection, included, delivery)

    def _drop(self, connection: Connection, ids: list[int], reason: str) -> None:
        """Leave out what has been overtaken."""
        connection.execute(QUERIES["give_up"], {"ids": ids, "error": reason, "now": self._clock()})
        metrics.DELIVERIES.labels(channel=self._channel.name, outcome="superseded").inc(len(ids))

    def _resend(self, connection: Connection) -> None:
        """Tell a channel that forgets what it is not reminded of about all that goes on."""
        every, now = self._channel.resend_s, self._clock()
        if every is None or self._is_resting():
            return
        if self._resent_at is not None and abs(now - self._resent_at) < timedelta(seconds=every):
            return
        rows = fetch(connection, "still_open", {"channel": self._channel.name})
        self._resent_at = now
        if not rows:
            return
        notices = tuple(Notice(row.payload, tuple(row.labels)) for row in rows)
        try:
            self._channel.send(Delivery(f"again:{now.isoformat()}", self._channel.name, notices))
        except DeliveryFailed as error:
            log.warning("%s could not be reminded of %d open incidents: %s", self._channel.name, len(rows), error)
            self._note_failure(error)

    def _deliver(self, connection: Connection, rows: Sequence[Any], delivery: Delivery) -> int:
        """Send it; returns whether it arrived. The rows are marked afterwards: a kill in between sends it again."""
        name = self._channel.name
        ids = [row.id for row in rows]
        _check_writable(connection)
        try:
            self._channel.send(delivery)
        except Exception as fault:
            error = fault if isinstance(fault, DeliveryFailed) else _unexpected(fault)
            rest = self._note_failure(error)
            attempts = max(row.attempts for row in rows) + 1
            now = self._clock()
            age = now - max(row.not_before or row.created_at for row in rows)
            if error.final or (age > self._longest and attempts >= _LEAST_TRIES):
                connection.execute(QUERIES["give_up"], {"ids": ids, "error": str(error), "now": now})
                metrics.DELIVERIES.labels(channel=name, outcome="given-up").inc(len(ids))
                log.error("delivery %s to %s given up at try %d: %s", delivery.dedupe, name, attempts, error)
                return 0
            pause = max(rest, pause_before_retry(attempts, random.random()))
            failed = {"ids": ids, "error": str(error), "pause_s": pause, "now": now}
            connection.execute(QUERIES["mark_failed"], failed)
            metrics.DELIVERIES.labels(channel=name, outcome="failed").inc()
            log.warning("delivery %s to %s failed: %s; next try in %.0f s", delivery.dedupe, name, error, pause)
            if error.unreachable and self._failures >= _LEAST_TRIES:
                self._give_up_overdue(connection, error)
            return 0
        self._failures = 0
        connection.execute(QUERIES["mark_delivered"], {"ids": ids, "now": self._clock()})
        metrics.DELIVERIES.labels(channel=name, outcome="delivered").inc(len(ids))
        return 1

    def _give_up_overdue(self, connection: Connection, error: DeliveryFailed) -> None:
        """Give up all that is too old for a channel that can't be reached: each message is a try of the channel, and if
        each had to fail as often itself, a backlog would last for days more."""
        values = {"channel": self._channel.name, "error": str(error), "now": self._clock(), "longest": self._longest}
        if overdue := len(fetch(connection, "give_up_overdue", values)):
            metrics.DELIVERIES.labels(channel=self._channel.name, outcome="given-up").inc(overdue)
            log.error(
                "%d overdue deliveries to %s given up: it could not be reached %d times in a row (%s)",
                overdue,
                self._channel.name,
                self._failures,
                error,
            )

    def _note_failure(self, error: DeliveryFailed) -> float:
        """Leave the channel alone if it asks for that or can't be reached; returns for how many seconds."""
        rest = error.retry_after_s
        if error.unreachable:
            self._failures += 1
            rest = max(rest, pause_before_retry(self._failures, random.random()))
        if rest:
            self._rests_until = self._clock() + timedelta(seconds=rest)
        return rest


def _check_writable(connection: Connection) -> None:
    """Raise where the database answers and takes no writes, as a standby does: what it could not note as delivered
    would be sent again and again."""
    (found,) = fetch(connection, "takes_writes")
    if not found.takes_writes:
        raise psycopg.errors.ReadOnlySqlTransaction("it is read-only, so nothing is sent")


def _unexpected(fault: Exception) -> DeliveryFailed:
    """What a channel raised that it should not have: one message must not keep the others from going out."""
    log.error("a fault of newstide itself", exc_info=fault)
    return DeliveryFailed(f"it could not be sent ({type(fault).__name__})")


def wait_for_first_tries(settings: Settings, stop: threading.Event, timeout_s: float = _FLUSH_S) -> int:
    """Wait until all is delivered but what waits, or what channels hold that fail, or `timeout_s` passed; returns how
    many are still pending."""
    with connect(settings, autocommit=True) as connection:
        for _ in range(max(1, int(timeout_s / _LOOK_S))):
            (outbox,) = fetch(connection, "pending", {"now": utc_now()})
            if not outbox.untried or stop.is_set():
                break
            stop.wait(_LOOK_S)
    pending: int = outbox.pending
    return pending


def orphans(connection: Connection, channels: Sequence[str]) -> list[str]:
    """A warning for each channel that is not one of `channels` any more and has deliveries waiting."""
    return [
        f"{row.pending} deliveries wait for the receiver `{row.channel}`, which neither settings nor rules name"
        for row in fetch(connection, "orphans", {"channels": list(channels)})
    ]
