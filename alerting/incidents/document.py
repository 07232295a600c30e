"""An incident as receivers get it, in JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from alerting.incidents.sentence import incident_sentence, sentence
from core.store.incidents import Change, Incident

VERSION = 2


def incident_document(incident: Incident) -> dict[str, Any]:
    """An incident as `newstide alerts incidents --json` lists it: times are ISO 8601 in UTC, and None where there is
    none. `alerts` are its alerts, the one it is named after first; `evidence` is that one's."""
    row, evidence = incident.row, incident.evidence
    return {
        "version": VERSION,
        "incident": str(row.id),
        "state": row.state,
        "series": row.series,
        "kind": row.kind,
        "name": row.name,
        "signal": row.signal,
        "sentence": incident_sentence(incident),
        "opened_at": row.opened_at.isoformat(),
        "peak_at": row.peak_at.isoformat(),
        "last_at": row.last_at.isoformat(),
        "closed_at": _time(row.closed_at),
        "observed": row.observed,
        "expected": row.expected,
        "window_minutes": row.window_minutes,
        "score": row.score,
        "reach": evidence.get("counts", {}).get("reach", 0),
        "verdict": incident.verdict,
        "alerts": [
            {
                "id": str(alert.id),
                "series": alert.series,
                "signal": alert.signal,
                "state": alert.state,
                "sentence": sentence(alert, alert.evidence),
                "opened_at": alert.opened_at.isoformat(),
                "peak_at": alert.peak_at.isoformat(),
                "last_at": alert.last_at.isoformat(),
                "closed_at": _time(alert.closed_at),
                "observed": alert.observed,
                "expected": alert.expected,
                "window_minutes": alert.window_minutes,
                "score": alert.score,
            }
            for alert in incident.alerts
        ],
        "evidence": evidence,
    }


def change_document(incident: Incident, change: Change, dedupe: str) -> dict[str, Any]:
    """The incident's document as a receiver gets it: drop what you have seen the `dedupe` of."""
    return {"dedupe": dedupe, "change": change, **incident_document(incident)}


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
