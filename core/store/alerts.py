"""Reading alerts, for whoever shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, text

from core.errors import InputError
from core.store.trends import parse_series, series_name

_QUERY = """
SELECT id::text, kind, name, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed, expected, score,
       evidence
FROM alert
WHERE (CAST(:since AS timestamptz) IS NULL OR last_at >= :since)
  AND (CAST(:state AS text) IS NULL OR state = :state)
  AND (CAST(:kind AS text) IS NULL OR (kind = :kind AND name = :name))
ORDER BY opened_at DESC, kind, name
LIMIT :limit
"""


@dataclass(frozen=True)
class AlertRow:
    """One surge of bad news. Times are event times; `observed` and `expected` count negative stories in the
    `window_minutes` before `peak_at`; `score` is -log10 of the recalibrated tail probability; `evidence` holds the
    `stories` that drove it and their `words`."""

    id: str
    kind: str
    name: str
    state: str
    opened_at: datetime
    last_at: datetime
    closed_at: datetime | None
    peak_at: datetime
    window_minutes: int
    observed: float
    expected: float
    score: float
    evidence: dict[str, Any]

    @property
    def series(self) -> str:
        return series_name(self.kind, self.name)

    def to_json(self) -> dict[str, Any]:
        """As it stands in `newstide alerts list --json`: times as ISO 8601 in UTC."""
        row = {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()
        }
        return {"series": self.series, **row}


def list_alerts(
    engine: Engine,
    *,
    since: datetime | None = None,
    state: str | None = None,
    series: str | None = None,
    limit: int = 100,
) -> list[AlertRow]:
    """Alerts that were not yet quiet at `since`, the newest first; `series` is `all`, `topic=NAME` or `entity=NAME`.

    Raises InputError for another state than open or closed, or a series of another form.
    """
    if state not in (None, "open", "closed"):
        raise InputError(f"state {state!r} does not exist; alerts are `open` or `closed`")
    kind, name = parse_series(series) if series else (None, None)
    parameters = {"since": since, "state": state, "kind": kind, "name": name, "limit": limit}
    with engine.connect() as connection:
        connection.execute(text("SET TIME ZONE 'UTC'"))
        rows: Sequence[Any] = connection.execute(text(_QUERY), parameters).all()
    return [AlertRow(*row) for row in rows]
