"""One foreign record to one message: the field map, then the cleaning. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core.errors import UndecodableMessage
from core.records import Kind, Message
from ingest.cleaning import clean_message
from ingest.mapping import FieldMap


def transform(
    record: Mapping[str, Any],
    fields: FieldMap,
    *,
    source: str = "",
    kind: Kind = "news",
    received_at: datetime | None = None,
) -> Message:
    """The message in `record`. Raises UndecodableMessage, which also names mapped columns that the record lacks."""
    try:
        return clean_message(fields.apply(record), source=source, kind=kind, received_at=received_at)
    except UndecodableMessage as error:
        lacking = fields.missing(record)
        if not lacking:
            raise
        raise UndecodableMessage(f"{error}{lacking}") from error
