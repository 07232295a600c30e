"""Times as sources write them, read as aware UTC. Pure and total: what can't be read is None."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from dateutil import parser as dateutil_parser  # type: ignore[import-untyped]
from dateutil import tz

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[+-]?\d{1,20}(?:\.\d{1,12})?")
_COMPACT_DATE = re.compile(r"(?:19|20)\d{6}|(?:19|20)\d{12}")
_MAX_CHARACTERS = 64
# Two days on which no field agrees: a part that the text leaves out shows as a difference between the two readings.
_DEFAULTS = (datetime(2001, 1, 1), datetime(2002, 2, 2))
_ZONES = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "CET": 1, "CEST": 2}


def parse_time(value: Any) -> datetime | None:
    """The moment that `value` names, in UTC, or None.

    Read are datetime objects, ISO 8601, RFC 2822, seconds, milliseconds, microseconds or nanoseconds since 1970
    (told apart by size) as numbers or text, and written dates such as "Mar 3, 2014 4:05 PM". Without a zone: UTC.
    """
    if isinstance(value, datetime):
        return _utc(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return _from_epoch(value)
    if isinstance(value, str):
        return _from_text(value.strip())
    return None


def _from_epoch(value: float) -> datetime | None:
    try:
        seconds = float(value)
        # 1e11 seconds are the year 5138, and 1e11 milliseconds March 1973: no feed means either.
        for _ in range(3):
            if abs(seconds) < 1e11:
                break
            seconds /= 1000
        return _EPOCH + timedelta(seconds=round(seconds, 6))
    except (OverflowError, ValueError):
        return None


def _from_text(text: str) -> datetime | None:
    if not text or len(text) > _MAX_CHARACTERS:
        return None
    if _NUMBER.fullmatch(text) and not _COMPACT_DATE.fullmatch(text):
        return _from_epoch(float(text))
    try:
        return _utc(datetime.fromisoformat(text))
    except ValueError:
        pass
    if (text[0].isalpha() and "," in text[:5]) or text[-5:-4] in ("+", "-"):
        try:
            return _utc(parsedate_to_datetime(text))
        except (ValueError, TypeError, IndexError, OverflowError):
            pass
    return _written(text)


@lru_cache(maxsize=4096)
def _written(text: str) -> datetime | None:
    """A date written some other way; None unless the text itself gives year, month and day."""
    try:
        first, second = (dateutil_parser.parse(text, default=default, tzinfos=_zone) for default in _DEFAULTS)
    except (ValueError, OverflowError, TypeError, ArithmeticError, AttributeError, RecursionError):
        return None
    return _utc(first) if first == second else None


def _zone(name: str | None, offset: int | None) -> tzinfo | None:
    if offset is not None:
        return tz.tzoffset(name, offset)
    return tz.tzoffset(name, _ZONES.get((name or "").upper(), 0) * 3600)


def _utc(moment: datetime) -> datetime | None:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
