"""Changes of incidents enter the outbox here, in the transaction that makes them: a row for each receiver."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from alerting.delivery.alertmanager import incident_labels
from alerting.delivery.channel import Labels
from alerting.delivery.sql import QUERIES, fetch
from alerting.detection.detector import Signal
from alerting.judging.clock import utc_now
from alerting.rules.alert_rules import AlertRules, Route, Severity, most_severe


class Outbox:
    """`always` names the channels that get every change; `rules` say who else is. `clock`: aware UTC."""

    def __init__(
        self, always: Sequence[str], rules: AlertRules | None = None, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self.rules = rules or AlertRules()
        self._always = always
        self._clock = clock
        self._labelled = {each.name for each in self.rules.receivers if each.type == "alertmanager"}
        self._receivers = {each.name for each in self.rules.receivers}

    def enqueue(self, connection: psycopg.Connection[Any], document: Mapping[str, Any]) -> None:
        """Add a change of an incident, as alerting/incidents/document.py writes it; once for each `dedupe`.

        Whoever got an earlier change of the incident gets this one too, though no rule may ask for it any more, and
        an incident is as severe as it ever was.
        """
        surges = _surges(document)
        latest = {
            row.channel: row for row in fetch(connection, "latest_by_channel", {"incident": document["incident"]})
        }
        routes = self.rules.routes(surges)
        for channel, row in latest.items():
            if channel in self._receivers:
                route = routes.get(channel, Route(row.severity, tuple(row.rules)))
                routes[channel] = Route(most_severe([route.severity, row.severity]), route.rules)
        everything = Route(self.rules.severity(surges), ())
        for channel, route in [*((each, everything) for each in self._always), *routes.items()]:
            labels: list[Labels] = []
            if channel in self._labelled:
                labels = _labels(document, route.severity, latest[channel].labels if channel in latest else [])
            self._add(connection, channel, route, document, labels)

    def _add(
        self,
        connection: psycopg.Connection[Any],
        channel: str,
        route: Route,
        document: Mapping[str, Any],
        labels: list[Labels],
    ) -> None:
        now = self._clock()
        held, not_before = self.rules.hold(route.rules, route.severity, now) or (None, None)
        row = {
            "channel": channel,
            "dedupe": document["dedupe"],
            "incident": document["incident"],
            "key": document["series"],
            "payload": Jsonb({**document, "severity": route.severity}),
            "severity": route.severity,
            "rules": list(route.rules),
            "labels": Jsonb(labels),
            "held": held,
            "not_before": not_before,
            "now": now,
        }
        connection.execute(QUERIES["enqueue"], row)


def _surges(document: Mapping[str, Any]) -> list[tuple[str, Signal]]:
    """Series and signal of every alert of the incident, and of the incident itself."""
    alerts = [alert for alert in document["alerts"] if alert.get("state") != "withdrawn"]
    return list(dict.fromkeys((each["series"], each["signal"]) for each in [document, *alerts]))


def _labels(document: Mapping[str, Any], severity: Severity, known: list[Labels]) -> list[Labels]:
    """The sets of labels, the present one first. They stay, unless the incident has become more severe: that is news
    to whoever routes by severity, and ends what it was before."""
    if not known:
        return [incident_labels(dict(document), severity)]
    return known if known[0]["severity"] == severity else [{**known[0], "severity": severity}, *known]
