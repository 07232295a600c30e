"""Brings the incidents, their history and the outbox in line with the alerts, in the caller's transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from alerting.delivery.outbox import Outbox
from alerting.detection.detector import Series
from alerting.incidents.document import change_document
from alerting.incidents.evidence import evidence_of
from alerting.incidents.grouping import Group, Opening, leader, place
from alerting.incidents.sql import QUERIES, fetch
from alerting.incidents.stored_stories import StoredStories
from core.store.alerts import AlertRow
from core.store.arrays import plain_array
from core.store.incidents import Change, Incident, IncidentRow
from core.store.model_rates import ModelRates

Connection = psycopg.Connection[Any]

_ALERT_FIELDS = [field.name for field in fields(AlertRow)]


@dataclass(frozen=True)
class _Member:
    """An alert of an incident as it stands, and as it was when it opened."""

    alert: AlertRow
    opening: Opening


class IncidentTable:
    """Changes of incidents go into `outbox`."""

    def __init__(self, outbox: Outbox, rates: ModelRates) -> None:
        self._outbox = outbox
        self._rates = rates

    def bring_in_line(
        self,
        connection: Connection,
        before: Mapping[UUID, AlertRow],
        openings: Mapping[UUID, AlertRow],
        grown: Set[UUID],
        start: datetime,
        end: datetime,
    ) -> None:
        """Make the incidents what the alerts say, which are those of judging from `start` to `end`.

        `before`: the alerts of that time as they were stored until now; `openings`: those that opened in it, with the
        figures that they opened with; `grown`: those that doubled in it.
        """
        if not before and not openings:
            return
        stories = StoredStories(connection)
        if openings:
            _place(connection, list(openings.values()), start, stories)
        touched = {row.incident for row in before.values() if row.incident is not None}
        touched |= {row.incident for row in fetch(connection, "incidents_of", {"alerts": plain_array(openings)})}
        incidents = {"incidents": plain_array(touched)}
        with connection.cursor(row_factory=class_row(IncidentRow)) as cursor:
            known = {row.id: row for row in cursor.execute(QUERIES["incidents"], incidents)}
        members: dict[UUID, list[_Member]] = defaultdict(list)
        for row in fetch(connection, "alerts_of_incidents", incidents):
            members[row.incident].append(_member(row))
        for each in sorted(touched):
            alive = [member for member in members[each] if member.alert.state != "withdrawn"]
            if not alive:
                self._withdraw(connection, known.get(each), members[each], end)
                continue
            chosen = leader(_group(each, alive), max(member.alert.last_at for member in alive), stories)
            incident = _incident(each, chosen.alert, [member.alert for member in alive])
            if known.get(each) != incident.row:
                connection.execute(QUERIES["save_incident"], vars(incident.row))
            new = {
                member.alert.id
                for member in alive
                if member.alert.id in openings and not _was_in(before.get(member.alert.id), each)
            }
            more = {alert for alert in grown if alert not in before or _has_risen(before[alert], alive)}
            self._tell(connection, known.get(each), incident, openings, new, more)

    def _withdraw(
        self, connection: Connection, known: IncidentRow | None, gone: Iterable[_Member], at: datetime
    ) -> None:
        if known is None or known.state == "withdrawn":
            return
        row = replace(known, state="withdrawn", closed_at=None)
        connection.execute(QUERIES["save_incident"], vars(row))
        alerts = sorted((member.alert for member in gone), key=lambda alert: alert.id != row.leader)
        self._report(connection, Incident(row, alerts), "withdrawn", at)

    def _tell(
        self,
        connection: Connection,
        known: IncidentRow | None,
        incident: Incident,
        openings: Mapping[UUID, AlertRow],
        new: Set[UUID],
        grown: Set[UUID],
    ) -> None:
        """Report what is new: `new` alerts joined it, `grown` ones doubled."""
        row = incident.row
        before = known.state if known is not None else "withdrawn"
        if before == "withdrawn" or (before == "closed" and row.state == "open"):
            first = self._first(connection, incident, openings) if before == "withdrawn" else incident
            self._report(connection, first, "opened", first.row.opened_at)
            new = new - {alert.id for alert in first.alerts}
        if row.state == "closed" and before != "closed":
            self._report(connection, incident, "resolved", row.closed_at or row.last_at)
        elif new or grown & {alert.id for alert in incident.alerts} or (known and known.series != row.series):
            self._report(connection, incident, "updated", row.last_at)

    def _first(self, connection: Connection, incident: Incident, openings: Mapping[UUID, AlertRow]) -> Incident:
        """The incident as it was when it opened: with the alerts of that step and their figures then."""
        now = {alert.id: alert for alert in incident.alerts if alert.opened_at == incident.row.opened_at}
        alerts = [replace(openings.get(each, alert), state="open", closed_at=None) for each, alert in now.items()]
        # of those that opened together the most specific leads, or the present leader if it is one of them
        shown = min(
            alerts, key=lambda each: (_opening(each).rank, each.id != incident.row.leader, _opening(each).order)
        )
        same = (shown.peak_at, shown.window_minutes) == (now[shown.id].peak_at, now[shown.id].window_minutes)
        evidence = now[shown.id].evidence if same else evidence_of(connection, shown, self._rates)
        alerts = [replace(alert, evidence=evidence) if alert.id == shown.id else alert for alert in alerts]
        return _incident(incident.row.id, shown.id, alerts)

    def _report(self, connection: Connection, incident: Incident, change: Change, at: datetime) -> None:
        """Note the change in the history and the outbox; its key is plain the first time that it happens."""
        row = incident.row
        (noted,) = fetch(connection, "add_incident_history", {"incident": row.id, "change": change, "at": at})
        dedupe = f"{row.id}:{change}" + (f":{noted.times}" if noted.times > 1 else "")
        self._outbox.enqueue(connection, change_document(incident, change, dedupe))


def _place(connection: Connection, openings: list[AlertRow], start: datetime, stories: StoredStories) -> None:
    """Write which incidents the alerts of `openings` belong to, by the stories that were known as each opened."""
    newcomers = [_opening(row) for row in openings]
    since = min(newcomer.begin for newcomer in newcomers)
    groups: dict[UUID, Group] = {}
    for row in fetch(connection, "members", {"start": start, "since": since}):
        groups.setdefault(row.incident, Group(row.incident)).members.append(_opening(row))
    for group in groups.values():
        group.members.sort(key=lambda member: member.order)
    placed = {
        member.alert: group.id for group in place(newcomers, groups.values(), stories) for member in group.members
    }
    for row in openings:
        connection.execute(QUERIES["place"], {**vars(row), "incident": placed[row.id]})


def _opening(row: Any) -> Opening:
    """Of a row whose figures are those that the alert opened with."""
    return Opening(
        row.id,
        Series(row.kind, row.name),
        row.signal,
        row.opened_at,
        timedelta(minutes=row.window_minutes),
        row.observed,
        row.expected,
        row.closed_at,
    )


def _member(row: Any) -> _Member:
    alert = AlertRow(**{name: getattr(row, name) for name in _ALERT_FIELDS})
    opened = replace(
        alert,
        window_minutes=row.opened_window_minutes,
        observed=row.opened_observed,
        expected=row.opened_expected,
    )
    return _Member(alert, _opening(opened))


def _group(incident: UUID, members: Iterable[_Member]) -> Group:
    return Group(incident, sorted((member.opening for member in members), key=lambda opening: opening.order))


def _incident(incident: UUID, leading: UUID, alerts: list[AlertRow]) -> Incident:
    """The incident of these alerts, named after the one of id `leading`."""
    ordered = sorted(alerts, key=lambda alert: (alert.id != leading, alert.opened_at, alert.series, alert.signal))
    ends = [alert.closed_at for alert in alerts if alert.closed_at is not None]
    over = all(alert.state == "closed" for alert in alerts)
    shown = ordered[0]
    row = IncidentRow(
        id=incident,
        leader=shown.id,
        kind=shown.kind,
        name=shown.name,
        signal=shown.signal,
        state="closed" if over else "open",
        opened_at=min(alert.opened_at for alert in alerts),
        last_at=max(alert.last_at for alert in alerts),
        closed_at=max(ends) if over else None,
        peak_at=shown.peak_at,
        window_minutes=shown.window_minutes,
        observed=shown.observed,
        expected=shown.expected,
        score=shown.score,
    )
    return Incident(row, ordered)


def _was_in(alert: AlertRow | None, incident: UUID) -> bool:
    return alert is not None and alert.incident == incident and alert.state != "withdrawn"


def _has_risen(before: AlertRow, members: Iterable[_Member]) -> bool:
    """Whether its peak is another one than was stored, so that judging again does not tell of it again."""
    return any(member.alert.id == before.id and member.alert.peak_at != before.peak_at for member in members)
