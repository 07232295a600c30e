from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from alerting.backtest import html
from alerting.backtest.panel import make_panel
from alerting.backtest.run import Recorder, backtest, find, one_series, weekly
from alerting.backtest.table import Table, as_counts, read_table
from alerting.backtest.watcher import open_detector
from alerting.backtest.windows import Window, read_windows, score_windows
from alerting.detection.detector import ALL, Counts, Trace
from alerting.steps import Steps
from core.errors import InputError
from core.settings import AlertingSettings
from newstide.commands.backtest import backtest as command

START = datetime(2026, 1, 5, tzinfo=UTC)


def make_table(days: int = 42, step: int = 5, seed: int = 0) -> Table:
    """Bursty counts with a daily rhythm and one real surge, of five hours on day 30."""
    rng = np.random.default_rng(seed)
    per_day = 1440 // step
    steps = np.arange(days * per_day)
    rate = 20 * step / 60 * (1 + 0.6 * np.sin(2 * np.pi * steps / per_day))
    bursts = np.repeat(rng.gamma(3, 1 / 3, -(-len(steps) * step // 60)), max(1, 60 // step))[: len(steps)]
    values = rng.poisson(rate * bursts).astype(float)
    first = 30 * per_day + per_day // 2
    values[first : first + 300 // step] += 100 * step / 60
    return Table(START, step, values)


def write(path: Path, table: Table) -> Path:
    step = timedelta(minutes=table.step_minutes)
    rows = [f"{(table.start + i * step):%Y-%m-%d %H:%M:%S},{value:g}" for i, value in enumerate(table.values)]
    path.write_text("timestamp,value\n" + "\n".join(rows) + "\n")
    return path


def overlaps(found: list[dict[str, str]], first: datetime, last: datetime) -> bool:
    return any(
        datetime.fromisoformat(item["start"]) <= last and datetime.fromisoformat(item["end"]) >= first for item in found
    )


@pytest.mark.parametrize("step", [5, 60])
def test_the_command_finds_the_surge(tmp_path: Path, step: int) -> None:
    source, out = write(tmp_path / "series.csv", make_table(step=step)), tmp_path / "found.json"
    result = CliRunner().invoke(command, [str(source), "--budget", "0.5", "--json", str(out)])
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    assert found
    assert set(found[0]) == {"start", "end", "peak", "observed", "expected", "score"}
    surge = START + timedelta(days=30.5)
    assert overlaps(found, surge, surge + timedelta(hours=5))
    assert all(item["start"] <= item["peak"] <= item["end"] for item in found)
    assert f"{len(found)} alerts written to {out}" in result.stderr


def test_a_much_larger_budget_finds_more() -> None:
    table = make_table()
    counts = [len(backtest(table, AlertingSettings(), budget)) for budget in (0.05, 0.5, 5)]
    assert counts[0] >= 1
    assert counts[2] > max(counts[:2])


def test_a_budget_is_kept_on_ordinary_days() -> None:
    found = 0
    for seed in range(6):
        table = make_table(seed=seed)
        calm = Table(table.start, table.step_minutes, table.values[: 29 * 288])
        found += len(backtest(calm, AlertingSettings(), 1.0))
    weeks = 6 * 29 / 7
    assert found <= 2 * weeks


@pytest.mark.parametrize("budget", [0.001, 10.0, 168.0])
def test_extreme_budgets_are_judged(budget: float) -> None:
    found = backtest(make_table(days=33), AlertingSettings(), budget)
    assert len(found) <= 33 / 7 * budget + 1


@pytest.mark.parametrize("budget", [0, -1, 169, float("nan"), float("inf")])
def test_a_budget_that_cannot_be_met_is_refused(budget: float) -> None:
    with pytest.raises(InputError, match="budget"):
        backtest(make_table(days=1), AlertingSettings(), budget)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no column"),
        ("time,value\n1,2\n", "no column timestamp"),
        ("timestamp,value\n", "0 rows"),
        ("timestamp,value\n2026-01-01,1\n", "1 rows"),
        ("timestamp,value\nyesterday,1\n2026-01-02,1\n", "line 2: 'yesterday' is no time"),
        ("timestamp,value\n2026-01-01,1\n2026-01-02,many\n", "line 3: 'many' is no count"),
        ("timestamp,value\n2026-01-01,1\n2026-01-02,nan\n", "line 3: 'nan' is no count"),
        ("timestamp,value\n2026-01-01,1\n2026-01-02\n", "line 3: None is no count"),
        ("timestamp,value\n2026-01-01,-1\n2026-01-02,1\n", "line 2: '-1' is no count"),
        ("timestamp,value\n2026-01-02,1\n2026-01-01,1\n", "line 3: .* not later"),
        ("timestamp,value\n2026-01-01,1\n2026-01-01,1\n", "line 3: .* not later"),
        ("timestamp,value\n2026-01-01,1\n2026-01-02,1\n2026-01-04,1\n", "line 4: .* not one step"),
        ("timestamp,value\n2026-01-01T00:00:00,1\n2026-01-01T00:00:10,1\n", "step of 10 s"),
        ("timestamp,value\n2026-01-01T00:00:00,1\n2026-01-01T00:07:00,1\n", "step of 420 s"),
        ("timestamp,value\n0001-01-01T00:00:00+14:00,1\n2026-01-01,1\n", "line 2"),
    ],
)
def test_a_series_that_cannot_be_used_is_refused(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "series.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=named):
        read_table(path)


def test_files_that_are_no_text_or_absent_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    with pytest.raises(InputError, match="can't be read"):
        read_table(path)
    path.write_bytes(b"timestamp,value\n\xff\xfe\x00,1\n")
    with pytest.raises(InputError, match=str(path)):
        read_table(path)


def test_times_without_a_zone_are_utc_and_others_are_converted(tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    path.write_text("value,timestamp\n1,2026-01-01T02:00:00+02:00\n2,2026-01-01 01:00:00\n")
    table = read_table(path)
    assert (table.start, table.step_minutes, table.values.tolist()) == (datetime(2026, 1, 1, tzinfo=UTC), 60, [1, 2])


def test_daily_and_large_counts_work() -> None:
    rng = np.random.default_rng(1)
    values = rng.poisson(1e6, 100).astype(float)
    values[70] *= 5
    found = backtest(Table(START, 1440, values), AlertingSettings(), 0.1)
    assert [item.start for item in found] == [START + timedelta(days=70)]


def test_what_comes_later_changes_no_earlier_alert() -> None:
    whole = make_table()
    cut = Table(whole.start, whole.step_minutes, whole.values[: 31 * 288])
    end = START + timedelta(days=31)
    found = [item for item in backtest(whole, AlertingSettings(), 1.0) if item.end < end]
    assert found == [item for item in backtest(cut, AlertingSettings(), 1.0) if item.end < end]
    assert found


def test_labelled_windows_are_scored(tmp_path: Path) -> None:
    source = write(tmp_path / "series.csv", make_table())
    surge = START + timedelta(days=30.5)
    windows = [[surge.isoformat(), (surge + timedelta(hours=5)).isoformat()]]
    (tmp_path / "windows.json").write_text(json.dumps({"other.csv": [], "series.csv": windows}))
    result = CliRunner().invoke(command, [str(source), "--labels", str(tmp_path / "windows.json")])
    assert result.exit_code == 0, result.output
    assert "1 of 1 windows found, in the median" in result.stderr
    assert "a week (95% interval" in result.stderr


def test_windows_are_scored_by_the_start_of_alarms() -> None:
    def at(day: float) -> datetime:
        return START + timedelta(days=day)

    windows = [Window(at(1), at(2)), Window(at(10), at(11)), Window(at(10.5), at(12)), Window(at(20), at(21))]
    scored = score_windows([at(9), at(10.75), at(11.5), at(22)], windows, judged_from=at(7), end=at(28))
    assert (scored.windows, scored.found, scored.false_alarms) == (3, 2, 2)
    assert scored.delay_minutes == 0.5 * (0.75 + 0.25) * 1440
    assert scored.weeks == pytest.approx((21 - 3) / 7)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "can't be read as JSON"),
        ("3", "no list of windows"),
        ('{"a.csv": []}', "no windows for .*series.csv; it has some for a.csv"),
        ("[[1, 2]]", "window 0 is"),
        ('[["2026-01-01", "soon"]]', "ISO 8601"),
        ('[{"start": "2026-01-02", "end": "2026-01-01"}]', "ends before it starts"),
    ],
)
def test_windows_that_cannot_be_read_are_refused(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "windows.json"
    path.write_text(text)
    with pytest.raises(InputError, match=named):
        read_windows(path, "data/series.csv")


def test_rates_become_counts_per_step() -> None:
    table = Table(START, 5, np.full(100, 2.0))
    assert as_counts(table, None, 3) is table
    assert as_counts(table, "minute", 3).values[0] == 10
    assert as_counts(table, "hour", 3).values[0] == pytest.approx(1 / 6)
    assert as_counts(table, "250", 3).values[0] == 500


def test_the_automatic_scale_is_that_of_counts() -> None:
    table = make_table(days=7)
    counts = np.random.default_rng(2).poisson(30, len(table.values)) / 30_000
    assert as_counts(Table(START, 5, counts), "auto", 3).values.mean() == pytest.approx(30, rel=0.2)


@pytest.mark.parametrize("unit", ["fortnight", "0", "-3", "nan", "inf"])
def test_a_unit_that_is_none_is_refused(unit: str) -> None:
    with pytest.raises(InputError, match=f"--rate-unit {unit}"):
        as_counts(Table(START, 5, np.ones(10)), unit, 3)


def test_values_that_never_change_have_no_automatic_scale() -> None:
    with pytest.raises(InputError, match="no scale"):
        as_counts(Table(START, 5, np.ones(10)), "auto", 3)


def test_a_surge_in_small_fractions_is_found_after_scaling() -> None:
    table = make_table()
    fractions = Table(table.start, table.step_minutes, table.values / 10_000)
    assert not backtest(fractions, AlertingSettings(), 0.5)
    found = backtest(as_counts(fractions, "auto", 3), AlertingSettings(), 0.5)
    surge = START + timedelta(days=30.5)
    assert any(surge <= item.start <= surge + timedelta(hours=5) for item in found)


def test_a_plot_is_one_file_of_its_own(tmp_path: Path) -> None:
    source, plot = write(tmp_path / "a<b>.csv", make_table()), tmp_path / "plot.html"
    result = CliRunner().invoke(command, [str(source), "--plot", str(plot)])
    assert result.exit_code == 0, result.output
    page = plot.read_text()
    assert "a<b>" not in page
    assert "http" not in page
    graphic = ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])  # noqa: S314
    assert {"counts", "expected", "band", "score", "threshold", "alert"} <= {part.get("class") for part in graphic}
    points = next(part for part in graphic if part.get("class") == "counts").get("points")
    assert 1000 < len(points.split()) <= 1500
    assert "nan" not in page


