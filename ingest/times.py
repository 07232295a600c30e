"""Times as sources write them, read as aware UTC: one reader for feeds, files, pushes and topics. Pure and total.

What the text says decides. What can't be read in full is None, never a guess; the caller marks such a message.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from ingest.written_times import MOST_CHARACTERS, TimeFormat, read_written

PLAIN = TimeFormat()

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SERIAL_EPOCH = datetime(1899, 12, 30)
_FIRST, _LAST = 631_152_000, 4_102_444_800  # seconds since 1970 of the years 1990 and 2100
_FIRST_SERIAL, _LAST_SERIAL = 32_874, 73_051  # the same in days since 1899-12-30
_UNITS = (1, 1_000, 1_000_000, 1_000_000_000)  # of a second: s, ms, us, ns
_NUMBER = re.compile(r"[+-]?\d{1,24}(?:[.,]\d{1,20})?(?:[eE][+-]?\d{1,2})?")
_LARGEST_COMPACT = 10**17
_DOT_NET = re.compile(r"/Date\((-?\d{1,20})(?:[+-]\d{4})?\)/")
_COMPACT = re.compile(r"((?:19|20)\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)(?:(\d\d)(\d{3})?)?)?")


def parse_time(value: Any, style: TimeFormat = PLAIN) -> datetime | None:
    """The moment that `value` names, in UTC, or None.

    Read are datetime objects; ISO 8601 and RFC 2822; seconds, milliseconds, microseconds or nanoseconds since 1970 as
    numbers or text, where they lie between the years 1990 and 2100 (so the unit is never in doubt); 20240305 and
    20240305093000; and written dates ("Mar 3, 2014 4:05 PM ET", "2024年3月5日 上午9:30"). `style` says what a single
    text leaves open: 03/04/2024 is read only if it tells the order, and numbers of days only if it allows them.
    """
    if isinstance(value, datetime):
        return _utc(value, style)
    if isinstance(value, date):
        return _utc(datetime(value.year, value.month, value.day), style)
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float, Decimal)):
        return _from_number(value, style)
    if isinstance(value, str):
        return _from_text(value.strip(), style)
    return None


def is_number(value: Any) -> bool:
    """Whether `value` is a number, or text that is one."""
    if isinstance(value, str):
        return _NUMBER.fullmatch(value.strip()) is not None
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def is_serial(value: Any) -> bool:
    """Whether `value` may be a day of the years 1990 to 2100, counted from 1899-12-30."""
    if not is_number(value):
        return False
    number = _as_number(value)
    return number is not None and _FIRST_SERIAL <= number < _LAST_SERIAL


def _from_number(value: Any, style: TimeFormat) -> datetime | None:
    number = _as_number(value)
    if number is None or number <= 0:
        return None
    for unit in _UNITS:
        if _FIRST * unit <= number < _LAST * unit:
            if isinstance(number, int):
                return _EPOCH + timedelta(microseconds=number * 1_000_000 // unit)
            return _EPOCH + timedelta(seconds=round(number / unit, 6))
    if number < _LARGEST_COMPACT and number == int(number) and (match := _COMPACT.fullmatch(str(int(number)))):
        return _from_compact(match, style)
    if style.serials and _FIRST_SERIAL <= number < _LAST_SERIAL:
        # Finer than a second is noise: a spreadsheet prints so many decimals only.
        return _utc(_SERIAL_EPOCH + timedelta(seconds=round(number * 86_400)), style)
    return None


def _as_number(value: Any) -> int | float | None:
    """`value` as a finite number, exact where it is whole."""
    try:
        if isinstance(value, str):
            text = value.strip().replace(",", ".")
            return int(text) if text.lstrip("+-").isdigit() else _finite(float(text))
        if isinstance(value, int):
            return value
        return int(value) if value == int(value) else _finite(float(value))
    except (ValueError, OverflowError, ArithmeticError):
        return None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _from_compact(match: re.Match[str], style: TimeFormat) -> datetime | None:
    year, month, day, hour, minute, second, millisecond = (int(part or 0) for part in match.groups())
    try:
        moment = datetime(year, month, day, hour, minute, second, millisecond * 1000)
    except ValueError:
        return None
    return _utc(moment, style)


def _from_text(text: str, style: TimeFormat) -> datetime | None:
    if not text or len(text) > MOST_CHARACTERS:
        return None
    if match := _DOT_NET.fullmatch(text):
        return _from_number(match.group(1), style)
    if _NUMBER.fullmatch(text):
        return _from_number(text, style)
    if text[:4].isdigit() and text[8:9] != "+" and text[10:11] != "+":
        # Not where an offset follows the date at once: fromisoformat would take it for the time of day.
        try:
            return _utc(datetime.fromisoformat(text), style)
        except ValueError:
            pass
    moment = read_written(text, style)
    return None if moment is None else _utc(moment, style)


def _utc(moment: datetime, style: TimeFormat) -> datetime | None:
    try:
        aware = moment.replace(tzinfo=style.zone) if moment.tzinfo is None else moment
        return aware.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
