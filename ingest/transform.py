"""One foreign record to one message: the field map, then the cleaning. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from core.errors import UndecodableMessage
from core.records import Kind, Message
from ingest.cleaning import clean_message
from ingest.mapping import FieldMap
from ingest.times import parse_time
from ingest.written_times import TimeFormat


def transform(
    record: Mapping[str, Any],
    fields: FieldMap,
    *,
    source: str = "",
    kind: Kind = "news",
    received_at: datetime | None = None,
    times: Mapping[str, TimeFormat] = MappingProxyType({}),
) -> Message:
    """The message in `record`; `times` says how the times of `published_at` and `received_at` are written.

    Raises UndecodableMessage, which also names mapped columns that the record lacks.
    """
    raw = fields.apply(record)
    for name, style in times.items():
        if name in raw:
            raw[name] = parse_time(raw[name], style)
    try:
        return clean_message(raw, source=source, kind=kind, received_at=received_at)
    except UndecodableMessage as error:
        lacking = fields.missing(record)
        if not lacking:
            raise
        raise UndecodableMessage(f"{error}{lacking}") from error
