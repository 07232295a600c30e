"""`newstide backtest --trends` and `newstide alerts tune`, on stored trends."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import numpy as np
import psycopg
import pytest
from click.testing import CliRunner, Result

from alerting.backtest.tuning import Plan, inject
from alerting.detection.detector import Series
from alerting.steps import Steps
from core.errors import InputError
from newstide.commands.alerts import alerts
from newstide.commands.backtest import backtest
from tests.alerting.surge_streams import (
    BANK,
    MONDAY,
    PER_DAY,
    START,
    MakeSettings,
    daily,
    fill_trends,
    fortnight,
    stream,
)

BUSY, SLOW = Series("entity", "BUSY"), Series("entity", "SLOW")
PLAN = Plan([1.0], [2.0, 5.0], 60, 7, 0)


def invoke(make_settings: MakeSettings, command: click.Command, *arguments: str) -> Result:
    """Run `command` on the database of `make_settings`."""
    environment = {"NEWSTIDE_DATABASE__URL": make_settings().database.url}
    result = CliRunner().invoke(command, arguments, env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_past_is_told_as_it_would_have_been(
    make_settings: MakeSettings, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    fill_trends(connection, fortnight())
    plot = tmp_path / "plot.html"
    whole = json.loads(invoke(make_settings, backtest, "--trends", "--plot", str(plot)).stdout)
    surge = MONDAY + timedelta(days=6.5)
    banks = [item for item in whole if item["series"] == "entity=BANK"]
    assert [surge <= datetime.fromisoformat(item["start"]) <= surge + timedelta(hours=2) for item in banks] == [True]
    assert set(whole[0]) == {"start", "end", "peak", "observed", "expected", "score", "series", "signal"}
    assert "entity=BANK: negative" in plot.read_text()
    later = invoke(make_settings, backtest, "--trends", "--since", "2026-03-10")
    assert json.loads(later.stdout) == [item for item in whole if item["start"] >= "2026-03-10"]


def test_an_outage_is_no_series_to_draw_and_no_page_of_the_budget(
    make_settings: MakeSettings, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    busy = daily(28, 40, np.random.default_rng(0))
    busy[20 * PER_DAY : 22 * PER_DAY] = 0
    fill_trends(connection, stream({BUSY: busy}))
    plot = tmp_path / "plot.html"
    found = json.loads(invoke(make_settings, backtest, "--trends", "--plot", str(plot)).stdout)
    assert "outage=ingest" in {item["series"] for item in found}
    assert "outage" not in plot.read_text()
    arguments = ["tune", "--learn-days", "10", "--ratio", "5", "--budget", "0.001", "--json"]
    [row] = json.loads(invoke(make_settings, alerts, *arguments).stdout)
    assert row["pages_per_week"] == 0


def test_without_trends_there_is_nothing_to_judge(make_settings: MakeSettings) -> None:
    for command, *arguments in ((backtest, "--trends"), (alerts, "tune")):
        with pytest.raises(InputError, match="no trends are stored yet"):
            invoke(make_settings, command, *arguments)


def test_since_after_the_last_trend_is_refused(
    make_settings: MakeSettings, connection: psycopg.Connection[Any]
) -> None:
    fill_trends(connection, fortnight())
    with pytest.raises(InputError, match="the trends end at 2026-03-1"):
        invoke(make_settings, backtest, "--trends", "--since", "2027-01-01")


@pytest.mark.parametrize("budget", ["0", "-1", "nan", "inf"])
def test_a_budget_that_is_none_is_refused(make_settings: MakeSettings, budget: str) -> None:
    for command, *arguments in ((backtest, "--trends"), (alerts, "tune")):
        with pytest.raises(InputError, match="budget"):
            invoke(make_settings, command, *arguments, "--budget", budget)


def test_tuning_shows_what_a_budget_buys(make_settings: MakeSettings, connection: psycopg.Connection[Any]) -> None:
    rng = np.random.default_rng(0)
    fill_trends(connection, stream({BUSY: daily(28, 40, rng), SLOW: daily(28, 0.05, rng)}))
    arguments = ["tune", "--learn-days", "10", "--ratio", "1.5", "--ratio", "5"]
    arguments += ["--budget", "0.1", "--budget", "10"]
    shown = json.loads(invoke(make_settings, alerts, *arguments, "--json").stdout)
    assert [row["budget"] for row in shown] == [0.1, 10]
    small, large = ({each["ratio"]: each for each in row["surges"]} for row in shown)
    assert small[5]["share"] > 0.8
    assert small[5]["share"] >= small[1.5]["share"]
    assert 5 <= small[5]["delay_minutes"] <= 60
    assert {ratio: each["surges"] for ratio, each in small.items()} == {r: each["surges"] for r, each in large.items()}
    table = invoke(make_settings, alerts, *arguments)
    assert "budget a week" in table.stdout
    assert "x5" in table.stdout


def test_surges_put_into_the_past_multiply_what_is_ordinary() -> None:
    rng = np.random.default_rng(1)
    counts = stream({BUSY: daily(60, 60, rng), SLOW: daily(60, 0.05, rng)}).counts
    made = inject(counts, Steps(5), PLAN)
    assert SLOW not in made.series
    assert made.start.min() >= START + 7 * PER_DAY
    before, after = (_dense(each, BUSY) for each in (counts, made.counts))
    for ratio in PLAN.ratios:
        first = made.start[(made.ratio == ratio) & [series == BUSY for series in made.series]] - START
        inside = first[:, None] + np.arange(12)
        assert after[inside].sum() / before[inside].sum() == pytest.approx(ratio, rel=0.1)
        before[inside] = after[inside] = 0
    assert (before == after).all()


def test_the_past_must_be_long_and_busy_enough_for_surges() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(InputError, match="10 days of trends are too few"):
        inject(stream({BUSY: daily(10, 60, rng)}).counts, Steps(5), PLAN)
    with pytest.raises(InputError, match="no series is busy enough to show a surge"):
        inject(stream({BANK: daily(28, 0.02, rng)}).counts, Steps(5), PLAN)


def _dense(counts: Any, series: Series) -> np.ndarray:
    mine = counts.series == counts.names.index(series)
    return np.bincount(counts.step[mine] - START, counts.negative[mine], counts.end - counts.start)
