"""Another try at what ingest could not read: the same reading, with the map, source and kind it came with. Pure.

The context of a letter (see `core.dead_letters`) holds texts under these names, all of them optional:

form       `record` (JSON, foreign columns), `csv` (a line of a file with the header `header`) or `fields` (JSON, the
           fields of a message, as those of a feed's entry); a letter without a form is tried as `fields`
map        the `--map` it was read with
source     source where the record gives none
kind       kind where the record gives none
header     the header line of a CSV file, `delimiter` beside it
encoding   of the bytes; UTF-8 where not given
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, cast

import msgspec

from core.errors import InputError, UndecodableMessage
from core.records import MAX_ENCODED_BYTES, Kind, Message
from ingest.cleaning import clean_message
from ingest.mapping import FieldMap, parse_map
from ingest.transform import transform

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
    except InputError as error:
        raise UndecodableMessage(f"the letter's field map can't be read: {error}") from error
    return transform(record, fields, source=source, kind=kind, received_at=received_at)


def _record(value: bytes, context: Mapping[str, str]) -> Mapping[str, Any]:
    encoding = context.get("encoding", "utf-8")
    try:
        text = value.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise UndecodableMessage(f"not readable as {encoding}: {error}") from error
    if context.get("form") == "csv":
        return _csv_record(text, context.get("header", ""), context.get("delimiter", ","))
    try:
        record = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UndecodableMessage(f"not readable as JSON: {error}") from error
    if not isinstance(record, dict):
        raise UndecodableMessage(f"the letter holds a JSON {type(record).__name__}; expected an object")
    return record


def _csv_record(text: str, header: str, delimiter: str) -> Mapping[str, Any]:
    if not header:
        raise UndecodableMessage("the header of its CSV file is not known; replay the file again")
    csv.field_size_limit(2 * MAX_ENCODED_BYTES)
    lines = [line + "\n" for line in text.split("\n")]
    try:
        names = next(csv.reader([header], delimiter=delimiter))
        rows = [row for row in csv.reader(lines, delimiter=delimiter, strict=True) if row]
    except (csv.Error, TypeError, StopIteration) as error:
        raise UndecodableMessage(f"not readable as CSV: {error}") from error
    if len(rows) != 1 or len(rows[0]) != len(names):
        found = f"{len(rows[0])} values" if len(rows) == 1 else f"{len(rows)} rows"
        raise UndecodableMessage(f"the record has {found}; the header names {len(names)} columns")
    return dict(zip((name.strip() for name in names), rows[0], strict=True))
