"""How the times of a whole column or document are written: decided once, from a sample of them. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import pairwise
from typing import Any

from core.records import EARLIEST
from ingest.times import is_number, is_serial, parse_time
from ingest.written_times import NumericDate, TimeFormat, numeric_date

FEWEST_IN_ORDER = 6  # so many different dates are sorted by chance, read in the wrong order, about once in 360 times
_ROUNDED = re.compile(r"\d(?:[.,](\d*))?[eE]\+?(\d+)")
_SLOWEST_ROUNDING_S = 60
_MOST_EXAMPLES = 3


class Order(Enum):
    """What a sample says about the order of day and month."""

    IRRELEVANT = "no date leaves it open"
    DAY_FIRST = "day first"
    MONTH_FIRST = "month first"
    OPEN = "nothing in the sample decides"
    MIXED = "some dates prove one order, some the other"

    @property
    def day_first(self) -> bool | None:
        return {Order.DAY_FIRST: True, Order.MONTH_FIRST: False}.get(self)


@dataclass(frozen=True)
class TimeColumn:
    """The format of a column, what decided the order, and how many values of the sample are given and can be read."""

    style: TimeFormat
    order: Order = Order.IRRELEVANT
    given: int = 0
    readable: int = 0
    examples: tuple[str, ...] = ()
    rounded_to_s: float = 0.0


def time_column(values: Iterable[Any], stated: TimeFormat, now: datetime | None = None) -> TimeColumn:
    """The format of a column from a sample of its `values`; `stated` is what the operator says about it.

    Day and month: a number above 12 decides; then, of two orders, the one under which no date lies in the future or
    under which many dates are sorted; dots mean day first. Numbers are days of a spreadsheet if some of them can only
    be that and no other number stands between them. `examples` are values that can't be read.
    """
    given = [value for value in values if not _blank(value)]
    numbers = [value for value in given if is_number(value)]
    readable = [parse_time(value, replace(stated, serials=True)) is not None for value in numbers]
    style = replace(stated, serials=any(map(is_serial, numbers)) and all(readable))
    order = Order.IRRELEVANT
    if stated.day_first is None:
        texts = (value for value in given if isinstance(value, str) and not is_number(value))
        order = order_of([found for text in texts if (found := numeric_date(text))], now or datetime.now(UTC))
        style = replace(style, day_first=order.day_first)
    unread = [value for value in given if not _usable(value, style)]
    return TimeColumn(
        style,
        order,
        given=len(given),
        readable=len(given) - len(unread),
        examples=tuple(_shown(value) for value in unread[:_MOST_EXAMPLES]),
        rounded_to_s=max((_rounded_to_s(value) for value in numbers), default=0.0),
    )


def document_format(values: Sequence[Any], stated: TimeFormat) -> TimeFormat:
    """The format of all times in one document, such as a feed."""
    return time_column(values, stated).style


def order_of(dates: Sequence[NumericDate], now: datetime) -> Order:
    """The order of day and month that all `dates` of one column are written in, in the order in which they stand."""
    proofs = {date.day_first for date in dates} - {None}
    if len(proofs) == 2:
        return Order.MIXED
    if proofs:
        return Order.DAY_FIRST if proofs == {True} else Order.MONTH_FIRST
    undecided = [date for date in dates if date.first != date.second and date.date(True) is not None]
    if not undecided:
        return Order.IRRELEVANT
    if all(date.separator == "." for date in undecided):
        return Order.DAY_FIRST
    readings = {order: _readings(dates, order is Order.DAY_FIRST) for order in (Order.DAY_FIRST, Order.MONTH_FIRST)}
    latest = (now + timedelta(days=2)).replace(tzinfo=None)
    for fits in (lambda found: max(found) <= latest, _is_sorted):
        fitting = [order for order, found in readings.items() if fits(found)]
        if len(fitting) == 1:
            return fitting[0]
    return Order.OPEN


def _readings(dates: Sequence[NumericDate], day_first: bool) -> list[datetime]:
    """The different days in the order in which they first appear."""
    days = (date.date(day_first) for date in dates)
    return list(dict.fromkeys(day for day in days if day is not None))


def _is_sorted(days: Sequence[datetime]) -> bool:
    if len(days) < FEWEST_IN_ORDER:
        return False
    ascending = all(earlier <= later for earlier, later in pairwise(days))
    return ascending or all(earlier >= later for earlier, later in pairwise(days))


def _shown(value: Any) -> str:
    try:
        return str(value)[:40]
    except ValueError:  # a number of thousands of digits
        return type(value).__name__


def _usable(value: Any, style: TimeFormat) -> bool:
    moment = parse_time(value, style)
    return moment is not None and moment >= EARLIEST


def _blank(value: Any) -> bool:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return isinstance(value, str) and value.strip().lower() in ("", "nan", "nat", "null", "none", "n/a", "-")


def _rounded_to_s(value: Any) -> float:
    """The seconds to which a spreadsheet rounded a time since 1970 (1.70963E+12: 10,000); 0 if under a minute."""
    match = _ROUNDED.search(value) if isinstance(value, str) else None
    moment = parse_time(value) if match is not None else None
    if match is None or moment is None:
        return 0.0
    exponent = min(int(match.group(2)), 30)
    unit = 10.0 ** (3 * ((exponent - 9) // 3))  # 1.7e9 s, 1.7e12 ms, 1.7e15 us, 1.7e18 ns
    resolution = float(10.0 ** (exponent - len(match.group(1) or ""))) / unit
    return resolution if resolution > _SLOWEST_ROUNDING_S else 0.0
