"""The numbers of "why this colour" beside those that plain SQL and its own sums give."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
from playwright.sync_api import Page

from tests.desk.browser import by_hand
from tests.desk.browser.by_hand import History
from tests.desk.browser.mood_figures import moment, news_end, row_of
from tests.desk.browser.written import number, signed

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)


def arithmetic_by_hand(page: Page, store: psycopg.Connection[Any], topic: str) -> tuple[str, str, list[str], list[Any]]:
    """What "why this colour" is to say of the last hour but two of a topic: its title, its sentence, the sums, and the
    earlier hours of both lists."""
    at = news_end(store)[1] - 3 * _HOUR
    (observed,) = row_of(
        store,
        "SELECT coalesce(sum(negative_stories), 0)::int FROM trend WHERE kind = 'topic' AND name = %s "
        "AND minute >= %s AND minute < %s",
        topic,
        at,
        at + _HOUR,
    )
    hour = History(store, "topic").expected(topic, at)
    assert hour is not None
    more = observed >= hour.mean
    found = by_hand.tail(observed, hour.mean, hour.alpha)
    surprise = signed(by_hand.surprise(observed, hour.mean, hour.alpha), 2)
    level, daily, mean = (number(value, 3, 6) for value in (hour.level, hour.daily, hour.mean))
    sums = [
        f"({number(hour.level_sum)} + 1) / ({number(hour.level_hours)} + 24) = {level}",
        f"({number(sum(hour.days))} + 4 × {level}) / ({len(hour.days)} + 4) = {daily}",
        f"({number(sum(hour.weeks))} + 4 × {daily}) / ({len(hour.weeks)} + 4) = {mean}",
        f"P(X {'≥' if more else '≤'} {observed} | μ = {mean}, α = {number(hour.alpha, 3, 6)}) = {_precise(found)}",
        f"{'−' if more else ''}log₁₀ = {surprise}",
    ]
    pieces = [
        [[f"{at - each * step:%Y-%m-%d %H:%M} UTC", number(count)] for each, count in enumerate(counts, 1)]
        for counts, step in ((hour.days, _DAY), (hour.weeks, 7 * _DAY))
    ]
    said = f"{observed} negative stories where {number(hour.mean, 2, 6)} were expected: surprise {surprise}."
    return f"Why this colour: topic={topic}, {moment(page, at)}", said, sums, pieces


def _precise(chance: float) -> str:
    """As `toPrecision(3)` writes it."""
    mantissa, _, exponent = f"{chance:.2e}".partition("e")
    return f"{mantissa}e{int(exponent)}" if int(exponent) < -6 else f"{chance:.{2 - int(exponent)}f}"
