from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from alerting.backtest import Table, backtest, budget_threshold, read_table
from core.errors import InputError
from core.settings import AlertingSettings
from newstide.commands.alerts import backtest as command

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


def test_a_larger_budget_finds_no_less() -> None:
    table = make_table()
    counts = [len(backtest(table, AlertingSettings(), budget)) for budget in (0.05, 0.5, 5)]
    assert counts == sorted(counts)
    assert counts[0] >= 1
    assert counts[2] > counts[0]


def test_a_budget_is_kept_on_ordinary_days() -> None:
    found = 0
    for seed in range(6):
        table = make_table(seed=seed)
        calm = Table(table.start, table.step_minutes, table.values[: 29 * 288])
        found += len(backtest(calm, AlertingSettings(), 1.0))
    weeks = 6 * 29 / 7
    assert found <= 2 * weeks


@pytest.mark.parametrize("budget", [0, -1, float("nan"), float("inf")])
def test_a_budget_that_cannot_be_met_is_refused(budget: float) -> None:
    with pytest.raises(InputError, match="budget"):
        budget_threshold(np.zeros(10), 5, budget)


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
    found = backtest(Table(START, 1440, values), AlertingSettings())
    assert [item.start[:10] for item in found] == [(START + timedelta(days=70)).date().isoformat()]
