"""What people were paged for, and what they do about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, text

from core.settings import Settings
from core.store.connection import connect
from tests.desk.newsroom import API, BANK, INCIDENT, PRESENT, add_incident, get
from tests.desk.people import Login

AT = f"/incidents/{INCIDENT}"


@pytest.fixture
def store(newsroom: None, settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    with connect(settings, autocommit=True) as connection:
        yield connection


def post(browser: TestClient, address: str, status: int = 200, **body: Any) -> Any:
    answer = browser.post(API + address, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_incidents_come_in_pages_the_last_first(ann: TestClient, store: psycopg.Connection[Any]) -> None:
    for number in range(1, 6):
        add_incident(store, UUID(int=100 + number), PRESENT - timedelta(days=number), "closed")
    first = get(ann, "/incidents", limit=4)
    rest = get(ann, "/incidents", limit=4, cursor=first["next"])
    ids = [UUID(item["id"]).int for item in first["items"] + rest["items"]]
    assert ids == [7, 101, 102, 103, 104, 105]
    assert rest["next"] is None
    assert [item["state"] for item in get(ann, "/incidents", state="open")["items"]] == ["open"]
    assert len(get(ann, "/incidents", since=(PRESENT - timedelta(days=2)).isoformat())["items"]) == 3


def test_an_incident_has_its_alerts_evidence_and_history(ann: TestClient) -> None:
    detail = get(ann, AT)
    assert detail["incident"]["name"] == BANK
    assert detail["incident"] == get(ann, "/incidents")["items"][0]
    assert detail["incident"]["headline"] == "The bank is in trouble"
    assert detail["alerts"][0]["evidence"]["words"] == ["trouble"]
    assert [change["change"] for change in detail["history"]] == ["opened"]
    assert (detail["handling"], detail["feedback"]) == ([], [])
    get(ann, f"/incidents/{UUID(int=1)}", status=404)


def test_handling_adds_up(ann: TestClient, rows: Connection) -> None:
    until = "2026-06-16T08:00:00Z"
    assert post(ann, f"{AT}/snooze", until=until)["incident"]["snoozed_until"] == until
    found = post(ann, f"{AT}/acknowledgement")["incident"]
    assert (found["acknowledged"], found["snoozed_until"], found["handled_by"]) == (True, until, "ann")
    assert rows.execute(text("SELECT count(*) FROM incident_handling")).scalar_one() == 2
    assert [each["acknowledged"] for each in get(ann, AT)["handling"]] == [True, False]


def test_the_latest_verdict_counts_and_is_measured(ann: TestClient, rows: Connection) -> None:
    post(ann, f"{AT}/feedback", verdict="false", note="a false alarm")
    figures = get(ann, "/incidents/figures")
    assert (figures["incidents"], figures["false"], figures["false_share"]) == (1, 1, 1.0)
    assert figures["false_per_week"] == pytest.approx(1 / 3)
    assert post(ann, f"{AT}/feedback", verdict="useful")["incident"]["verdict"] == "useful"
    assert get(ann, "/incidents/figures")["false"] == 0
    stored = rows.execute(text("SELECT verdict, analyst, note FROM feedback ORDER BY id")).all()
    assert [tuple(row) for row in stored] == [("false", "ann", "a false alarm"), ("useful", "ann", "")]


def test_what_is_done_is_in_the_audit_log(ann: TestClient, rows: Connection) -> None:
    post(ann, f"{AT}/acknowledgement")
    post(ann, f"{AT}/feedback", verdict="useful")
    done = rows.execute(text("SELECT account, action, subject FROM audit_event ORDER BY id DESC LIMIT 2")).all()
    assert [tuple(row) for row in done] == [
        ("ann", "mark incident", str(INCIDENT)),
        ("ann", "acknowledge incident", str(INCIDENT)),
    ]


@pytest.mark.parametrize(
    ("deed", "body"), [("acknowledgement", {}), ("snooze", {"until": "2026-06-16T08:00:00Z"}),
                       ("feedback", {"verdict": "false"})]
)  # fmt: skip
def test_a_viewer_looks_and_touches_nothing(
    newsroom: None, login: Login, rows: Connection, deed: str, body: dict[str, str]
) -> None:
    viewer = login("vic", "viewer")
    get(viewer, AT)
    post(viewer, f"{AT}/{deed}", status=403, **body)
    analyst = login("ann", "analyst")
    post(analyst, f"/incidents/{UUID(int=1)}/{deed}", status=404, **body)
    assert rows.execute(text("SELECT count(*) FROM feedback")).scalar_one() == 0
    assert rows.execute(text("SELECT count(*) FROM incident_handling")).scalar_one() == 0
