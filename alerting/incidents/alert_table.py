"""Brings the alerts, their history and their incidents in line with what was found, in the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from alerting.delivery.outbox import Outbox
from alerting.incidents.alert_states import FoundSurge, alert_id, transitions
from alerting.incidents.evidence import evidence_of
from alerting.incidents.incident_table import IncidentTable
from alerting.incidents.sql import QUERIES
from alerting.steps import Steps
from core.store.alerts import AlertRow
from core.store.model_rates import ModelRates

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class StateChange:
    """An alert entered the state that `alert` has, `at` this event time."""

    alert: AlertRow
    at: datetime


class AlertTable:
    """Writes for steps of `steps`; changes of incidents go into `outbox`. Counts are corrected by `rates`."""

    def __init__(self, steps: Steps, outbox: Outbox, rates: ModelRates) -> None:
        self._steps = steps
        self._rates = rates
        self._incidents = IncidentTable(outbox, self._rates)

    def bring_in_line(
        self, connection: Connection, found: list[FoundSurge], start: int, end: int, changed_from: int
    ) -> list[StateChange]:
        """Make the alerts what `found` says of the steps `start` to `end` (excluded), and the incidents with them.

        Counts of the steps from `changed_from` on may be others than when they were judged before, and so may the
        evidence of an alert that peaked after them. An alert that opened in these steps and was not found is withdrawn.
        One that opened before and is not found, as after a change of settings, is closed. What was judged of the time
        after `end` stands until it is judged again.
        """
        span = {"start": self._steps.start(start), "end": self._steps.start(end)}
        with connection.cursor(row_factory=class_row(AlertRow)) as cursor:
            stored = {row.id: row for row in cursor.execute(QUERIES["alerts_in"], span)}
        expected = {self._id(each): each for each in found}
        changes: list[StateChange] = []
        for row in stored.values():
            if row.id not in expected:
                changes += self._end(connection, row, start, end)
        for alert, each in expected.items():
            changes += self._bring_up_to_date(connection, each, stored.get(alert), end, changed_from)
        openings = {
            alert: self._row(FoundSurge(each.series, each.opening, closed=each.closed), {})
            for alert, each in expected.items()
            if each.opening is not None
        }
        grown = {alert for alert, each in expected.items() if each.grown}
        self._incidents.bring_in_line(connection, stored, openings, grown, **span)
        return changes

    def _end(self, connection: Connection, row: AlertRow, start: int, end: int) -> list[StateChange]:
        """Take back, or end, an alert that was not found."""
        if row.opened_at > self._steps.start(start):
            if row.state == "withdrawn":
                return []
            gone = replace(row, state="withdrawn", closed_at=None)
            at = self._steps.start(end)
        elif row.state == "open":
            at = self._steps.start(start)
            gone = replace(row, state="closed", closed_at=at)
        else:
            return []
        self._save(connection, gone)
        return [self._report(connection, gone, at)]

    def _bring_up_to_date(
        self, connection: Connection, each: FoundSurge, known: AlertRow | None, end: int, changed_from: int
    ) -> list[StateChange]:
        if known is None and each.opening is None:
            return []  # it opened under other settings, and was not reported then
        if known is not None and each.closed is None and _reaches_beyond(known, self._steps.start(end)):
            return []
        row = self._row(
            each, known.evidence if known is not None else {}, known.incident if known is not None else None
        )
        as_before = known is not None and _peak(known) == _peak(row)
        if not as_before or each.surge.peak >= changed_from:
            row = replace(row, evidence=evidence_of(connection, row, self._rates))
        if known == row:
            return []
        self._save(connection, row)
        changes: list[StateChange] = []
        for state in transitions(known.state if known is not None else None, row.state):
            if state == "closed":
                changes.append(self._report(connection, row, row.closed_at or row.last_at))
                continue
            opened = self._row(FoundSurge(each.series, each.opening or each.surge), row.evidence)
            changes.append(self._report(connection, opened, opened.opened_at))
        return changes

    def _save(self, connection: Connection, row: AlertRow) -> None:
        connection.execute(QUERIES["save_alert"], {**vars(row), "evidence": Jsonb(row.evidence)})

    def _report(self, connection: Connection, row: AlertRow, at: datetime) -> StateChange:
        """Note the state of `row` in the history."""
        connection.execute(QUERIES["add_history"], {**vars(row), "at": at})
        return StateChange(row, at)

    def _id(self, each: FoundSurge) -> UUID:
        return alert_id(each.series, each.surge.signal, self._steps.start(each.surge.start + 1))

    def _row(self, each: FoundSurge, evidence: dict[str, Any], incident: UUID | None = None) -> AlertRow:
        """A step is known when it is over, so its end is the time of what it showed."""
        surge = each.surge
        return AlertRow(
            id=self._id(each),
            kind=each.series.kind,
            name=each.series.name,
            signal=surge.signal,
            state="open" if each.closed is None else "closed",
            opened_at=self._steps.start(surge.start + 1),
            last_at=self._steps.start(surge.last + 1),
            closed_at=None if each.closed is None else self._steps.start(each.closed + 1),
            peak_at=self._steps.start(surge.peak + 1),
            window_minutes=surge.window * (self._steps.length // timedelta(minutes=1)),
            observed=surge.observed,
            expected=surge.expected,
            score=surge.score,
            evidence=evidence,
            incident=incident,
        )


def _peak(row: AlertRow) -> tuple[object, ...]:
    """What evidence is of."""
    return row.state, row.peak_at, row.window_minutes, row.observed, row.expected


def _reaches_beyond(known: AlertRow, at: datetime) -> bool:
    """Whether an alert was judged further than `at`: then it stands until it is judged again so far."""
    return known.state != "withdrawn" and max(known.last_at, known.closed_at or known.last_at) > at
