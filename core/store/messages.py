"""Stored messages as the records they came from."""

from __future__ import annotations

from typing import Any

from core.records import Message


def message_of(row: Any) -> Message:
    """The message in a row of the columns id, source, kind, published_at, received_at, title and text."""
    return Message(
        id=row.id,
        source=row.source,
        kind=row.kind,
        published_at=row.published_at,
        received_at=row.received_at,
        title=row.title,
        text=row.text,
    )
