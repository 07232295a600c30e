"""The state of a running stack, read from its store for the terminal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from alerting.incidents.sentence import figures
from core.store.incidents import Incident, list_incidents
from core.store.ledger import PartitionProgress
from core.store.recount import totals
from core.store.trends import BusySeries, read_busiest, series_name
from newstide.stack.screen import AlertLine, SeriesTrend, Snapshot

_SHOWN = timedelta(days=2)
_SPANS = 48
_SERIES = 12
_ALERTS = 8
_RATE_OVER_S = 5.0
_PAUSE = 20  # seconds between two readings for each second that one takes


class Snapshots:
    """Takes snapshots of one store; remembers the last ones for the rate.

    Totals and series take longer the more is stored: they are read again only so often that it takes a small share of
    the time.
    """

    def __init__(self) -> None:
        self._read: deque[tuple[float, int]] = deque()
        self._totals: dict[str, int] = {}
        self._busiest: list[BusySeries] = []
        self._due = 0.0

    def take(self, engine: Engine, ledger: Sequence[PartitionProgress]) -> Snapshot:
        """The store as it is now, without the processes. Event time is that of the partition furthest behind."""
        times = [row.max_event_time for row in ledger if row.max_event_time is not None]
        watermark = min(times, default=None)
        self._read_again(engine, watermark)
        incidents = list_incidents(engine, limit=_ALERTS)
        surging = {alert.series for incident in incidents for alert in incident.alerts if alert.state == "open"}
        return Snapshot(
            watermark=watermark,
            messages=self._totals["messages"],
            stories=self._totals["stories"],
            dead_letters=self._totals["dead_letters"],
            messages_per_second=self._rate(sum(row.next_offset or 0 for row in ledger)),
            lag=sum(max((row.end_offset or 0) - (row.next_offset or 0), 0) for row in ledger),
            series=_series(self._busiest, surging),
            alerts=[_line(incident) for incident in incidents],
        )

    def _read_again(self, engine: Engine, watermark: datetime | None) -> None:
        began = time.monotonic()
        if began < self._due:
            return
        self._totals = totals(engine)
        if watermark is not None:
            self._busiest = read_busiest(engine, watermark - _SHOWN, watermark, _SPANS, _SERIES)
        self._due = began + _PAUSE * (time.monotonic() - began)

    def _rate(self, read: int) -> float:
        now = time.monotonic()
        self._read.append((now, read))
        while now - self._read[0][0] > _RATE_OVER_S:
            self._read.popleft()
        seconds = now - self._read[0][0]
        return max(read - self._read[0][1], 0) / seconds if seconds else 0.0


def _series(rows: Sequence[BusySeries], surging: set[str]) -> list[SeriesTrend]:
    return [
        SeriesTrend(
            name=series_name(row.kind, row.name),
            negative_stories=row.negative_stories,
            negative=row.negative,
            neutral=row.neutral,
            positive=row.positive,
            surging=series_name(row.kind, row.name) in surging,
        )
        for row in rows
    ]


def _line(incident: Incident) -> AlertLine:
    stories: list[dict[str, Any]] = incident.evidence.get("stories", [])
    others = len({alert.series for alert in incident.alerts} - {incident.row.series})
    return AlertLine(
        key=str(incident.row.id),
        series=f"{incident.row.series} +{others}" if others else incident.row.series,
        opened_at=incident.row.opened_at,
        figures=figures(incident.row, incident.evidence),
        headlines=[story["headline"] for story in stories],
        is_open=incident.row.state == "open",
    )
