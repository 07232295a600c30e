"""What alerting keeps in Postgres: the detector's state, the alerts and the outbox, all in the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import psycopg
from psycopg.types.json import Jsonb

from alerting.detector import Change, Counts, Detector, Series, Surge
from alerting.evidence import gather_evidence
from alerting.sql import QUERIES

PAYLOAD_VERSION = 1

_NAMESPACE = UUID("8a1c5a3e-7f0b-4c53-9f6e-5d2f0e6b3c17")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Progress:
    """Event time from which and up to which trends were judged, and whether all replays were read and judged."""

    since: datetime
    judged_until: datetime
    drained: bool


def alert_id(series: Series, opened_at: datetime) -> UUID:
    """The identity of an alert: judging the same trends again names the same alerts."""
    return uuid5(_NAMESPACE, f"{series.kind}\x00{series.name}\x00{opened_at.isoformat()}")


class Journal:
    """Reads and writes for a detector with steps of `step_minutes`; state changes go out through `channels`."""

    def __init__(self, step_minutes: int, channels: list[str]) -> None:
        self.step = timedelta(minutes=step_minutes)
        self.channels = channels

    def step_of(self, moment: datetime) -> int:
        """The step that holds `moment`."""
        return (moment - _EPOCH) // self.step

    def time_of(self, step: int) -> datetime:
        """When `step` begins."""
        return _EPOCH + step * self.step

    def read_progress(self, connection: Connection) -> Progress | None:
        row = connection.execute(QUERIES["progress"]).fetchone()
        return Progress(*row) if row else None

    def read_state(self, connection: Connection) -> dict[str, bytes]:
        return {part: bytes(body) for part, body in connection.execute(QUERIES["state"])}

    def first_minute(self, connection: Connection) -> datetime | None:
        """The earliest minute of any trend."""
        row = connection.execute(QUERIES["first_minute"]).fetchone()
        return row[0] if row else None

    def read_counts(self, connection: Connection, start: int, end: int) -> Counts:
        """The trends in steps `start` to `end` (excluded)."""
        steps = end - start
        counts = Counts(start, np.zeros(steps), {}, {})
        rows = connection.execute(
            QUERIES["counts"],
            {"step_s": self.step.total_seconds(), "start": self.time_of(start), "end": self.time_of(end)},
        )
        for kind, name, step, messages, negative in rows:
            series = Series(kind, name)
            if series not in counts.messages:
                counts.messages[series], counts.negative[series] = np.zeros(steps), np.zeros(steps)
            counts.messages[series][step - start] = messages
            counts.negative[series][step - start] = negative
            if kind == "all":
                counts.volume[step - start] = messages
        return counts

    def save(self, connection: Connection, parts: dict[str, bytes], progress: Progress) -> None:
        """Store the parts of the detector's state that changed, and how far it has judged."""
        for part, body in parts.items():
            connection.execute(QUERIES["save_state"], {"part": part, "body": body})
        connection.execute(
            QUERIES["save_progress"],
            {"since": progress.since, "until": progress.judged_until, "drained": progress.drained},
        )

    def record(self, connection: Connection, changes: list[Change]) -> int:
        """Write `changes` to the alerts, their history and the outbox; returns how many alerts opened.

        Of several peaks of one surge only the last is written.
        """
        latest = {(change.series, change.surge.start): change.step for change in changes if change.kind == "peaked"}
        opened = 0
        for change in changes:
            if change.kind == "opened":
                opened += self._open(connection, change)
            elif change.kind == "closed":
                self._close(connection, change)
            elif latest[change.series, change.surge.start] == change.step:
                evidence = Jsonb(self._evidence(connection, change.series, change.surge))
                connection.execute(
                    QUERIES["update_alert"], {**self._row(change.series, change.surge), "evidence": evidence}
                )
        return opened

    def refresh(self, connection: Connection, detector: Detector) -> None:
        """Bring `last_at` of the open alerts up to date, and close those that the detector no longer knows of."""
        surges = detector.open_surges()
        for row in connection.execute(QUERIES["open_alerts"]).fetchall():
            series = Series(row[1], row[2])
            surge = surges.get(series)
            if surge is not None and self._row(series, surge)["id"] == row[0]:
                if self._row(series, surge)["last_at"] != row[4]:
                    connection.execute(QUERIES["update_alert"], {**self._row(series, surge), "evidence": None})
                continue
            start, last, peak = (self.step_of(moment - self.step) for moment in row[3:6])
            lost = Surge(start, last, peak, int(timedelta(minutes=row[6]) / self.step), *row[7:10])
            self._close(connection, Change(detector.position - 1, series, "closed", lost))

    def _open(self, connection: Connection, change: Change) -> int:
        evidence = self._evidence(connection, change.series, change.surge)
        row = self._row(change.series, change.surge)
        if connection.execute(QUERIES["open_alert"], {**row, "evidence": Jsonb(evidence)}).fetchone() is None:
            return 0
        self._tell(connection, row, evidence, "open", row["opened_at"])
        return 1

    def _close(self, connection: Connection, change: Change) -> None:
        evidence = self._evidence(connection, change.series, change.surge)
        row = {**self._row(change.series, change.surge), "closed_at": self.time_of(change.step + 1)}
        if connection.execute(QUERIES["close_alert"], {**row, "evidence": Jsonb(evidence)}).fetchone() is not None:
            self._tell(connection, row, evidence, "closed", row["closed_at"])

    def _tell(
        self, connection: Connection, row: dict[str, Any], evidence: dict[str, Any], state: str, at: datetime
    ) -> None:
        connection.execute(QUERIES["add_history"], {**row, "state": state, "at": at})
        series = Series(row["kind"], row["name"])
        dedupe = f"{row['id']}:{state}"
        payload = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
        payload |= {
            "version": PAYLOAD_VERSION,
            "dedupe": dedupe,
            "id": str(row["id"]),
            "series": str(series),
            "state": state,
            "closed_at": payload.get("closed_at"),
            "evidence": evidence,
        }
        for channel in self.channels:
            connection.execute(
                QUERIES["enqueue"],
                {
                    "channel": channel,
                    "dedupe": dedupe,
                    "alert": row["id"],
                    "key": str(series),
                    "payload": Jsonb(payload),
                },
            )

    def _evidence(self, connection: Connection, series: Series, surge: Surge) -> dict[str, Any]:
        end = surge.peak + 1
        return gather_evidence(connection, series, self.time_of(end - surge.window), self.time_of(end))

    def _row(self, series: Series, surge: Surge) -> dict[str, Any]:
        """Columns of the alert. A step is known when it is over, so its end is the time of what it showed."""
        opened_at = self.time_of(surge.start + 1)
        return {
            "id": alert_id(series, opened_at),
            "kind": series.kind,
            "name": series.name,
            "opened_at": opened_at,
            "last_at": self.time_of(surge.last + 1),
            "peak_at": self.time_of(surge.peak + 1),
            "window_minutes": int(surge.window * self.step / timedelta(minutes=1)),
            "observed": surge.observed,
            "expected": surge.expected,
            "score": surge.score,
        }
