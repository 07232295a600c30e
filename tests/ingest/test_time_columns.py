from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.entries import read_entries
from ingest.time_columns import Order, TimeColumn, time_column
from ingest.times import parse_time
from ingest.written_times import TimeFormat

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def column(*values: Any, stated: TimeFormat | None = None) -> TimeColumn:
    return time_column(values, stated or TimeFormat(), NOW)


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (["11/03/2011", "03/05/2011", "20/10/2011"], Order.DAY_FIRST),
        (["11/03/2011 10:00", "03/05/2011 10:00", "10/20/2011 10:00"], Order.MONTH_FIRST),
        (["04.03.2020 10:00", "23.03.2020 10:00"], Order.DAY_FIRST),
        (["04.03.2020", "05.03.2020"], Order.DAY_FIRST),
        (["04.23.2020", "05.03.2020"], Order.MONTH_FIRST),
        (["04-03-2020", "13-03-2020"], Order.DAY_FIRST),
        (["05/05/2020", "06/06/2020"], Order.IRRELEVANT),
        (["2020-03-04", "5 March 2020", 1583312400], Order.IRRELEVANT),
        (["2020/03/04", "2020/13/04"], Order.IRRELEVANT),
        (["03/04/2020", "04/04/2020"], Order.OPEN),
        (["13/04/2020", "04/13/2020"], Order.MIXED),
        (["05/06/2024", "01/05/2024"], Order.MONTH_FIRST),  # 5 June would lie ahead, 6 May does not
        ([f"{month:02}/{day:02}/2023" for month in (1, 2, 3) for day in (2, 7, 9)], Order.MONTH_FIRST),
        ([f"{day:02}/{month:02}/2023" for month in (3, 2, 1) for day in (9, 7, 2)], Order.DAY_FIRST),
    ],
)
def test_the_order_of_day_and_month_is_decided_once(values: list[Any], order: Order) -> None:
    found = column(*values)
    assert found.order is order
    assert found.style.day_first is order.day_first


def test_a_stated_order_is_not_weighed() -> None:
    found = column("13/04/2020", "04/13/2020", stated=TimeFormat(day_first=True, stated=True))
    assert (found.order, found.style.day_first, found.readable, found.examples) == (
        Order.IRRELEVANT,
        True,
        1,
        ("04/13/2020",),
    )


def test_days_of_a_spreadsheet_are_known_by_the_whole_column() -> None:
    assert column("45356,395833", "45356.395833", "1.70963E+12").style.serials
    assert column(45356, 45357, None, "").style.serials
    assert not column(45356, 17).style.serials  # running numbers, say
    assert not column("1709631000").style.serials
    mixed = column("45356,395833", "1.70963E+12")
    assert (mixed.given, mixed.readable, mixed.rounded_to_s) == (2, 2, 10_000)
    assert column("1709631000", "1.709631E+09").rounded_to_s == 1_000
    assert column("1.709631000123E+12").rounded_to_s == 0


def test_blank_values_count_neither_way() -> None:
    found = column(None, "", " ", "NaN", "null", float("nan"), "2024-01-01", "soon")
    assert (found.given, found.readable, found.examples) == (2, 1, ("soon",))
    assert column("1970-01-01", "0001-01-01").readable == 0


@given(
    st.lists(st.one_of(st.none(), st.text(max_size=20), st.integers(), st.floats(), st.from_regex(r"\d\d/\d\d/\d{4}")))
)
def test_any_column_has_a_format(values: list[Any]) -> None:
    found = time_column(values, TimeFormat(), NOW)
    assert 0 <= found.readable <= found.given <= len(values)


def feed(*dates: str) -> bytes:
    items = "".join(f"<item><title>Item {n}</title><pubDate>{date}</pubDate></item>" for n, date in enumerate(dates))
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>T</title>{items}</channel></rss>'.encode()


def times(*dates: str) -> list[datetime | None]:
    found = [parse_time(entry.fields.get("published_at")) for entry in read_entries(feed(*dates))]
    return found[::-1]


def test_what_a_feed_writes_is_read_by_our_own_reader() -> None:
    assert times("2018/7/2 06:30:10", "1530513010", "2018年7月2日 06:30", "2018.07.02 06:30") == [
        datetime(2018, 7, 2, 6, 30, 10, tzinfo=UTC),
        datetime(2018, 7, 2, 6, 30, 10, tzinfo=UTC),
        datetime(2018, 7, 2, 6, 30, tzinfo=UTC),
        datetime(2018, 7, 2, 6, 30, tzinfo=UTC),
    ]
    assert times("2018-07-02 08:30:10.5 +0200 CEST", "Mon, 02 Jul 2018 2:30:10 PM MESZ") == [
        datetime(2018, 7, 2, 6, 30, 10, 500_000, tzinfo=UTC),
        datetime(2018, 7, 2, 12, 30, 10, tzinfo=UTC),
    ]


def test_a_feed_tells_the_order_of_its_dates_as_a_whole() -> None:
    assert times("02/07/2018 06:30", "13/07/2018 06:30") == [
        datetime(2018, 7, 2, 6, 30, tzinfo=UTC),
        datetime(2018, 7, 13, 6, 30, tzinfo=UTC),
    ]
    assert times("02/07/2018 06:30") == [None]
    assert times("Last Tuesday") == [None]


def test_atom_falls_back_on_the_time_of_change() -> None:
    atom = (
        b'<feed xmlns="http://www.w3.org/2005/Atom"><title>T</title><entry><id>1</id><title>A</title>'
        b"<published>lately</published><updated>2018-07-02T06:30:00+02:00</updated></entry></feed>"
    )
    (entry,) = read_entries(atom)
    assert entry.fields["published_at"] - datetime(2018, 7, 2, 4, 30, tzinfo=UTC) == timedelta(0)
