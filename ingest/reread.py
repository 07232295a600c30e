"""Another try at what ingest could not read: the same reading, with the map, source and kind it came with. Pure.

The context of a letter (see `core.dead_letters`) holds texts under these names, all of them optional:

form       `record` (JSON, foreign columns), `csv` (a line of a file with the header `header`) or `fields` (JSON, the
           fields of a message, as those of a feed's entry); a letter without a form is tried as `fields`
map        the `--map` it was read with
source     source where the record gives none
kind       kind where the record gives none
header     the header line of a CSV file, `delimiter` beside it
encoding   of the bytes; UTF-8 where not given
day_first  `yes` or `no`, where the file tells the order of day and month, and `stated` (`yes`) where somebody said
           so; `zone` of times that name none, and `serials` (`yes`) where numbers may be days of a spreadsheet
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, cast

from core.csv_values import RecordFormat
from core.errors import InputError, UndecodableMessage
from core.json_objects import NotAnObject, read_object
from core.records import Kind, Message
from ingest.cleaning import clean_message
from ingest.mapping import FieldMap, parse_map
from ingest.record_values import read_record
from ingest.times import PLAIN
from ingest.transform import transform
from ingest.written_times import TimeFormat
from ingest.zones import time_zone

Form = Literal["record", "csv", "fields"]


def reading_context(
    form: Form,
    fields: FieldMap | None = None,
    *,
    source: str = "",
    kind: Kind = "news",
    header: str = "",
    delimiter: str = "",
    encoding: str = "",
    times: TimeFormat = PLAIN,
) -> dict[str, str]:
    """The context of a letter: what `reread` needs to know."""
    given = {
        "form": form,
        "map": str(fields) if fields is not None else "",
        "source": source,
        "kind": kind,
        "header": header,
        "delimiter": delimiter,
        "encoding": encoding,
        "day_first": {True: "yes", False: "no", None: ""}[times.day_first],
        "stated": "yes" if times.stated else "",
        "zone": "" if times.zone is UTC else str(times.zone),
        "serials": "yes" if times.serials else "",
    }
    return {name: text for name, text in given.items() if text}


def reread(value: bytes, context: Mapping[str, str], received_at: datetime) -> Message:
    """The message in `value`, read as `context` says. Raises UndecodableMessage with the reason."""
    source = context.get("source", "")
    kind = cast(Kind, context.get("kind", "news"))
    record = _record(value, context)
    if context.get("form", "fields") == "fields":
        return clean_message(record, source=source, kind=kind, received_at=received_at)
    try:
        fields = parse_map(context.get("map", ""))
        style = _time_format(context)
    except InputError as error:
        raise UndecodableMessage(f"the letter's context can't be read: {error}") from error
    times = {"published_at": style, "received_at": style}
    return transform(record, fields, source=source, kind=kind, received_at=received_at, times=times)


def _time_format(context: Mapping[str, str]) -> TimeFormat:
    return TimeFormat(
        day_first={"yes": True, "no": False}.get(context.get("day_first", "")),
        stated=context.get("stated") == "yes",
        zone=time_zone(context["zone"]) if "zone" in context else UTC,
        serials=context.get("serials") == "yes",
    )


def _record(value: bytes, context: Mapping[str, str]) -> Mapping[str, Any]:
    if "encoding" not in context and context.get("form") != "csv":
        return read_record(value)
    encoding = context.get("encoding", "utf-8")
    try:
        text = value.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise UndecodableMessage(f"not readable as {encoding}: {error}") from error
    if context.get("form") == "csv":
        return _csv_record(text, context.get("header", ""), context.get("delimiter", ","))
    try:
        return read_object(text)
    except NotAnObject as error:
        raise UndecodableMessage(str(error)) from error


def _csv_record(text: str, header: str, delimiter: str) -> Mapping[str, Any]:
    if not header:
        raise UndecodableMessage("the header of its CSV file is not known; replay the file again")
    try:
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter))]
        return RecordFormat(names, delimiter).fields(text)
    except (csv.Error, TypeError, StopIteration, ValueError) as error:
        raise UndecodableMessage(f"not readable as CSV: {error}") from error
