"""Prometheus' Alertmanager, through its API v2: silences, grouping and routing are its job.

An incident is an alert with labels that stay as they were when the Alertmanager first heard of it, for they are its
identity there. It fires until it is sent as resolved, or is not sent again for five times `resend_s`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from alerting.delivery.channel import Delivery, Labels, Notice
from alerting.delivery.message import fields_of, link_of
from alerting.delivery.plain_text import plain
from alerting.delivery.posting import Post
from alerting.judging.clock import utc_now
from alerting.rules.alert_rules import Receiver

ALERT_NAME = "NewstideIncident"
PATH = "/api/v2/alerts"
_SILENCES = 5
_LEAST_LIFE = timedelta(minutes=5)
_ONE_SECOND = timedelta(seconds=1)
_ANNOTATIONS = {"summary": "sentence", "stories": "stories", "words": "words"}


class Alertmanager:
    """One Alertmanager. Each member of a cluster is a receiver of its own, as Prometheus has it."""

    def __init__(self, receiver: Receiver, link: str, clock: Callable[[], datetime] = utc_now) -> None:
        self.name = receiver.name
        self.resend_s = receiver.resend_s
        self.timeout_s = receiver.timeout_s
        self._link = link
        self._clock = clock
        self._life = max(_LEAST_LIFE, timedelta(seconds=_SILENCES * receiver.resend_s))
        url = receiver.url.reveal().rstrip("/") + PATH
        self._post = Post(url, receiver.timeout_s, "the Alertmanager", receiver.headers)

    def send(self, delivery: Delivery) -> None:
        now = self._clock()
        self._post.send([alert for notice in delivery.notices for alert in self._alerts(notice, now)])

    def close(self) -> None:
        self._post.close()

    def _alerts(self, notice: Notice, now: datetime) -> list[dict[str, Any]]:
        """The alert of the incident's present labels, and the end of those under its former ones."""
        document = notice.document
        present, *former = notice.labels or (incident_labels(document, document.get("severity", "warning")),)
        is_open = document["change"] in ("opened", "updated")
        return [
            self._alert(notice, present, now, now + self._life if is_open else now),
            *(self._alert(notice, labels, now, now) for labels in former),
        ]

    def _alert(self, notice: Notice, labels: Labels, now: datetime, ends_at: datetime) -> dict[str, Any]:
        document = notice.document
        fields = fields_of(document, self._link)
        annotations = {name: fields[field] for name, field in _ANNOTATIONS.items()}
        link = link_of(document, self._link)
        opened_at = datetime.fromisoformat(document["opened_at"])
        return {
            "labels": labels,
            "annotations": {name: text for name, text in {**annotations, "link": link}.items() if text},
            "startsAt": min(opened_at, now - _ONE_SECOND).isoformat(),
            "endsAt": ends_at.isoformat(),
            **({"generatorURL": link} if link else {}),
        }


def incident_labels(document: dict[str, Any], severity: str) -> Labels:
    """The labels of an incident: what Alertmanager's routes can tell apart."""
    return {
        "alertname": ALERT_NAME,
        "incident": str(document["incident"]),
        "severity": severity,
        **{name: plain(document[name]) for name in ("kind", "name", "series", "signal")},
    }