def test_an_image_is_drawn_by_matplotlib(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    source, plot = write(tmp_path / "series.csv", make_table()), tmp_path / "plot.png"
    result = CliRunner().invoke(command, [str(source), "--plot", str(plot)])
    assert result.exit_code == 0, result.output
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_an_image_without_matplotlib_is_refused_before_anything_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = CliRunner().invoke(command, [str(tmp_path / "absent.csv"), "--plot", "plot.png"])
    assert "pip install 'newstide[plot]'" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "either SERIES"),
        (["a.csv", "--trends"], "either SERIES"),
        (["a.csv", "--since", "7d"], "--since needs --trends"),
        (["--trends", "--rate-unit", "hour"], "are for SERIES"),
        (["a.csv", "--plot", "a.gif"], "neither"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: list[str], named: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert named in str(result.exception)


def test_a_file_too_short_to_judge_says_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [str(write(tmp_path / "series.csv", make_table(days=2)))])
    assert json.loads(result.stdout) == []
    assert "nothing was judged: the file covers 2 days" in result.stderr


def test_a_series_that_was_forgotten_meanwhile_is_drawn_in_its_place() -> None:
    days, silence = 50, slice(20 * 288, 40 * 288)
    values = make_table(days=days).values
    values[silence] = 0
    values[-3 * 288 :] = 0
    counts = Counts.of(0, {ALL: values}, {ALL: values})
    recorder, steps = Recorder([ALL]), Steps(5)
    find(open_detector(AlertingSettings(), one_series(1.0), 0, recorder), weekly(counts, steps), steps)
    (trace,) = recorder.joined().values()
    assert trace.start + len(trace.score) == len(values)
    silent = np.isnan(trace.expected[silence.start - trace.start : silence.stop - trace.start])
    assert silent[:288].sum() == 0, "not yet forgotten"
    assert silent[-5 * 288 :].all()
    panel = make_panel(trace, values, 0, steps, [])
    assert len(panel.score) == len(panel.times) == len(panel.counts)
    html.render("t", [panel])
    short = Trace(ALL, "negative", 5, *[np.full(10, 2.0)] * 4)
    html.render("t", [make_panel(short, np.ones(4_000), 0, steps, [])])


@pytest.mark.parametrize(
    ("step", "begins"), [(60, START.replace(minute=30)), (1440, START.replace(hour=5))], ids=["half past", "local days"]
)
def test_times_are_those_of_the_rows(step: int, begins: datetime) -> None:
    table = replace(make_table(days=120, step=step), start=begins)
    table.values[90 * 1440 // step] += 4_000
    found = backtest(table, AlertingSettings(), 1.0)
    rows = {begins + timedelta(minutes=step) * i for i in range(len(table.values))}
    assert begins + timedelta(days=90) in {each.start for each in found}
    assert {at for each in found for at in (each.start, each.peak, each.end)} <= rows


def test_a_threshold_that_nothing_reaches_is_not_drawn() -> None:
    flat = np.full(10, 2.0)
    trace = Trace(ALL, "negative", 5, flat, flat, flat, np.append(np.full(5, np.inf), flat[5:]))
    panel = make_panel(trace, np.ones(15), 0, Steps(5), [])
    page = html.render("t", [panel])
    assert not re.search(r"\b(nan|inf)\b", page)
    assert np.isnan(panel.threshold[:10]).all()
    assert (panel.threshold[10:] == 2).all()
