"""What an operator sees of incidents, and says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from threading import Event
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from alerting.judging.runner import Runner
from core.errors import InputError
from core.store.connection import open_engine
from core.store.incidents import find_incident, list_incidents, measure_false_alarms
from newstide.commands.alerts import alerts
from newstide.commands.incidents import budget_line
from tests.alerting.surge_streams import (
    BANK,
    MONDAY,
    MakeSettings,
    declare_replay,
    fill_stories,
    fill_trends,
    fortnight,
)

Connection = psycopg.Connection[Any]
Invoke = Callable[..., Result]

TITLE = "Bank [bold]fraud[/bold] probe \x1b[2J widens"


@pytest.fixture
def invoke(make_settings: MakeSettings, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """`newstide alerts` on a judged fortnight."""
    fill_trends(connection, fortnight())
    for hour in range(10):
        fill_stories(connection, BANK, MONDAY + timedelta(days=6.5, hours=hour, minutes=10), [TITLE])
    declare_replay(connection, MONDAY + timedelta(days=14))
    settings = make_settings()
    Runner(settings, [], Event()).run(until_drained=True)
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", settings.database.url or "")

    def call(*words: str, fails: bool = False) -> Result:
        result = CliRunner().invoke(alerts, words)
        assert (result.exit_code != 0) == fails, result.output
        return result

    return call


def test_incidents_are_listed_shown_and_marked(invoke: Invoke, make_settings: MakeSettings) -> None:
    listed = json.loads(invoke("list", "--json").stdout)
    assert {"incident", "signal", "series", "id", "state", "opened_at", "evidence"} <= listed[0].keys()
    documents = json.loads(invoke("incidents", "--json").stdout)
    assert {alert["id"] for document in documents for alert in document["alerts"]} == {row["id"] for row in listed}
    (bank,) = json.loads(invoke("incidents", "--series", "entity=BANK", "--json").stdout)
    assert bank["series"] == "entity=BANK"
    assert bank["sentence"].startswith("BANK: ")
    assert bank["verdict"] is None

    shown = invoke("list").stdout
    assert bank["incident"][:8] in shown
    assert bank["sentence"].removeprefix("BANK: ").rsplit(",", 1)[0] in shown
    assert "\x1b" not in shown
    assert "[bold]" in shown, "what strangers wrote is no markup"
    assert "none is marked yet" in shown
    for name in (bank["incident"], bank["incident"][:8], bank["alerts"][0]["id"][:8]):
        assert bank["sentence"] in invoke("show", name).stdout
    assert "\x1b" not in invoke("show", bank["incident"]).stdout
    assert bank["sentence"] in invoke("incidents").stdout

    assert "a false alarm" in invoke("feedback", bank["incident"][:8], "false", "--note", "a rumour").stdout
    assert "useful" in invoke("feedback", bank["incident"], "useful", "--analyst", "ann").stdout
    shown = invoke("show", bank["incident"]).stdout
    assert "a rumour" in shown
    assert "ann: useful" in shown
    document = json.loads(invoke("show", bank["incident"], "--json").stdout)
    assert [each["verdict"] for each in document["feedback"]] == ["useful", "false"]
    assert document["verdict"] == "useful", "the latest counts"
    other = next(row for row in documents if row["incident"] != bank["incident"])
    invoke("feedback", other["incident"], "false")
    assert "1 of 2 marked are false" in invoke("list").stdout
    assert "the budget is 1 false page a week" in invoke("list").stdout

    engine = open_engine(make_settings())
    try:
        measured = measure_false_alarms(engine)
        assert (measured.incidents, measured.useful, measured.false) == (len(documents), 1, 1)
        assert measured.weeks == pytest.approx(2, abs=0.01)
        assert measured.false_share == 0.5
        assert budget_line(measured, None).startswith(f"last 2 weeks: {len(documents)} pages")
        assert list_incidents(engine, state="open") == []
        assert len(list_incidents(engine, limit=1)) == 1
        assert find_incident(engine, bank["incident"].upper()).row.name == "BANK"
    finally:
        engine.dispose()


def test_what_is_no_incident_is_said(invoke: Invoke) -> None:
    for name, fault in [("xyz", "no id"), ("00000000", "there is no incident"), ("", "no id")]:
        result = invoke("show", name, fails=True)
        assert isinstance(result.exception, InputError)
        assert fault in str(result.exception)
    assert invoke("list", "--state", "open").stdout == "no alerts\n"
    assert invoke("incidents", "--state", "withdrawn").stdout == "no incidents\n"
