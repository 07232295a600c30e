"""Incidents with what people did about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from core.store.alerts import SurgeRow
from core.store.sql import records
from desk.store.sql import queries_beside

_QUERIES = queries_beside(__file__)
_MOST_ALERTS = 500  # of one series in one span

IncidentKey = tuple[datetime, UUID]


@dataclass(frozen=True)
class HandledIncident(SurgeRow):
    """An incident with the figures of its leading alert, the latest verdict, and how it is handled.

    `observed` and `expected` count stories in the `window_minutes` before `peak_at`; `score` is -log10 of the
    recalibrated tail probability. `snoozed_until` and `handled_at` are times of the clock, the others event times.
    `headline`: of the first of the stories behind it; None where the evidence names none.
    """

    alerts: int
    verdict: str | None
    acknowledged: bool
    snoozed_until: datetime | None
    handled_by: str | None
    handled_at: datetime | None
    headline: str | None


@dataclass(frozen=True)
class IncidentAlert(SurgeRow):
    """An alert of an incident, with what drove it."""

    evidence: dict[str, Any]


@dataclass(frozen=True)
class SeriesAlert:
    """An alert on one series, for a chart."""

    id: UUID
    incident: UUID | None
    signal: str
    state: str
    opened_at: datetime
    closed_at: datetime | None
    peak_at: datetime
    observed: float
    expected: float
    score: float


@dataclass(frozen=True)
class IncidentChange:
    """What people were told of an incident: at which event time, and when."""

    change: str
    times: int
    at: datetime
    recorded_at: datetime


@dataclass(frozen=True)
class Mark:
    """What an analyst said of an incident."""

    verdict: str
    analyst: str
    note: str
    at: datetime


@dataclass(frozen=True)
class Handling:
    """What somebody did about an incident: as it stands from then on."""

    account: str
    acknowledged: bool
    snoozed_until: datetime | None
    at: datetime


@dataclass(frozen=True)
class Swap:
    """A model that went live."""

    model: str
    at: datetime
    actor: str
    reason: str


def list_incidents(
    connection: Connection, state: str | None, since: datetime | None, before: IncidentKey | None, limit: int
) -> list[HandledIncident]:
    """The last that opened first; those that were withdrawn only where that `state` is asked for."""
    values = {
        "state": state,
        "since": since,
        "before": before and before[0],
        "before_id": before and before[1],
        "limit": limit,
    }
    return records(HandledIncident, connection.execute(_QUERIES["incidents"], values))


def find_incident(connection: Connection, incident: UUID) -> HandledIncident | None:
    found = records(HandledIncident, connection.execute(_QUERIES["incident"], {"incident": incident}))
    return found[0] if found else None


def alerts_of(connection: Connection, incident: UUID) -> list[IncidentAlert]:
    """Its alerts, the leading one first."""
    return records(IncidentAlert, connection.execute(_QUERIES["alerts"], {"incident": incident}))


def history_of(connection: Connection, incident: UUID) -> list[IncidentChange]:
    return records(IncidentChange, connection.execute(_QUERIES["history"], {"incident": incident}))


def marks_of(connection: Connection, incident: UUID) -> list[Mark]:
    """The last hundred, the latest first."""
    return records(Mark, connection.execute(_QUERIES["feedback"], {"incident": incident}))


def handling_of(connection: Connection, incident: UUID) -> list[Handling]:
    """The last hundred, the latest first."""
    return records(Handling, connection.execute(_QUERIES["handling"], {"incident": incident}))


def handle(
    connection: Connection,
    incident: UUID,
    account: str,
    *,
    acknowledged: bool | None = None,
    snoozed_until: datetime | None = None,
) -> bool:
    """Store what `account` did; what is None stays as it was. False if there is no such incident."""
    values = {
        "incident": incident,
        "account": account,
        "acknowledged": acknowledged,
        "snoozed_until": snoozed_until,
    }
    return connection.execute(_QUERIES["handle"], values).first() is not None


def mark(connection: Connection, incident: UUID, analyst: str, verdict: str, note: str) -> bool:
    """Store a verdict; the latest counts. False if there is no such incident."""
    values = {"incident": incident, "analyst": analyst, "verdict": verdict, "note": note}
    return connection.execute(_QUERIES["mark"], values).first() is not None


def alerts_within(connection: Connection, kind: str, name: str, since: datetime, until: datetime) -> list[SeriesAlert]:
    """Alerts on a series that were open in the span, by when they opened."""
    values = {"kind": kind, "name": name, "since": since, "until": until, "limit": _MOST_ALERTS}
    return records(SeriesAlert, connection.execute(_QUERIES["alerts_within"], values))


def count_pages(connection: Connection, since: datetime, until: datetime) -> int:
    """Incidents that opened in the span and were not withdrawn; outages of the feeds are no pages."""
    return int(connection.execute(_QUERIES["pages"], {"since": since, "until": until}).one().incidents)


def swaps_within(connection: Connection, since: datetime, until: datetime) -> list[Swap]:
    """Models that went live in the span."""
    return records(Swap, connection.execute(_QUERIES["swaps"], {"since": since, "until": until}))
