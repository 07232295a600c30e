"""Boards are what the code makes, say what they show, and ask for what exists. test_boards_live.py runs them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerting.grafana import boards
from alerting.grafana.asked import Asked, chosen, panels, queries, variables
from alerting.grafana.board import Board
from alerting.grafana.macros import Chosen, Selection, expand_promql, expand_sql, seconds
from alerting.grafana.panels import About, figure, now, rows
from alerting.grafana.postgres import QueryBuilder
from tests.alerting.promql import metrics_in
from tests.alerting.test_prometheus_rules import ALERTS, EXPOSED

DOCS = Path(__file__).parents[2] / "docs"
PROVISIONING = Path(boards.__file__).parent / "provisioning"
BOARDS: list[dict[str, Any]] = [
    json.loads(file.read_text(encoding="utf-8")) for file in sorted((PROVISIONING / "boards").glob("*.json"))
]
PANELS = [(board, panel) for board in BOARDS for panel in panels(board)]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = Selection(NOON - timedelta(hours=1), NOON)


def title(value: Any) -> str:
    return str(value["title"]) if isinstance(value, dict) else str(value)


def test_the_files_are_what_the_code_makes() -> None:
    kept = {file.name: file.read_text(encoding="utf-8") for file in (PROVISIONING / "boards").iterdir()}
    assert kept == boards.files(), "run `python -m alerting.grafana`"
    assert [board["title"] for board in BOARDS] == ["Alerts", "Market mood", "Models", "Pipeline"]


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=title)
def test_a_panel_says_what_it_shows_and_where_to_read_on(board: dict[str, Any], panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    (link,) = panel["links"]
    page, _, section = link["url"].removeprefix("${docs}/").partition("#")
    assert page.endswith(".html"), "as the site has it"
    text = (DOCS / page).with_suffix(".md").read_text(encoding="utf-8")
    headings = [
        re.sub(r"[^\w -]", "", found).lower().replace(" ", "-") for found in re.findall(r"^#+ (.*)", text, re.M)
    ]
    assert not section or section in headings
    if page.startswith("runbooks/Newstide"):
        assert Path(page).stem in ALERTS


@pytest.mark.parametrize("board", BOARDS, ids=title)
def test_a_board_is_provisioned_without_questions(board: dict[str, Any]) -> None:
    """Data sources are variables with a value, and that value is a data source that is provisioned."""
    assert "__inputs" not in board
    provided = {
        source["uid"]: source["type"]
        for source in yaml.safe_load((PROVISIONING / "datasources" / "newstide.yml").read_text())["datasources"]
    }
    sources = {each["name"]: each for each in variables(board) if each["type"] == "datasource"}
    assert {each["current"]["value"]: each["query"] for each in sources.values()} == provided
    used = set(re.findall(r'"uid": "([^"]+)"', json.dumps(board))) - {board["uid"]}
    assert used <= {f"${{{name}}}" for name in sources}
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("board", BOARDS, ids=title)
def test_panels_neither_overlap_nor_leave_the_board(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert place["x"] + place["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells


PROMETHEUS = [asked for board in BOARDS for asked in queries(board) if asked.source == "prometheus"]


@pytest.mark.parametrize("asked", PROMETHEUS, ids=str)
def test_promql_names_what_processes_show(asked: Asked) -> None:
    text = asked.text
    if asked.values_of:
        text = text.removeprefix("label_values(").rpartition(",")[0]
    else:
        assert re.findall(r"\brate\([^\[]*\[([^\]]*)\]", text) == ["$__rate_interval"] * len(
            re.findall(r"\brate\(", text)
        )
        assert set(re.findall(r"\[([^\]]*)\]", text)) <= {"$__rate_interval", "1h"}
    board = next(board for board in BOARDS if board["title"] == asked.board)
    values = {each["name"]: ["a.b|c"] for each in variables(board)}
    for everything in (False, True):
        selection = Selection(NOON - timedelta(days=30), NOON, chosen(board, values, everything=everything))
        found = metrics_in(expand_promql(text, selection, asked.least_s, asked.points))
        assert {name for name in found if not name.startswith("process_")} - {"ALERTS"} <= EXPOSED


@pytest.mark.parametrize(
    ("sql", "expanded"),
    [
        (
            "$__timeFilter(a.minute)",
            "a.minute BETWEEN '2026-03-02T11:00:00.000+00:00' AND '2026-03-02T12:00:00.000+00:00'",
        ),
        ("$__timeGroupAlias(minute, $__interval)", "floor(extract(epoch from minute)/60)*60 AS \"time\""),
        ("$__timeGroup(at, '5m')", "floor(extract(epoch from at)/300)*300"),
        ("$__interval_ms", "60000"),
        ("name IN (${topic:sqlstring})", "name IN ('M&A','Moody''s')"),
        ("name IN (${all:sqlstring})", "name IN ('__all')"),
    ],
)  # fmt: skip
def test_macros_of_sql(sql: str, expanded: str) -> None:
    choice = {"topic": Chosen(["M&A", "Moody's"]), "all": Chosen([], "'__all'")}
    assert expand_sql(sql, Selection(HOUR.start, HOUR.end, choice)) == expanded


def test_macros_of_promql() -> None:
    choice = {"worker": Chosen(["127.0.0.1:9870", "b:1"]), "one": Chosen(["a.b"])}
    selection = Selection(NOON - timedelta(days=30), NOON, choice)
    assert expand_promql('rate(x{i=~"$worker"}[$__rate_interval])', selection) == (
        r'rate(x{i=~"(127\\.0\\.0\\.1:9870|b:1)"}[3615s])'
    )
    assert expand_promql('x{i=~"${one:regex}"}', Selection(HOUR.start, HOUR.end, choice)) == r'x{i=~"a\\.b"}'
    assert HOUR.interval_s(15, 500) == 15
    assert HOUR.interval_s(5, 500) == 5


@pytest.mark.parametrize("text", ["$__unixEpochFrom()", "${nobody:sqlstring}", "$nobody"])
def test_what_is_not_known_is_never_sent(text: str) -> None:
    with pytest.raises(ValueError, match="no macro or variable that is known"):
        expand_sql(text, HOUR)


def test_faults_of_a_board_are_errors() -> None:
    with pytest.raises(ValueError, match="semicolon"):
        QueryBuilder("SELECT 1;").build()
    with pytest.raises(ValueError, match='a column "time"'):
        QueryBuilder("SELECT 1").as_time_series().build()
    about = About("A", "B.", "short", "alerting.md", width=10)
    with pytest.raises(ValueError, match="one data source"):
        figure(about, rows("SELECT 1"), now("up"))
    board = Board("u", "T", "D", "1m", "now-1h", [])
    with pytest.raises(ValueError, match="leaves 14 columns free"):
        board.row("R", figure(about, now("up")))
    with pytest.raises(ValueError, match="does not fit"):
        board.row("R", *(figure(about, now("up")) for _ in range(3)))
    with pytest.raises(ValueError, match="no duration"):
        seconds("5 minutes")
