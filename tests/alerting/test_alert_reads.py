from __future__ import annotations

import json
from datetime import timedelta
from threading import Event
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from alerting.judging.runner import Runner
from core.errors import InputError
from core.store.alerts import list_alerts
from core.store.connection import open_engine
from newstide.commands.alerts import alerts
from tests.alerting.surge_streams import (
    BANK,
    MONDAY,
    MakeSettings,
    declare_replay,
    fill_stories,
    fill_trends,
    fortnight,
)

TROUBLE = MONDAY + timedelta(days=6.5)


def test_alerts_are_listed_and_filtered(
    make_settings: MakeSettings, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_trends(connection, fortnight())
    fill_stories(connection, BANK, TROUBLE + timedelta(minutes=10), ["Bank [bold]fraud[/bold] probe"])
    declare_replay(connection, MONDAY + timedelta(days=14))
    settings = make_settings()
    Runner(settings, [], Event()).run(until_drained=True)
    engine = open_engine(settings)
    try:
        every = list_alerts(engine)
        assert every == sorted(every, key=lambda row: row.opened_at, reverse=True)
        (bank,) = list_alerts(engine, series="entity=BANK")
        assert bank.series == "entity=BANK"
        assert bank.state == "closed"
        assert TROUBLE < bank.opened_at <= bank.peak_at <= bank.last_at < bank.closed_at  # type: ignore[operator]
        assert list_alerts(engine, state="open") == []
        assert bank not in list_alerts(engine, since=bank.last_at + timedelta(days=1))
        assert bank in list_alerts(engine, since=bank.last_at)
        assert len(list_alerts(engine, limit=1)) == 1
        with pytest.raises(InputError, match="open"):
            list_alerts(engine, state="gone")
        with pytest.raises(InputError, match="entity=TICKER"):
            list_alerts(engine, series="BANK")
    finally:
        engine.dispose()

    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", settings.database.url or "")
    result = CliRunner().invoke(alerts, ["list", "--series", "entity=BANK", "--json"])
    assert result.exit_code == 0, result.output
    (document,) = json.loads(result.stdout)
    assert document == bank.to_json()
    shown = CliRunner().invoke(alerts, ["list"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert "entity=BANK" in shown.stdout
    none = CliRunner().invoke(alerts, ["list", "--state", "open"])
    assert none.stdout == "no alerts\n"
