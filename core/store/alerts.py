"""Reading alerts, for whoever shows them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import Engine, text

from core.errors import InputError
from core.store.sql import load_queries, records
from core.store.trends import parse_series, series_name

_SQL = load_queries(Path(__file__).with_suffix(".sql"))

Signal = Literal["negative", "share", "positive", "volume"]
State = Literal["open", "closed", "withdrawn"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class SurgeRow:
    """What rows of alerts and of incidents have in common: a `signal` of a series that was out of the ordinary.

    Times are event times; `observed` and `expected` count the signal's stories in the `window_minutes` before
    `peak_at`; `score` is -log10 of the recalibrated tail probability.
    """

    id: UUID
    kind: str
    name: str
    signal: Signal
    state: State
    opened_at: datetime
    last_at: datetime
    closed_at: datetime | None
    peak_at: datetime
    window_minutes: int
    observed: float
    expected: float
    score: float

    @property
    def series(self) -> str:
        return series_name(self.kind, self.name)


@dataclass(frozen=True)
class AlertRow(SurgeRow):
    """An alert; `evidence` is what `gather_evidence` found, `incident` the one that it is reported as a part of."""

    evidence: dict[str, Any]
    incident: UUID | None = None

    def to_json(self) -> dict[str, Any]:
        """As it stands in `newstide alerts list --json`: times as ISO 8601 in UTC."""
        return {"series": self.series, **{name: _plain(value) for name, value in asdict(self).items()}}


def list_alerts(
    engine: Engine,
    *,
    since: datetime | None = None,
    state: str | None = None,
    series: str | None = None,
    limit: int = 100,
) -> list[AlertRow]:
    """Alerts that were not yet quiet at `since`, the newest first; `series` is `all`, `topic=NAME` or `entity=NAME`.

    Those that were withdrawn come only where that `state` is asked for. Raises InputError for a state that does not
    exist, or a series of another form.
    """
    with engine.connect() as connection:
        found = connection.execute(text(_SQL["alerts"]), chosen("alerts", since, state, series, limit))
        return records(AlertRow, found)


def chosen(
    what: str, since: datetime | None, state: str | None, series: str | None, limit: int
) -> dict[str, str | datetime | int | None]:
    """Parameters of a query for alerts or incidents, as `list_alerts` is asked. Raises InputError as it does."""
    if state not in (None, *STATES):
        raise InputError(f"state {state!r} does not exist; {what} are `open`, `closed` or `withdrawn`")
    kind, name = parse_series(series) if series else (None, None)
    return {"since": since, "state": state, "kind": kind, "name": name, "limit": limit}


def count_alerts(engine: Engine) -> int:
    """Number of alerts that were not withdrawn."""
    with engine.connect() as connection:
        return int(connection.execute(text(_SQL["count"])).one().alerts)


def count_unjudged(engine: Engine) -> int:
    """Number of messages that are counted in the trends and came too late to be judged."""
    with engine.connect() as connection:
        return int(connection.execute(text(_SQL["unjudged"])).one().messages)


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else value
