"""Foreign JSON as messages: which values of a document are items, and which columns fill which fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any

import msgspec
from pydantic import AfterValidator, Field

from core.columns import MISSING, Rule
from core.errors import InputError
from ingest.mapping import FieldMap, map_of
from ingest.reread import reading_context
from ingest.sources.interface import Fields, Source, Unreadable
from ingest.times import parse_time
from ingest.written_times import TimeFormat
from ingest.zones import time_zone

Scalar = str | int | float | bool


def _map(pairs: dict[str, str]) -> dict[str, str]:
    if not pairs.keys() & {"text", "title"}:
        raise ValueError("neither `text` nor `title` is filled, so there is nothing to read")
    try:
        map_of(pairs.items())
    except InputError as error:
        raise ValueError(str(error)) from error
    return pairs


def _zone(name: str) -> str:
    try:
        time_zone(name)
    except InputError as error:
        raise ValueError(str(error)) from error
    return name


class Mapped(Source):
    """Options of sources whose JSON is described by the user."""

    items: str = ""
    """Where the list of items stands, as a dotted path (`data.articles`); empty: the whole, a list or one item."""
    map: Annotated[dict[str, str], AfterValidator(_map)]
    """Where each field of a message stands in an item: a dotted path (`payload.body`), with a `?` at its end if it \
may be missing, or a constant (`@news`). Fields: id, source, kind, published_at, title, text, url, author, language, \
entities, `extra.NAME`."""
    where: dict[str, Scalar] = Field({})
    """Only items that have these values at these paths: `{ type = "news" }`. The others are passed over."""
    cursor: str = ""
    """Path in an item to what grows from item to item: a number or a time. The highest is asked for next time."""
    cursor_parameter: str = ""
    """Query parameter that takes the last `cursor`, such as `since`."""
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    """Zone of times that name none."""
    day_first: bool | None = None
    """Whether 03/04/2024 is 3 April; without it such a date is not read."""

    @property
    def place(self) -> str:
        return f"{super().place} {self.items} {self.cursor} {self.cursor_parameter}"

    @cached_property
    def fields(self) -> FieldMap:
        """The map."""
        return map_of(self.map.items())

    @cached_property
    def _times(self) -> TimeFormat:
        return TimeFormat(day_first=self.day_first, stated=self.day_first is not None, zone=time_zone(self.time_zone))

    @property
    def unreadable_context(self) -> Mapping[str, str]:
        return reading_context("record", self.fields, source=self.source, kind=self.kind, times=self._times)

    def records(self, document: Any, where: str) -> list[Any]:
        """The items in `document`, not looked at yet. Raises InputError, naming `where`, if they are not there."""
        found = value_at(document, self.items)
        if isinstance(found, list):
            return found
        if isinstance(found, dict) and not self.items:
            return [found]
        if found is MISSING:
            held = ", ".join(map(str, list(document)[:20])) if isinstance(document, dict) else type(document).__name__
            raise InputError(f'{where} has nothing at `items = "{self.items}"`; it has: {held[:300]}')
        raise InputError(f'{where} has no list of items at "{self.items}" but {type(found).__name__}')

    def read(self, record: Any) -> Fields | Unreadable | None:
        """What `record` says; None if it is none of those asked for."""
        if not isinstance(record, dict):
            return Unreadable(msgspec.json.encode(record), f"the item is a JSON {type(record).__name__}, no object")
        if any(value_at(record, path) != value for path, value in self.where.items()):
            return None
        found = self.fields.apply(record)
        for name in ("published_at", "received_at"):
            if name in found:
                # What can't be read stays as it was written, so that the id of a message without one has it.
                found[name] = parse_time(found[name], self._times) or found[name]
        if not (found.get("text") or found.get("title")):
            lacking = self.fields.missing(record)
            return Unreadable(msgspec.json.encode(record), f"the item has neither text nor title{lacking}")
        return found

    def later(self, cursor: Mapping[str, Any], records: list[Any]) -> dict[str, Any]:
        """The cursor behind `records`."""
        last = cursor.get("last")
        for record in records:
            value = value_at(record, self.cursor) if self.cursor and isinstance(record, dict) else MISSING
            if not isinstance(value, (str, int, float)) or isinstance(value, bool) or value == "" or _is_ahead(value):
                continue
            if last is None or _rank(value) > _rank(last):
                last = value
        return {} if last is None else {"last": last}

    def parameters(self, cursor: Mapping[str, Any]) -> dict[str, str | int]:
        """Query parameters that ask for what lies behind `cursor`."""
        return {self.cursor_parameter: str(cursor["last"])} if self.cursor_parameter and "last" in cursor else {}


def value_at(value: Any, path: str) -> Any:
    """What stands at a dotted `path` in a JSON value; the value itself where the path is empty, else MISSING."""
    if not path:
        return value
    return Rule("", path).read(value) if isinstance(value, Mapping) else MISSING


def _rank(value: str | int | float) -> tuple[int, int | float, str]:
    """An order of numbers, texts of digits (by their value), times and other texts, one after the other."""
    if isinstance(value, (int, float)):
        return 0, value, ""
    if value.isascii() and value.isdigit():
        return 0, int(value[:40]), ""
    moment = parse_time(value)
    return (1, moment.timestamp(), "") if moment else (2, 0, value)


def _is_ahead(value: Any) -> bool:
    """Whether a text names a time that has not come yet: as a cursor it would hide all that comes before it."""
    moment = parse_time(value) if isinstance(value, str) and not value.isdigit() else None
    return moment is not None and moment > datetime.now(UTC) + timedelta(days=1)
