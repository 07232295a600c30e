"""Dates and times written out, in any usual order and in the main languages. Pure and total.

The text is taken apart: first the date, then the time of day, then the zone. What is left over decides: digits, or
words behind the time that are no zone, mean that the text was not understood, and then nothing is read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from ingest.calendar_words import fold, is_weekday, month_number
from ingest.zones import zone_named, zone_of_offset

MOST_CHARACTERS = 100
_MOST_FREE_WORDS = 4  # weekdays, "at", "um", "de" before the time of day
_DATE, _CLOCK = "\x01", "\x02"
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_DASHES = str.maketrans({"−": "-", "–": "-", "‐": "-", "‑": "-", "’": "'"})
_COMMENT = re.compile(r"[(\[]([^()\[\]]*)[)\]]")
_MONOTONIC = re.compile(r" m=[+-][\d.]+$")  # Go prints its monotonic clock behind a time
_YEAR_AND_CLOCK = re.compile(r"(?<=[/\-. ])(\d{4}):(?=\d{1,2}:\d\d)")  # 05/Mar/2024:09:30:00, as web servers log
_MERIDIEM = r"(?P<after>[ap]\. ?m\.|[ap]m?\b\.?)"
_EARLIER = "上午|凌晨|早上|清晨|早晨|午前|오전"
_LATER = "下午|晚上|傍晚|午後|오후|中午|正午"

_COMPACT = re.compile(r"(?<![\d.])((?:19|20)\d\d)(\d\d)(\d\d)(?:[T ]?(\d\d)(\d\d)(\d\d)?(?:[.,]\d+)?)?(?![\d.])", re.I)
_EXIF = re.compile(r"^(\d{4}):(\d\d):(\d\d)(?!\d)")
_YEAR_FIRST = re.compile(
    r"(?<!\d)(?P<y>\d{4}) ?(?:(?P<s>[-/.]) ?(?P<m>\d{1,2}) ?(?P=s) ?(?P<d>\d{1,2})(?!\d)\.?"
    r"|[年년] ?(?P<m2>\d{1,2}) ?[月월] ?(?P<d2>\d{1,2}) ?[日일号號]?)"
)
_YEAR_LAST = re.compile(r"(?<![\d:.])(\d{1,2}) ?([-/.]) ?(\d{1,2}) ?\2 ?(\d{4}|\d\d)(?![\d:])")
_OF = r"(?:[ .,/-]|de |del |of |d')*"
_WORD = r"([^\W\d_]{3,12})"
_DAY_MONTH_YEAR = re.compile(
    rf"(?<![\d:])(\d{{1,2}})(?:st|nd|rd|th|er|re|º|ª|°)?{_OF}{_WORD}{_OF}(\d{{4}}|'?\d\d(?![\d:.h]))(?!\d)",
    re.IGNORECASE,
)
_MONTH_DAY_YEAR = re.compile(rf"{_WORD}[ ./-]*(\d{{1,2}})(?:st|nd|rd|th)?,?[ /-](\d{{4}})(?![\d:])", re.IGNORECASE)
_YEAR_MONTH_DAY = re.compile(rf"(?<!\d)(\d{{4}})[ ./-]+{_WORD}[ ./-]+(\d{{1,2}})(?![\d:])")
# "Tue Mar 5 09:30:00 EST 2024" and "Wed Aug 27 13:08:45 +0000 2008": the year stands behind time and zone.
_YEAR_AT_END = re.compile(
    rf"{_WORD}\.? (\d{{1,2}}),? (\d{{1,2}}:\d\d(?::\d\d)?(?:[.,]\d+)?(?: ?[ap]\.?m\.?)?)((?: \S+){{0,2}}) (\d{{4}})$",
    re.IGNORECASE,
)
_CLOCKS = (
    re.compile(
        rf"(?:(?P<before>{_EARLIER}|{_LATER}|\b[ap]m) ?)?(?<![\d:+.])(?P<h>\d{{1,2}}):(?P<m>\d\d)"
        rf"(?::(?P<s>\d\d)(?:[.,:](?P<f>\d+))?)?(?: ?{_MERIDIEM})?(?![\d:])",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?P<before>{_EARLIER}|{_LATER})? ?(?<!\d)(?P<h>\d{{1,2}}) ?[時时點点시] ?"
        r"(?:(?P<half>半)|(?:(?P<m>\d{1,2}) ?[分분]?(?: ?(?P<s>\d{1,2}) ?[秒초]?)?))?(?!\d)"
    ),
    re.compile(r"(?<!\d)(?P<h>\d{1,2}) ?h(?: ?(?P<m>\d\d)(?: ?(?:min|m)\b)?(?: ?(?P<s>\d\d) ?s?)?)?(?![\d:\w])", re.I),
    re.compile(
        rf"(?<![\d.+])(?P<h>\d{{1,2}})\.(?P<m>\d\d)(?:\.(?P<s>\d\d)(?:[.,](?P<f>\d+))?)?(?: ?{_MERIDIEM})?(?![\d.])",
        re.I,
    ),
    re.compile(rf"(?<![\d:.])(?P<h>\d{{1,2}}) ?{_MERIDIEM}(?!\w)", re.IGNORECASE),
)
_FILLERS = frozenset(["uhr", "hrs", "hours", "hr", "h", "t", "г", "года", "o'clock", "klo"])
_TOKEN = re.compile(r"[^\s,;]+")
_TRAILING = ".,;:|-–·•"


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """How times of one column or document are written, where a single text leaves it open.

    `day_first`: the order of 03/04/2024; None: not known, and such a date is not read. `stated`: an operator says so,
    which also allows years of two digits. `zone`: of times that name none. `serials`: numbers may be days since
    1899-12-30, as spreadsheets store dates.
    """

    day_first: bool | None = None
    stated: bool = False
    zone: tzinfo = UTC
    serials: bool = False


@dataclass(frozen=True, slots=True)
class NumericDate:
    """A date such as 03/04/2024: two numbers that may be day and month, what stands between them, and the year."""

    first: int
    second: int
    separator: str
    year: int
    short_year: bool

    @property
    def day_first(self) -> bool | None:
        """The order that the numbers themselves prove; None if both orders give a date, or neither."""
        if (self.first > 12) == (self.second > 12):
            return None
        return self.first > 12

    def date(self, day_first: bool) -> datetime | None:
        """The day read in that order, if it exists."""
        return _day(self.year, *((self.second, self.first) if day_first else (self.first, self.second)))


def numeric_date(text: str) -> NumericDate | None:
    """The date in `text` whose order of day and month is open, or None."""
    plain = normal(text)
    if _EXIF.search(plain) or _YEAR_FIRST.search(plain):
        return None
    match = _YEAR_LAST.search(plain)
    return None if match is None else _numeric(match)


@lru_cache(maxsize=8192)
def read_written(text: str, style: TimeFormat) -> datetime | None:
    """The moment that `text` names, aware, in the zone it is written in; None if it is not understood in full."""
    if len(text) > MOST_CHARACTERS:
        return None
    plain = normal(text)
    comments = _COMMENT.findall(plain)
    plain = _COMMENT.sub(" ", plain)
    plain = _YEAR_AND_CLOCK.sub(r"\1 ", _MONOTONIC.sub("", plain))
    plain = _YEAR_AT_END.sub(r"\1 \2 \5 \3\4", plain)
    for take in (_take_numeric, _take_named):
        found = take(plain, style)
        if found is not None:
            break
    else:
        return None
    day, rest = found
    moment, rest = (day, rest) if _CLOCK in rest else _take_clock(day, rest)
    if moment is None:
        return None
    head, tail = _around(rest)
    zone = _zone(head, tail, comments, moment, style.zone)
    return None if zone is None else moment.replace(tzinfo=zone)


def normal(text: str) -> str:
    """`text` with plain digits, dashes and single spaces, whatever script or typography it uses."""
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text[:MOST_CHARACTERS])).translate(_DASHES)
    if not plain.isascii():
        plain = "".join(str(unicodedata.decimal(letter)) if letter.isdecimal() else letter for letter in plain)
    return " ".join(plain.split()).strip(" '\"")


def _take_numeric(text: str, style: TimeFormat) -> tuple[datetime, str] | None:
    """The date in numbers, and the text with marks in place of what was read."""
    if match := _COMPACT.search(text):
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
        moment = _day(year, month, day)
        if match.group(4) is None:
            return _found(moment, text, match, _DATE)
        return _found(_at(moment, hour, minute, second), text, match, _DATE + _CLOCK)
    if match := _EXIF.search(text):
        return _found(_day(*(int(part) for part in match.groups())), text, match, _DATE)
    if match := _YEAR_FIRST.search(text):
        year = int(match["y"])
        return _found(_day(year, int(match["m"] or match["m2"]), int(match["d"] or match["d2"])), text, match, _DATE)
    if match := _YEAR_LAST.search(text):
        written = _numeric(match)
        order = _order(written, style)
        if order is None or (written.short_year and not style.stated):
            return None
        return _found(written.date(order), text, match, _DATE)
    return None


def _order(written: NumericDate, style: TimeFormat) -> bool | None:
    if style.day_first is not None:
        return style.day_first
    if written.first == written.second:
        return True
    if written.day_first is not None:
        return written.day_first
    return True if written.separator == "." else None


def _numeric(match: re.Match[str]) -> NumericDate:
    first, separator, second, year = match.groups()
    return NumericDate(int(first), int(second), separator, _full_year(year), len(year) == 2)


def _take_named(text: str, style: TimeFormat) -> tuple[datetime, str] | None:
    """The date with the month as a word, and the text with a mark in its place."""
    orders: tuple[tuple[re.Pattern[str], Callable[..., tuple[str, str, str]]], ...] = (
        (_YEAR_MONTH_DAY, lambda year, month, day: (year, month, day)),
        (_DAY_MONTH_YEAR, lambda day, month, year: (year, month, day)),
        (_MONTH_DAY_YEAR, lambda month, day, year: (year, month, day)),
    )
    for pattern, arrange in orders:
        for match in pattern.finditer(text):
            year, word, day = arrange(*match.groups())
            month = month_number(word)
            if month is not None:
                return _found(_day(_full_year(year), month, int(day)), text, match, _DATE)
    return None


def _take_clock(day: datetime, text: str) -> tuple[datetime | None, str]:
    """The day with the time of day found in `text`, and the text with a mark in its place; no moment if absurd."""
    for pattern in _CLOCKS:
        match = pattern.search(text)
        if match is None:
            continue
        parts = match.groupdict()
        hour = _hour(int(parts["h"]), parts.get("before") or parts.get("after") or "")
        minute = 30 if parts.get("half") else int(parts.get("m") or 0)
        moment = _at(day, hour, minute, int(parts.get("s") or 0), parts.get("f") or "")
        return moment, text[: match.start()] + f" {_CLOCK} " + text[match.end() :]
    return day, text


def _hour(hour: int, meridiem: str) -> int:
    """The hour of 24; 24 or more for what no clock shows."""
    word = fold(meridiem).replace(".", "").replace(" ", "")
    if not word:
        return hour
    asian = not word.isascii()
    if word in ("中午", "正午"):
        return hour if hour >= 11 else hour + 12
    if word[0] == "a" or meridiem in _EARLIER.split("|"):
        return hour % 12 if hour <= 12 else 99
    if hour == 0 and not asian:
        return 99
    return hour if hour >= 12 else hour + 12


def _zone(head: str, tail: str, comments: list[str], moment: datetime, default: tzinfo) -> tzinfo | None:
    """The zone named in the text, `default` if none is; None if something there was not understood."""
    if any(letter.isdigit() for letter in head):
        return None
    offset: tzinfo | None = None
    names: list[str] = []
    tokens = _TOKEN.findall(tail)
    if (whole := zone_named(" ".join(tokens), moment, default)) is not None and tokens:
        return whole
    for token in tokens:
        token = token.strip(_TRAILING) if token[:1] not in "+-" else token.rstrip(_TRAILING)
        found = zone_of_offset(token)
        if found is not None:
            offset = offset or found
        elif token and fold(token) not in _FILLERS and not is_weekday(token):
            names.append(token)
    if offset is not None:
        # Names behind an offset only describe it: "+0200 CEST", "+0300 +03".
        return offset if all(name.isalpha() for name in names) else None
    known = [zone for name in names if (zone := zone_named(name, moment, default)) is not None]
    if len(known) < len(names):
        return None
    for comment in comments:
        found = zone_of_offset(comment.strip()) or zone_named(comment.strip(), moment, default)
        if found is not None:
            known.append(found)
    if not known:
        words = _TOKEN.findall(head)
        if len(words) > _MOST_FREE_WORDS:
            return None
        known = [
            zone
            for word in words
            if (not word.isascii() or word.isupper())
            and not is_weekday(word)
            and (zone := zone_named(word, moment, default)) is not None
        ]
    return known[0] if known else default


def _around(text: str) -> tuple[str, str]:
    """What stands before the time of day (the date, if there is none) and what behind."""
    mark = _CLOCK if _CLOCK in text else _DATE
    head, _, tail = text.partition(mark)
    if _DATE in tail:  # "09:30 CET, 5 March 2024": words behind the date are as free as before it
        tail, _, free = tail.partition(_DATE)
        if any(letter.isalnum() for letter in free):
            tail = f"{tail} {free}"
    return head.replace(_DATE, " "), tail


def _found(moment: datetime | None, text: str, match: re.Match[str], marks: str) -> tuple[datetime, str] | None:
    return None if moment is None else (moment, f"{text[: match.start()]} {marks} {text[match.end() :]}")


def _full_year(written: str) -> int:
    year = int(written.lstrip("'"))
    if len(written.lstrip("'")) == 4:
        return year
    return year + (2000 if year <= 68 else 1900)  # as POSIX and RFC 2822 divide the centuries


def _day(year: int, month: int, day: int) -> datetime | None:
    try:
        return datetime(year, month, day)
    except ValueError:
        return None


def _at(day: datetime | None, hour: int, minute: int, second: int, fraction: str = "") -> datetime | None:
    if day is None or minute > 59 or second > 60:
        return None
    if hour == 24 and not minute and not second:
        return day + timedelta(days=1) if day.year < datetime.max.year else None  # midnight at the end of the day
    if hour > 23:
        return None
    microsecond = int(fraction[:6].ljust(6, "0")) if fraction else 0
    return day.replace(hour=hour, minute=minute, second=min(second, 59), microsecond=microsecond)  # 60: a leap second
