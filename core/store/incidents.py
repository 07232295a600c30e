"""Reading incidents, and what analysts say of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import Engine, text

from core.errors import InputError
from core.store.alerts import AlertRow, SurgeRow, chosen
from core.store.sql import load_queries, records

_SQL = load_queries(Path(__file__).with_suffix(".sql"))

Change = Literal["opened", "updated", "resolved", "withdrawn"]
"""What is reported of an incident."""

Verdict = Literal["useful", "false"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

_LEAST_PREFIX = 4  # hex digits of an id by which a person may name it


@dataclass(frozen=True)
class IncidentRow(SurgeRow):
    """Alerts that share their stories, as one event that is reported once.

    It bears the series, signal and figures of its `leader`, the alert it is named after. `opened_at` is when the first
    of its alerts opened, `last_at` when one was last elevated, `closed_at` when the last one ended.
    """

    leader: UUID


@dataclass(frozen=True)
class Incident:
    """An incident with its alerts, the leader first, and the latest verdict on it."""

    row: IncidentRow
    alerts: list[AlertRow]
    verdict: Verdict | None = None

    @property
    def evidence(self) -> dict[str, Any]:
        """That of the alert it is named after."""
        return self.alerts[0].evidence if self.alerts else {}


@dataclass(frozen=True)
class Feedback:
    """What an analyst said of an incident."""

    verdict: Verdict
    analyst: str
    note: str
    at: datetime


@dataclass(frozen=True)
class FalseAlarms:
    """Incidents that opened in the last `weeks` of judged time: all of them, and those marked with each verdict."""

    weeks: float
    incidents: int
    useful: int
    false: int

    @property
    def per_week(self) -> float:
        """Pages a week, false or not."""
        return self.incidents / self.weeks

    @property
    def false_share(self) -> float | None:
        """Marked false of marked; None while none is marked."""
        marked = self.useful + self.false
        return self.false / marked if marked else None


def list_incidents(
    engine: Engine,
    *,
    since: datetime | None = None,
    state: str | None = None,
    series: str | None = None,
    limit: int = 100,
) -> list[Incident]:
    """Incidents that were not yet quiet at `since`, the newest first; `series` is one that any of their alerts is on.

    Those that were withdrawn come only where that `state` is asked for. Raises InputError for a state that does not
    exist, or a series of another form.
    """
    which = chosen("incidents", since, state, series, limit)
    with engine.connect() as connection:
        rows = records(IncidentRow, connection.execute(text(_SQL["incidents"]), which))
    return _with_alerts(engine, rows)


def find_incident(engine: Engine, name: str) -> Incident:
    """The incident of that id, of an alert's id, or of the beginning of either.

    Raises InputError if there is none, or more than one.
    """
    digits = name.strip().lower().replace("-", "")
    if len(digits) < _LEAST_PREFIX or len(digits) > 32 or set(digits) - set("0123456789abcdef"):
        raise InputError(f"{name!r} is no id; `newstide alerts list` shows those of incidents")
    bounds = {"low": UUID(digits.ljust(32, "0")), "high": UUID(digits.ljust(32, "f"))}
    with engine.connect() as connection:
        rows = records(IncidentRow, connection.execute(text(_SQL["named"]), bounds))
    if len(rows) != 1:
        fault = "there is no incident" if not rows else "more than one incident is there"
        raise InputError(f"{fault} whose id, or that of one of its alerts, begins with {name!r}")
    return _with_alerts(engine, rows)[0]


def add_feedback(engine: Engine, incident: UUID, verdict: Verdict, analyst: str, note: str = "") -> None:
    """Store what `analyst` says of an incident; the latest verdict counts, and the earlier ones stay."""
    values = {"incident": incident, "verdict": verdict, "analyst": analyst, "note": note}
    with engine.begin() as connection:
        connection.execute(text(_SQL["add_feedback"]), values)


def read_feedback(engine: Engine, incident: UUID) -> list[Feedback]:
    """All that was said of an incident, the latest first."""
    with engine.connect() as connection:
        return records(Feedback, connection.execute(text(_SQL["feedback"]), {"incident": incident}))


def measure_false_alarms(engine: Engine, weeks: int = 4) -> FalseAlarms:
    """Pages and false pages of the last `weeks` of judged event time; fewer weeks where alerting began later."""
    with engine.connect() as connection:
        return records(FalseAlarms, connection.execute(text(_SQL["false_alarms"]), {"weeks": weeks}))[0]


def _with_alerts(engine: Engine, rows: Iterable[IncidentRow]) -> list[Incident]:
    found = list(rows)
    ids = {"incidents": [row.id for row in found]}
    with engine.connect() as connection:
        alerts = records(AlertRow, connection.execute(text(_SQL["alerts_of"]), ids))
        verdicts = {row.incident: row.verdict for row in connection.execute(text(_SQL["verdicts"]), ids)}
    members: dict[UUID | None, list[AlertRow]] = defaultdict(list)
    for alert in alerts:
        members[alert.incident].append(alert)
    return [
        Incident(row, sorted(members[row.id], key=lambda alert: alert.id != row.leader), verdicts.get(row.id))
        for row in found
    ]
