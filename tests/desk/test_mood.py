"""The mood side of the API: every number equals the rows it stands for."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, Engine, text

from desk.rollup import Rollup
from desk.shares import wilson
from tests.desk.newsroom import BANK, FIRST, PRESENT, TOPICS, get

SECONDS = {"15m": 900, "1h": 3600, "6h": 21_600, "1d": 86_400}
DAY = timedelta(days=1)


def counted(
    rows: Connection, kind: str, since: datetime, until: datetime, step_s: int = 10**9
) -> dict[str, Counter[tuple[int, str]]]:
    """Name -> how many stories began in each step with each sentiment, told from the stories themselves."""
    found: dict[str, Counter[tuple[int, str]]] = {}
    query = text(
        "SELECT name, first_at, sentiment FROM story_series "
        "WHERE kind = :kind AND first_at >= :since AND first_at < :until"
    )
    for row in rows.execute(query, {"kind": kind, "since": since, "until": until}):
        step = int(row.first_at.timestamp()) // step_s
        found.setdefault(row.name, Counter())[step, row.sentiment] += 1
    return found


def test_the_strip_counts_the_stories_of_its_window(ann: TestClient, rows: Connection) -> None:
    strip = get(ann, "/mood", window=1440)
    now = sum(counted(rows, "all", PRESENT - DAY, PRESENT).values(), Counter())
    by_sentiment = {sentiment: number for (_, sentiment), number in now.items()}
    assert {name: strip[name] for name in by_sentiment} == by_sentiment
    assert strip["stories"] == sum(by_sentiment.values())
    assert strip["mood"] == round((by_sentiment["positive"] - by_sentiment["negative"]) / strip["stories"], 4)
    before = sum(counted(rows, "all", PRESENT - 2 * DAY, PRESENT - DAY).values(), Counter())
    assert strip["stories_before"] == before.total()
    mood_before = (strip["mood"] - strip["change"]) * before.total()
    assert mood_before == pytest.approx(
        sum(number * {"positive": 1, "negative": -1}.get(sentiment, 0) for (_, sentiment), number in before.items()),
        abs=0.02,
    )
    assert datetime.fromisoformat(strip["until"]) == PRESENT
    assert (strip["pages_7d"], strip["budget_per_week"]) == (1, 1.0)


@pytest.mark.parametrize("rolled", [False, True])
@pytest.mark.parametrize(("kind", "bucket", "days"), [("topic", "15m", 2), ("entity", "1h", 7), ("source", "1d", 20)])
def test_every_cell_of_the_heat_map_counts_its_stories(
    ann: TestClient, rows: Connection, engine: Engine, kind: str, bucket: str, days: int, rolled: bool
) -> None:
    if rolled:
        Rollup(engine).roll()
    since = PRESENT - timedelta(days=days)
    heat = get(ann, "/mood/heat", kind=kind, bucket=bucket, **{"from": since.isoformat()})
    times = [datetime.fromisoformat(time) for time in heat["times"]]
    true = counted(rows, kind, times[0], times[-1] + timedelta(seconds=SECONDS[bucket]), SECONDS[bucket])
    assert {row["name"] for row in heat["rows"]} == set(true)
    for row in heat["rows"]:
        steps = [int(time.timestamp()) // SECONDS[bucket] for time in times]
        assert row["negative"] == [true[row["name"]][step, "negative"] for step in steps]
        stories = [sum(true[row["name"]][step, each] for each in ("negative", "neutral", "positive")) for step in steps]
        assert row["stories"] == stories
        shares = [round(n / of, 4) if of else None for n, of in zip(row["negative"], stories, strict=True)]
        assert row["share"] == shares


@pytest.mark.parametrize(
    ("address", "series", "window", "bucket", "shown"),
    [
        ({}, "all/all", ("2026-06-14T12:00:00Z", "2026-06-15T12:00:00Z"), "1h", None),
        (
            {"range": "30d", "kind": "entity", "series": f"entity={BANK}", "sentiment": "negative"},
            f"entity/{BANK}",
            ("2026-05-17T00:00:00Z", "2026-06-16T00:00:00Z"),
            "1d",
            None,
        ),
        (
            {
                "range": "7d",
                "bucket": "1h",
                "until": "2026-06-14T09:30:00Z",
                "source": "globalwire",
                "from": "2026-06-12T02:15:00Z",
                "to": "2026-06-12T19:00:00Z",
                "metric": "share",
            },
            "all/all",
            ("2026-06-07T10:00:00Z", "2026-06-14T10:00:00Z"),
            "1h",
            ("2026-06-12T02:15:00Z", "2026-06-12T19:00:00Z"),
        ),
        (
            {"range": "6h", "bucket": "1d", "from": "2026-06-13T00:00:00Z"},
            "all/all",
            ("2026-06-15T06:00:00Z", "2026-06-15T12:00:00Z"),
            "15m",
            None,
        ),
    ],
)
def test_all_views_in_one_answer_are_those_of_their_routes(
    ann: TestClient,
    address: dict[str, str],
    series: str,
    window: tuple[str, str],
    bucket: str,
    shown: tuple[str, str] | None,
) -> None:
    whole = dict(zip(("from", "to"), window, strict=True))
    lists = dict(zip(("from", "to"), shown or window, strict=True))
    kind, name = address.get("kind", "topic"), address.get("series", "all")
    of_stories = {key: address[key] for key in ("sentiment", "source") if key in address}
    overview = get(ann, "/mood/overview", **address)
    assert (overview["window"], overview["bucket"]) == ({"since": window[0], "until": window[1]}, bucket)
    assert overview["shown"] == {"since": lists["from"], "until": lists["to"]}
    strip = get(ann, "/mood", **{key: address[key] for key in ("until",) if key in address})
    assert {**overview["strip"], "freshness_s": 0} == {**strip, "freshness_s": 0}
    assert overview["open"] == get(ann, "/incidents", state="open", limit=3)
    assert overview["latest"] is None
    assert overview["heat"] == get(ann, "/mood/heat", kind=kind, bucket=bucket, limit=20, **whole)
    assert overview["course"] == get(ann, f"/series/{series}", bucket=bucket, **whole)
    assert overview["movers"] == get(ann, "/mood/movers", kind=kind, limit=25, **lists)
    assert overview["stories"] == get(ann, "/stories", series=name, limit=25, **of_stories, **lists)
    assert overview["terms"] == get(ann, "/terms", series=name, **lists)
    assert overview["sources"] == get(ann, "/sources", **lists)
    assert all(overview[view]["items"] for view in ("movers", "stories", "sources"))


def test_an_overview_of_what_is_not_is_refused(ann: TestClient) -> None:
    for address, status in (({"range": "2y"}, 422), ({"series": "topic="}, 422), ({"from": "then"}, 422)):
        get(ann, "/mood/overview", status, **address)


def test_trouble_stands_out(ann: TestClient) -> None:
    heat = get(ann, "/mood/heat", kind="entity", bucket="1h")
    first = heat["rows"][0]
    assert first["name"] == BANK
    assert max(first["surprise"]) == first["surprise"][-1] > 5
    assert get(ann, "/mood/movers")["items"][0]["name"] == BANK


def test_incomplete_steps_are_never_surprising_for_having_few(ann: TestClient) -> None:
    later = (PRESENT + timedelta(hours=3)).isoformat()
    heat = get(ann, "/mood/heat", bucket="1h", **{"from": PRESENT.isoformat(), "to": later})
    assert heat["complete_until"] == "2026-06-15T12:00:00Z"
    earlier = get(ann, "/mood/heat", bucket="1h", to=later)
    assert all(value >= 0 for row in earlier["rows"] for value in row["surprise"][-3:])


@pytest.mark.parametrize("days", [1, 9])
def test_movers_are_counted_exactly(ann: TestClient, rows: Connection, days: int) -> None:
    movers = get(ann, "/mood/movers", kind="entity", **{"from": (PRESENT - timedelta(days=days)).isoformat()})
    true = counted(rows, "entity", PRESENT - timedelta(days=days), PRESENT)
    reach = text(
        "SELECT entity, count(*) AS messages FROM message, unnest(entities) AS entity "
        "WHERE published_at >= :since AND published_at < :until GROUP BY 1"
    )
    span = {"since": PRESENT - timedelta(days=days), "until": PRESENT}
    messages = {row.entity: row.messages for row in rows.execute(reach, span)}
    for mover in movers["items"]:
        stories = true[mover["name"]]
        negative = sum(number for (_, sentiment), number in stories.items() if sentiment == "negative")
        share = wilson(negative, stories.total())
        assert share is not None
        assert (mover["stories"], mover["negative"], mover["reach"]) == (
            stories.total(),
            negative,
            messages[mover["name"]],
        )
        assert (mover["share"], mover["share_low"], mover["share_high"]) == tuple(
            round(value, 4) for value in (share.value, share.low, share.high)
        )
        assert mover["novelty"] == round(stories.total() / messages[mover["name"]], 4)


def test_a_course_has_the_same_numbers_as_the_heat_map(ann: TestClient) -> None:
    heat = get(ann, "/mood/heat", kind="entity", bucket="1h")
    for row in heat["rows"]:
        course = get(ann, f"/series/entity/{row['name']}", bucket="1h")
        assert course["times"] == heat["times"]
        for name in ("negative", "expected"):
            assert course[name] == row[name]
        assert course["surprise"] == row["surprise"]


def test_a_course_tells_of_alerts_and_messages(ann: TestClient, rows: Connection) -> None:
    course = get(ann, f"/series/entity/{BANK}")
    assert [alert["opened_at"] for alert in course["alerts"]] == ["2026-06-15T11:40:00Z"]
    query = (
        "SELECT count(*) FROM message WHERE :bank = ANY(entities) AND published_at >= :since AND published_at < :until"
    )
    span = {"bank": BANK, "since": PRESENT - DAY, "until": PRESENT}
    assert sum(course["messages"]) == rows.execute(text(query), span).scalar_one()
    assert all(low <= high for low, high in zip(course["low"], course["high"], strict=True))
    assert course["bucket"] == "15m"


def test_the_arithmetic_can_be_worked_out_again(ann: TestClient, rows: Connection) -> None:
    at = "2026-06-15T11:30:00Z"
    told = get(ann, f"/series/entity/{BANK}/arithmetic", at=at, bucket="1h")
    assert told["level"] == pytest.approx((told["level_sum"] + 1) / (told["level_hours"] + 24), abs=1e-6)
    daily = (sum(day["negative"] for day in told["days"]) + 4 * told["level"]) / (len(told["days"]) + 4)
    assert told["daily"] == pytest.approx(daily, abs=1e-6)
    hourly = (sum(week["negative"] for week in told["weeks"]) + 4 * daily) / (len(told["weeks"]) + 4)
    assert told["expected"] == told["hourly"] == pytest.approx(hourly, abs=1e-6)
    true = counted(rows, "entity", FIRST, PRESENT, 3600)[BANK]
    for piece in [*told["days"], *told["weeks"], {"at": told["at"], "negative": told["observed"]}]:
        hour = int(datetime.fromisoformat(piece["at"]).timestamp()) // 3600
        assert piece["negative"] == true[hour, "negative"]
    heat = get(ann, "/mood/heat", kind="entity", bucket="1h")
    assert told["surprise"] == pytest.approx(heat["rows"][0]["surprise"][-1], abs=1e-3)


def test_series_are_found_by_a_part_of_their_name(ann: TestClient, engine: Engine) -> None:
    for _ in range(2):
        found = get(ann, "/series", q="OIL")
        assert [(each["kind"], each["name"]) for each in found["items"]] == [("topic", "Energy | Oil")]
        Rollup(engine).roll()
    everything = get(ann, "/series")["items"]
    assert {each["name"] for each in everything if each["kind"] == "topic"} == set(TOPICS)
    assert {each["label"] for each in everything if each["kind"] == "source"} == {"GlobalWire", "S&P Global"}


def test_a_source_is_known_however_it_is_written(ann: TestClient) -> None:
    assert get(ann, "/series/source/S&P Global")["name"] == "s&p-global"
    assert sum(get(ann, "/series/source/S&P Global")["messages"]) > 0


def test_sources_are_counted_exactly(ann: TestClient, rows: Connection) -> None:
    true = counted(rows, "source", PRESENT - DAY, PRESENT)
    for source in get(ann, "/sources")["items"]:
        stories = true[source["name"]]
        assert source["stories"] == stories.total()
        assert source["negative"] == sum(n for (_, sentiment), n in stories.items() if sentiment == "negative")


@pytest.mark.parametrize(
    ("address", "parameters"),
    [
        ("/mood/heat", {"from": PRESENT.isoformat(), "to": FIRST.isoformat()}),
        ("/mood/heat", {"from": FIRST.isoformat(), "bucket": "5m"}),
        ("/mood/heat", {"from": "2026-06-01T00:00:00"}),
        ("/mood/heat", {"from": "9999-12-31T23:59:59Z"}),
        ("/mood/heat", {"from": "1990-01-01T00:00:00Z", "to": PRESENT.isoformat()}),
        ("/stories", {"series": "nothing"}),
        ("/stories", {"cursor": "WyIyMDI2LTA2LTE1IiwieCJd"}),
        ("/search", {"q": "a\x00b"}),
    ],
)
def test_what_can_not_be_answered_is_the_fault_of_the_request(
    ann: TestClient, address: str, parameters: dict[str, Any]
) -> None:
    assert get(ann, address, status=422, **parameters)["title"].startswith("Unprocessable")


def test_an_empty_store_answers_everything(login: Any) -> None:
    bob = login("bob", "viewer")
    for address in (
        "/mood",
        "/mood/overview",
        "/mood/heat",
        "/mood/movers",
        "/series",
        "/series/all/all",
        "/stories",
        "/terms",
    ):
        get(bob, address)
    assert get(bob, "/mood")["mood"] is None
    assert get(bob, "/series/topic/none/arithmetic", at=PRESENT.isoformat())["surprise"] is None
    for address in ("/sources", "/incidents", "/incidents/figures", "/search"):
        get(bob, address)
