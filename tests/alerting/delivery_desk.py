"""Documents of incidents, a clock that is set, and couriers that work when they are told to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from alerting.delivery.channel import Channel
from alerting.delivery.channels import open_channel
from alerting.delivery.courier import Courier
from alerting.delivery.outbox import Outbox
from alerting.rules.alert_rules import AlertRules
from alerting.rules.alerts_file import read_rules
from core.settings import Settings
from core.taxonomy import load_taxonomy

Connection = psycopg.Connection[Any]
OPENED_AT = datetime(2026, 7, 1, 14, 5, tzinfo=UTC)


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, **span: float) -> None:
        self.now += timedelta(**span)

    def set(self, text: str) -> None:
        self.now = datetime.fromisoformat(text).replace(tzinfo=UTC)


def document(number: int = 1, change: str = "opened", series: str = "entity=BANK", **more: Any) -> dict[str, Any]:
    """A change of incident `number`, as receivers get it."""
    kind, _, name = series.partition("=")
    incident = f"00000000-0000-0000-0000-{number:012}"
    state = {"resolved": "closed", "withdrawn": "withdrawn"}.get(change, "open")
    return {
        "version": 2,
        "dedupe": f"{incident}:{change}",
        "change": change,
        "incident": incident,
        "state": state,
        "series": series,
        "kind": kind,
        "name": name or kind,
        "signal": "negative",
        "sentence": f"{name or kind}: 41 negative stories in 60 min, 6 expected, since 14:05",
        "opened_at": OPENED_AT.isoformat(),
        "peak_at": OPENED_AT.isoformat(),
        "last_at": OPENED_AT.isoformat(),
        "closed_at": None,
        "observed": 41.0,
        "expected": 6.0,
        "window_minutes": 60,
        "score": 9.5,
        "reach": 120,
        "alerts": [],
        "evidence": {
            "stories": [{"headline": "Bank fails", "url": "https://news.test/a?b=1", "sources": ["Wire"]}],
            "words": ["fails", "run"],
        },
        **more,
    }


def rules_of(directory: Path, text: str) -> AlertRules:
    """The rules in `text`."""
    file = directory / "alerts.toml"
    file.write_text(text, encoding="utf-8")
    return read_rules(file, load_taxonomy().tasks["topic"])


class Desk:
    """An outbox and the couriers of the receivers in `rules`, all by one clock. `restart` begins them anew."""

    def __init__(
        self, settings: Settings, connection: Connection, rules: AlertRules, clock: Callable[[], datetime]
    ) -> None:
        self._settings, self._connection, self._rules, self._clock = settings, connection, rules, clock
        self._outbox = Outbox([], rules, clock)
        self.restart()

    def restart(self) -> None:
        self.close()
        self._channels = [open_channel(receiver, self._rules.link) for receiver in self._rules.receivers]
        self._couriers = [courier(self._settings, each, self._rules, self._clock) for each in self._channels]

    def enqueue(self, *documents: dict[str, Any]) -> None:
        for each in documents:
            self._outbox.enqueue(self._connection, each)

    def deliver(self) -> int:
        """Let each courier look once; returns how many messages arrived."""
        return sum(each.deliver_due(self._connection) for each in self._couriers)

    def close(self) -> None:
        for channel in getattr(self, "_channels", []):
            channel.close()


def courier(
    settings: Settings, channel: Channel, rules: AlertRules | None = None, clock: Callable[[], datetime] | None = None
) -> Courier:
    leading = threading.Event()
    leading.set()
    return Courier(settings, channel, leading, threading.Event(), rules, *([clock] if clock else []))


def rows(connection: Connection) -> list[tuple[Any, ...]]:
    """Receiver, incident's number, change, whether delivered and given up, in order."""
    return [
        (channel, int(str(incident)[-12:]), change, delivered, given_up)
        for channel, incident, change, delivered, given_up in connection.execute(
            "SELECT channel, incident, payload ->> 'change', delivered_at IS NOT NULL, given_up_at IS NOT NULL "
            "FROM outbox ORDER BY id"
        ).fetchall()
    ]
