"""Who did what on the desk: an append-only log, written in the transaction of the deed where there is one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from core.store.sql import records
from desk.security.sql import QUERIES


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """`account` did `action` to `subject`."""

    id: int
    at: datetime
    account: str
    action: str
    subject: str
    detail: dict[str, Any]


def note(
    connection: Connection, account: str, action: str, subject: str = "", detail: Mapping[str, Any] | None = None
) -> None:
    """Write an event; `detail` is JSON-able and holds no secret."""
    values = {"account": account, "action": action, "subject": subject, "detail": json.dumps(dict(detail or {}))}
    connection.execute(QUERIES["note"], values)


def read_events(
    engine: Engine, *, before: int | None = None, account: str | None = None, action: str | None = None, limit: int = 50
) -> list[AuditEvent]:
    """Events, the newest first, with ids below `before`."""
    with engine.connect() as connection:
        values = {"before": before, "account": account, "action": action, "limit": limit}
        return records(AuditEvent, connection.execute(QUERIES["audit_events"], values))
