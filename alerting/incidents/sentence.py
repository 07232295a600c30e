"""An alert in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from core.store.incidents import Incident

_STORIES = {"negative": "negative stories", "share": "negative stories", "positive": "positive stories"}


class Told(Protocol):
    """What a sentence is made of: an alert or an incident."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def signal(self) -> str: ...
    @property
    def opened_at(self) -> datetime: ...
    @property
    def window_minutes(self) -> int: ...
    @property
    def observed(self) -> float: ...
    @property
    def expected(self) -> float: ...


def sentence(alert: Told, evidence: Mapping[str, Any]) -> str:
    """As in "Banking: 41 negative stories in 60 min, 6 expected, since 14:05", the time in UTC."""
    name = "All news" if alert.kind == "all" else alert.name
    return f"{name}: {figures(alert, evidence)}, since {alert.opened_at:%H:%M}"


def figures(alert: Told, evidence: Mapping[str, Any]) -> str:
    """As in "41 negative stories in 60 min, 6 expected"; a share with all stories of the window, where the `evidence`
    has counted them."""
    if alert.kind == "outage":
        return f"no message in {_span(alert.window_minutes)}, {_number(alert.expected)} expected"
    total = evidence.get("counts", {}).get("stories", 0)
    counted = f"{alert.observed:.0f} {_STORIES.get(alert.signal, 'stories')}"
    if alert.signal == "share" and total:
        counted = f"{alert.observed:.0f} of {total} stories negative"
    return f"{counted} in {_span(alert.window_minutes)}, {_number(alert.expected)} expected"


def _span(minutes: int) -> str:
    return f"{minutes // 60} h" if minutes > 90 and minutes % 60 == 0 else f"{minutes} min"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")


def incident_sentence(incident: Incident) -> str:
    """That of the alert it is named after, which may have opened later than the first."""
    return sentence(incident.alerts[0] if incident.alerts else incident.row, incident.evidence)
