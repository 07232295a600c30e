"""A message that tells nothing, to see whether a receiver gets it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from alerting.delivery.alertmanager import incident_labels
from alerting.delivery.channel import Channel, Delivery, Notice
from alerting.incidents.document import VERSION

_SENTENCE = "A test of newstide: nothing has happened"


def send_trial(channel: Channel) -> None:
    """Send one test message. Raises DeliveryFailed where it does not arrive. An Alertmanager lets it end by itself."""
    document = trial_document()
    notice = Notice(document, (incident_labels(document, document["severity"]),))
    channel.send(Delivery(document["dedupe"], document["series"], (notice,)))


def trial_document() -> dict[str, Any]:
    """The document of an incident that is none: `test` is true."""
    incident, now = str(uuid4()), datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "version": VERSION,
        "dedupe": f"{incident}:test",
        "change": "opened",
        "test": True,
        "incident": incident,
        "state": "open",
        "severity": "info",
        "series": "all",
        "kind": "all",
        "name": "newstide",
        "signal": "negative",
        "sentence": _SENTENCE,
        **dict.fromkeys(("opened_at", "peak_at", "last_at"), now),
        "closed_at": None,
        **dict.fromkeys(("observed", "expected", "window_minutes", "score", "reach"), 0),
        "alerts": [],
        "evidence": {},
    }
