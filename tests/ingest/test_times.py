"""Times as feeds and files write them. The texts are inventions; the notations are those of real sources."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from ingest.calendar_words import month_number
from ingest.times import parse_time
from ingest.written_times import TimeFormat
from ingest.zones import time_zone

MORNING = datetime(2023, 5, 9, 7, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2023-05-09T07:15:00Z",
        "2023-05-09 09:15:00.123456789 +0200 CEST".replace(".123456789", ""),
        "2023-05-09 09:15:00 +0200 CEST m=+0.004",
        "2023-05-09 10:15:00 +0300 +03",
        "2023-05-09 07:15:00 UTC",
        "2023-05-09 03:15:00 EDT",
        "2023/5/9 07:15:00",
        "2023.05.09 07:15",
        "2023:05:09 07:15:00",
        "2023-05-09-07.15.00.000000",
        "2023-05-09T07:15:00,0Z",
        "2023-W19-2T07:15Z",
        "20230509T071500Z",
        "20230509-07:15:00.000",
        "20230509071500",
        "202305090715",
        20230509071500,
        "2023-5-9T7:15Z",
        "2023-05-09T09:15+02:00[Europe/Berlin]",
        "2023-05-09 09:15 Europe/Berlin",
        "Tue, 09 May 2023 09:15:00 CEST",
        "Tue, 09 May 2023 09:15:00 MEST",
        "Di, 09 Mai 2023 09:15:00 MESZ",
        "Tue, 09 May 2023 08:15:00 MEZ",
        "Tue, 09 May 2023 08:15:00 WEST",
        "Tue, 09 May 2023 10:15:00 EEST",
        "Tue, 09 May 2023 10:15:00 MSK",
        "Tue, 09 May 2023 08:15:00 BST",
        "Tue, 09 May 2023 12:45:00 IST",
        "Tue, 09 May 2023 16:15:00 JST",
        "Tue, 09 May 2023 16:15:00 KST",
        "Tue, 09 May 2023 15:15:00 HKT",
        "Tue, 09 May 2023 15:15:00 SGT",
        "Tue, 09 May 2023 17:15:00 AEST",
        "Tue, 09 May 2023 00:15:00 PDT",
        "Tue, 09 May 2023 09:15:00 (CEST)",
        "Mon, 09 May 2023 07:15:00 GMT",
        "Tue, 09 May 2023 07:15:00 -0000",
        "Tue, 9 May 23 07:15 UT",
        "Tue, 09 May 2023 9:15:00 AM CEST",
        "Tue May 09 2023 09:15:00 GMT+0200 (Central European Summer Time)",
        "Tue May  9 07:15:00 2023",
        "Tue May 9 03:15:00 EDT 2023",
        "Tue May 09 07:15:00 +0000 2023",
        "09/May/2023:07:15:00 +0000",
        "09-MAY-23 07.15.00.000000 AM",
        "May 9, 2023 3:15 a.m. ET",
        "May 9, 2023 at 7:15 AM",
        "9 May 2023, 07:15 GMT",
        "2023-05-09 09:15 GMT+2",
        "2023-05-09 01:45 UTC-05:30",
        "2023-05-09 09:15 +2",
        "9. Mai 2023 um 7.15 Uhr",
        "9 mai 2023 à 07h15",
        "9 de mayo de 2023, 7:15 a. m.",
        "gio 9 mag 2023 09:15 CEST".replace("gio", "mar"),
        "ter., 9 de mai. de 2023 às 07:15",
        "dinsdag 9 mei 2023 07:15",
        "9 мая 2023 г. 10:15 МСК",
        "9 maja 2023, 07:15",
        "9 Mayıs 2023 Salı 07:15",
        "2023年5月9日 07:15",
        "2023年5月9日(火) 午前7時15分",
        "2023年5月9日 上午7:15",
        "北京时间2023年5月9日 15:15",
        "2023. 5. 9. 오전 7:15",
        "2023년 5월 9일 오전 7시 15분",
        "２０２３年５月９日 ０７：１５",
        "٢٠٢٣-٠٥-٠٩ ٠٧:١٥",
        "09.05.2023 07:15",
        "2023\u201105\u201109\u00a007:15",
        1683616500,
        1683616500.0,
        Decimal(1683616500),
        "1683616500",
        "1683616500,0",
        1683616500000,
        "1683616500000.0",
        "1.6836165E+12",
        1683616500000000,
        "1683616500000000000",
        datetime(2023, 5, 9, 7, 15),
    ],
)
def test_one_moment_in_many_notations(written: Any) -> None:
    assert parse_time(written) == MORNING


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("Wed, 12 Jan 2022 12:05:00 AM GMT", datetime(2022, 1, 12, 0, 5, tzinfo=UTC)),
        ("Wed, 12 Jan 2022 12:05:00 PM GMT", datetime(2022, 1, 12, 12, 5, tzinfo=UTC)),
        ("12 Jan 2022 2:17:57 PM CET", datetime(2022, 1, 12, 13, 17, 57, tzinfo=UTC)),
        ("2022年1月12日 下午2:05", datetime(2022, 1, 12, 14, 5, tzinfo=UTC)),
        ("2022年1月12日 午後0時5分", datetime(2022, 1, 12, 12, 5, tzinfo=UTC)),
        ("January 12, 2022 4 PM EST", datetime(2022, 1, 12, 21, 0, tzinfo=UTC)),
        ("July 12, 2022 4:00 PM ET", datetime(2022, 7, 12, 20, 0, tzinfo=UTC)),
        ("Sat, 30 Jun 2012 23:59:60 GMT", datetime(2012, 6, 30, 23, 59, 59, tzinfo=UTC)),
        ("2022-01-12+01:00", datetime(2022, 1, 11, 23, 0, tzinfo=UTC)),
        ("2022-01-12", datetime(2022, 1, 12, tzinfo=UTC)),
        (date(2022, 1, 12), datetime(2022, 1, 12, tzinfo=UTC)),
        ("2022-01-12T24:00:00Z", datetime(2022, 1, 13, tzinfo=UTC)),
        ("2:05 PM · Jan 12, 2022", datetime(2022, 1, 12, 14, 5, tzinfo=UTC)),
        ("/Date(1641996300000)/", datetime(2022, 1, 12, 14, 5, tzinfo=UTC)),
        ("12. ledna 2022 14:05", datetime(2022, 1, 12, 14, 5, tzinfo=UTC)),
        ("12 يناير 2022 14:05", datetime(2022, 1, 12, 14, 5, tzinfo=UTC)),
        ("12. tammikuuta 2022 14:05", datetime(2022, 1, 12, 14, 5, tzinfo=UTC)),
        ("12 ינואר 2022 14:05", datetime(2022, 1, 12, 14, 5, tzinfo=UTC)),
        ("Jan/12/2022 14:05", datetime(2022, 1, 12, 14, 5, tzinfo=UTC)),
        ("25/01/2022", datetime(2022, 1, 25, tzinfo=UTC)),
        ("01/25/2022 3:04 PM", datetime(2022, 1, 25, 15, 4, tzinfo=UTC)),
    ],
)
def test_times_of_day_and_days(written: Any, moment: datetime) -> None:
    assert parse_time(written) == moment


@pytest.mark.parametrize(
    "written",
    [
        "",
        "soon",
        "May",
        "12:30",
        "Thursday",
        "2 January",
        "May 2023",
        "yesterday 10:30",
        "3 hours ago",
        "昨天 10:30",
        "31.02.2023",
        "29/02/2023",
        "2023-13-01",
        "2023-05-09 25:00",
        "2023-05-09 09:61",
        "2023-05-09 09:30 XYZ",
        "Tue, 09 May 2023 09:15:00 Q",
        "2023-05-09 09:30 +99:00",
        "9 May 2023 14:30 AM",
        "03/04/2023",  # April or March: only the column can tell
        "03-04-2023 10:00",
        "03/04/23",
        "25/03/23",
        "5 March 2023 noon",
        "3 days before 5 March 2023",
        "5 jui 2023",
        "令和5年3月5日",
        "45055",
        45055,
        17,
        0,
        -1683616500,
        True,
        None,
        [],
        {},
        b"2023-05-09",
        float("nan"),
        float("inf"),
        10**400,
        Decimal("NaN"),
        "9" * 24,
        "x" * 1000,
    ],
)
def test_what_is_not_understood_in_full_is_not_read(written: Any) -> None:
    assert parse_time(written) is None


def test_the_column_tells_what_a_text_leaves_open() -> None:
    day_first, month_first = TimeFormat(day_first=True), TimeFormat(day_first=False)
    assert parse_time("03/04/2023", day_first) == datetime(2023, 4, 3, tzinfo=UTC)
    assert parse_time("03/04/2023", month_first) == datetime(2023, 3, 4, tzinfo=UTC)
    assert parse_time("03.04.2023", month_first) == datetime(2023, 3, 4, tzinfo=UTC)
    assert parse_time("25/03/2023", month_first) is None
    assert parse_time("2023/03/04", day_first) == datetime(2023, 3, 4, tzinfo=UTC)
    assert parse_time("03/04/23", day_first) is None
    assert parse_time("03/04/23", TimeFormat(day_first=True, stated=True)) == datetime(2023, 4, 3, tzinfo=UTC)


def test_numbers_of_days_are_read_where_the_column_holds_them() -> None:
    serials = TimeFormat(serials=True, zone=ZoneInfo("Europe/Berlin"))
    assert parse_time("45055,385416667", serials) == datetime(2023, 5, 9, 7, 15, tzinfo=UTC)
    assert parse_time(45055.385416667, serials) == datetime(2023, 5, 9, 7, 15, tzinfo=UTC)
    assert parse_time(1683616500, serials) == MORNING


def test_times_without_a_zone_are_in_the_stated_one() -> None:
    berlin = TimeFormat(zone=time_zone("Europe/Berlin"))
    assert parse_time("2023-05-09 09:15", berlin) == MORNING
    assert parse_time("9. Mai 2023, 9:15 Uhr", berlin) == MORNING
    assert parse_time(datetime(2023, 5, 9, 9, 15), berlin) == MORNING
    assert parse_time("2023-05-09 07:15 UTC", berlin) == MORNING
    assert parse_time(1683616500, berlin) == MORNING
    assert parse_time("2023-05-09 15:15 CST", TimeFormat(zone=time_zone("Asia/Shanghai"))) == MORNING
    assert parse_time("2023-05-09 09:15", TimeFormat(zone=time_zone("+02:00"))) == MORNING


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "../etc/passwd", "x" * 500, "/etc/localtime"])
def test_an_unknown_zone_is_explained(name: str) -> None:
    with pytest.raises(InputError, match="Europe/Berlin"):
        time_zone(name)


def test_months_in_the_main_languages() -> None:
    for month, names in {
        1: "January Jänner janv. enero gennaio janeiro januari января styczeń Ocak",
        2: "Feb Februar févr. febrero febbraio fevereiro февраль lutego Şubat",
        3: "Mar März Mrz mars marzo março maart марта marca Mart",
        8: "Aug août agosto augustus августа sierpnia Ağustos",
        10: "Oct Oktober octubre ottobre outubro октября października Ekim",
        12: "Dec Dezember décembre diciembre dezembro декабря grudnia Aralık",
    }.items():
        assert {name: month_number(name.rstrip(".")) for name in names.split()} == dict.fromkeys(names.split(), month)


PARTS = (
    "2023 09 9 31 99 / - . : , + T Z 年 月 日 時 上午 下午 오후 May Mai мая Tue EST CEST +0200 (CET) [ ] a.m. PM h Uhr "
    "07:15 07:15:60 1.7E+12 45055 Europe/Berlin ET GMT+2 ' ° st de \u202e \x00 \x01 \x02 ½ ① ٣ m=+1 W19  "
)
PIECES = st.sampled_from(PARTS.split(" "))


@settings(max_examples=500)
@given(st.one_of(st.text(max_size=120), st.lists(PIECES, max_size=14).map("".join), st.lists(PIECES).map(" ".join)))
def test_any_text_is_a_time_in_utc_or_none(text: str) -> None:
    for style in (TimeFormat(), TimeFormat(day_first=True, stated=True, serials=True, zone=ZoneInfo("Asia/Kolkata"))):
        moment = parse_time(text, style)
        assert moment is None or moment.utcoffset() == timedelta(0)


@settings(max_examples=300)
@given(st.datetimes(datetime(1990, 1, 2), datetime(2099, 12, 30)))
def test_printed_times_are_read_back(moment: datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    for pattern in (
        "%Y-%m-%d %H:%M:%S UTC",
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %B %d, %Y %I:%M:%S %p",
        "%c",
        "%d/%b/%Y:%H:%M:%S +0000",
        "%Y年%m月%d日 %H时%M分%S秒",
        "%d.%m.%Y %H:%M:%S",
        "%Y%m%dT%H%M%SZ",
        "%s",
    ):
        written = str(int(moment.timestamp())) if pattern == "%s" else moment.strftime(pattern)
        assert parse_time(written) == moment, written
