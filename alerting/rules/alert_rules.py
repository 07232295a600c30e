"""Rules and receivers as they are in force: who is notified of what, how urgently and when. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

from alerting.detection.detector import OUTAGE, Signal
from alerting.rules.policy import Policy, Watch
from alerting.rules.schedule import Hold, Schedule
from alerting.rules.secret import Secret

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From the least on."""
URGENT: Severity = "critical"
"""What is as severe waits for nothing."""
ReceiverType = Literal["alertmanager", "apprise", "webhook"]
RECEIVER_TYPES: tuple[ReceiverType, ...] = get_args(ReceiverType)

_BUILT_IN = ""  # no rule of a file has this name

DEFAULT_TITLE = "[$severity] $name: $change"
DEFAULT_BODY = "$sentence\n$stories\n$link"


@dataclass(frozen=True)
class Receiver:
    """Somebody to tell. `title` and `body` are templates (see alerting/delivery/message.py).

    `resend_s`: open incidents are sent to an Alertmanager again this often. `headers` go with each request.
    """

    name: str
    type: ReceiverType
    url: Secret
    min_severity: Severity = "info"
    timeout_s: float = 10.0
    title: str = DEFAULT_TITLE
    body: str = DEFAULT_BODY
    resend_s: float = 60.0
    headers: Mapping[str, Secret] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """`continues`: later rules are looked at too, where this one matches."""

    name: str
    watch: Watch
    severity: Severity = "warning"
    receivers: tuple[str, ...] = ()
    schedule: Schedule = field(default_factory=Schedule)
    continues: bool = False


@dataclass(frozen=True)
class Route:
    """How one receiver is notified: `rules` names the rules that ask for it, whose most severe gives `severity`."""

    severity: Severity
    rules: tuple[str, ...]


@dataclass(frozen=True)
class AlertRules:
    """All of it. `link` is a template of the page about an incident. `warnings`: what may be meant otherwise."""

    policy: Policy = field(default_factory=Policy.default)
    rules: tuple[Rule, ...] = ()
    receivers: tuple[Receiver, ...] = ()
    link: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def outages(self) -> Rule:
        """The rule behind all others: an outage that none of them names is told to every receiver, whatever is too
        little for it otherwise."""
        return Rule(_BUILT_IN, Watch((str(OUTAGE),)), receivers=tuple(receiver.name for receiver in self.receivers))

    def matching(self, series: str, signal: Signal) -> list[Rule]:
        """The first rule for a signal of a series; those after it too, as long as each goes on."""
        found = []
        for rule in self.rules:
            if rule.watch.takes(series, signal):
                found.append(rule)
                if not rule.continues:
                    break
        if not found and self.outages.watch.takes(series, signal):
            found.append(self.outages)
        return found

    def severity(self, surges: Iterable[tuple[str, Signal]]) -> Severity:
        """How severe an incident of these surges is: as the most severe rule that matches one of them says."""
        matching = (rule.severity for surge in surges for rule in self.matching(*surge))
        return most_severe(matching, default="warning")

    def routes(self, surges: Iterable[tuple[str, Signal]]) -> dict[str, Route]:
        """Who is notified of an incident of these surges, by the receiver's name."""
        asking: dict[str, dict[str, Severity]] = {}
        for surge in surges:
            for rule in self.matching(*surge):
                for receiver in rule.receivers:
                    asking.setdefault(receiver, {})[rule.name] = rule.severity
        least = {receiver.name: receiver.min_severity for receiver in self.receivers}
        return {
            receiver: Route(severity, tuple(rules))
            for receiver, rules in asking.items()
            if at_least(severity := most_severe(rules.values()), least[receiver]) or _BUILT_IN in rules
        }

    def hold(self, rules: Iterable[str], severity: str, now: datetime) -> tuple[Hold, datetime] | None:
        """Why and until when a message waits that these rules ask for: only if all of them let it wait."""
        known = {rule.name: rule.schedule for rule in self.rules}
        holds = [known[name].hold(now, severity == URGENT) for name in rules if name in known]
        waits = [hold for hold in holds if hold is not None]
        return min(waits, key=lambda hold: hold[1]) if waits and len(waits) == len(holds) else None


def most_severe(severities: Iterable[Severity], default: Severity = "info") -> Severity:
    """The most severe of them."""
    return max(severities, key=SEVERITIES.index, default=default)


def at_least(severity: Severity, least: Severity) -> bool:
    """Whether `severity` is no less severe than `least`."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)
