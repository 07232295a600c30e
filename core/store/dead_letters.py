"""The archive of dead letters, as the operator's commands read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, text


@dataclass(frozen=True, slots=True)
class ArchivedLetter:
    """A dead letter in the store. `replayed_at` is None until an operator sent it again."""

    origin: str
    stage: str
    topic: str
    key: bytes | None
    value: bytes
    reason: str
    failed_at: datetime
    replayed_at: datetime | None


def list_dead_letters(
    engine: Engine, origins: Sequence[str] = (), include_replayed: bool = False, limit: int | None = None
) -> list[ArchivedLetter]:
    """Letters, the newest first: those named by `origins` if any are given, else all not yet replayed."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT origin, stage, topic, key, value, reason, failed_at, replayed_at FROM dead_letter "
                "WHERE (:every OR origin = ANY(CAST(:origins AS text[]))) AND (:replayed OR replayed_at IS NULL) "
                "ORDER BY failed_at DESC, origin LIMIT :limit"
            ),
            {
                "every": not origins,
                "origins": list(origins),
                "replayed": include_replayed or bool(origins),
                "limit": limit,
            },
        )
        return [ArchivedLetter(*row) for row in rows]


def mark_replayed(engine: Engine, origin: str) -> None:
    """Note that the letter was sent again."""
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE dead_letter SET replayed_at = now() WHERE origin = :origin"), {"origin": origin}
        )
