"""What is known of a file before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.dead_letters import dead_letter
from core.errors import InputError
from core.readers import ReadOptions
from ingest.mapping import parse_map
from ingest.replay_plan import ReplayOptions, ReplayPlan, plan_replay
from ingest.reread import reread
from ingest.transform import transform
from ingest.written_times import TimeFormat
from ingest.zones import time_zone

Write = Callable[[str, str | bytes], Path]
MAP = "id=id,text=text,published_at=date"


def plan(path: Path, mapping: str = MAP, **options: Any) -> ReplayPlan:
    return plan_replay(path, ReplayOptions(fields=parse_map(mapping), source="desk", **options))


def times(planned: ReplayPlan) -> list[datetime | None]:
    file = planned.open()
    try:
        rows = [row.fields or {} for row in file.rows()]
    finally:
        file.close()
    messages = [transform(row, planned.options.fields, source="desk", times=planned.times) for row in rows]
    return [message.published_at if message.has_own_time else None for message in messages]


def table(*dates: str) -> str:
    return "id;date;text\n" + "".join(f"{n};{date};The mill is up\n" for n, date in enumerate(dates))


def days(*dates: tuple[int, int, int]) -> list[datetime]:
    return [datetime(*date, tzinfo=UTC) for date in dates]


def test_the_order_of_day_and_month_is_that_of_the_column(write: Write) -> None:
    assert times(plan(write("x.csv", table("11/03/2021", "03/05/2021", "20/10/2021")))) == days(
        (2021, 3, 11), (2021, 5, 3), (2021, 10, 20)
    )
    assert times(plan(write("y.csv", table("03/11/2021", "05/03/2021", "10/20/2021")))) == days(
        (2021, 3, 11), (2021, 5, 3), (2021, 10, 20)
    )
    assert times(plan(write("z.csv", table("04.03.2021", "05.03.2021")))) == days((2021, 3, 4), (2021, 3, 5))


def test_an_open_order_is_asked_for(write: Write) -> None:
    path = write("x.csv", table("03/04/2021", "05/04/2021"))
    with pytest.raises(InputError, match=r"column `date` .*`03/04/2021`.* --day-first or --month-first"):
        plan(path)
    for day_first, expected in ((True, days((2021, 4, 3), (2021, 4, 5))), (False, days((2021, 3, 4), (2021, 5, 4)))):
        assert times(plan(path, times=TimeFormat(day_first=day_first, stated=True))) == expected


def test_years_of_two_digits_need_a_stated_order(write: Write) -> None:
    path = write("x.csv", table("25/04/21", "26/04/21"))
    with pytest.raises(InputError, match=r"years of two digits .*--day-first"):
        plan(path)
    assert times(plan(path, times=TimeFormat(day_first=True, stated=True))) == days((2021, 4, 25), (2021, 4, 26))


def test_dates_in_both_orders_are_read_where_they_are_certain(write: Write) -> None:
    planned = plan(write("x.csv", table("13/04/2021", "04/13/2021", "03/04/2021")))
    assert times(planned) == [*days((2021, 4, 13), (2021, 4, 13)), None]
    assert "both orders" in planned.warnings[0]


def test_a_column_of_times_that_are_none_is_refused(write: Write) -> None:
    path = write("x.csv", table("soon", "later"))
    with pytest.raises(InputError, match=r"no time in column `date` .*`soon`, `later`.*published_at=date\?"):
        plan(path)
    optional = plan(path, "id=id,text=text,published_at=date?")
    assert times(optional) == [None, None]
    assert "`soon`" in optional.warnings[0]
    with pytest.raises(InputError, match="can't be read as a time"):
        plan(path, "text=text,published_at=@soon")
    assert "--map published_at=" in plan(path, "id=id,text=text").warnings[0]
    assert "blank" in plan(write("y.csv", table("", ""))).warnings[0]


def test_days_and_rounded_times_of_a_spreadsheet(write: Write) -> None:
    planned = plan(write("x.csv", table("45055,302083", "45055.302083", "1.68362E+12")))
    assert times(planned)[:2] == [datetime(2023, 5, 9, 7, 15, tzinfo=UTC)] * 2
    assert "10000 s" in planned.warnings[0]


def test_a_stated_zone(write: Write) -> None:
    planned = plan(write("x.csv", table("09.05.2023 09:15")), times=TimeFormat(zone=time_zone("Europe/Berlin")))
    assert times(planned) == [datetime(2023, 5, 9, 7, 15, tzinfo=UTC)]


def test_one_document_on_one_line_is_explained(write: Write) -> None:
    path = write("x.json", json.dumps({"status": "ok", "items": [{"id": 1, "text": "a"}]}))
    with pytest.raises(InputError, match=r"jq -c '\.items\[\]'"):
        plan(path)


def test_records_none_of_which_makes_a_message_are_refused(write: Write) -> None:
    path = write("x.jsonl", '{"id": {"a": 1}, "text": "a", "date": 1683616500}\n' * 3)
    with pytest.raises(InputError, match="none of its first 3 records makes a message: field `id`"):
        plan(path)


def test_a_header_below_other_lines_is_found_by_the_map(write: Write) -> None:
    path = write("x.csv", "News; all; 2023\n;;\nid;date;text\n1;2023-05-09;The mill is up\n")
    assert times(plan(path)) == days((2023, 5, 9))


@pytest.mark.parametrize(
    ("name", "content", "value"),
    [
        ("x.csv", table("11/03/2021", "20/10/2021") + "\n", b'1;03/05/2021;"The" mill; up'.replace(b"; up", b" up")),
        ("x.csv", "id;date;text;;\n1;20/10/2021;Mill;;\n", b"1;03/05/2021;Mill;"),
        (
            "x.csv",
            table("20/10/2021").replace("mill", "größte Bäckerei").encode("cp1252"),
            "1;03/05/2021;Öl".encode("cp1252"),
        ),
        (
            "x.jsonl",
            '{"id": 1, "date": "20/10/2021", "text": "a"}',
            b'{"id": 1, "date": "03/05/2021", "text": NaN, "text": "b"}',
        ),
        (
            "x.jsonl",
            '{"id": 1, "date": "20/10/2021", "text": "a"}',
            b'\x00\x00\x00\x00\x07{"id": 1, "date": "03/05/2021", "text": "b"}',
        ),
    ],
)
def test_a_dead_letter_can_be_read_again_as_its_file_is(
    write: Write, name: str, content: str | bytes, value: bytes
) -> None:
    options = ReadOptions(encoding="cp1252") if isinstance(content, bytes) else ReadOptions()
    context = plan(write(name, content), read=options).context
    letter = dead_letter(value, "for a test", origin="x", stage="ingest", topic="t", context=context)
    message = reread(letter.value or b"", letter.context, datetime.now(UTC))
    assert message.published_at == datetime(2021, 5, 3, tzinfo=UTC)
    assert message.source == "desk"
