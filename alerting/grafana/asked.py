"""What a board asks its data sources: queries of panels, annotations and variables. For tests and benchmarks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from alerting.grafana.macros import Chosen, Selection, expand_promql, expand_sql, seconds
from alerting.grafana.postgres import TYPE as POSTGRES

Source = Literal["postgres", "prometheus"]


@dataclass(frozen=True)
class Asked:
    """One query as the board has it, with macros and variables; `least_s` and `points` bound its buckets.

    `instant`: Prometheus is asked for the end of the range alone. `values_of`: the variable that the answer fills.
    """

    board: str
    place: str
    source: Source
    text: str
    least_s: int = 60
    points: int = 500
    instant: bool = False
    values_of: str | None = None

    def __str__(self) -> str:
        return f"{self.board}: {self.place}"

    def expand(self, selection: Selection) -> str:
        """The query as Grafana sends it."""
        expand = expand_sql if self.source == "postgres" else expand_promql
        return expand(self.text, selection, self.least_s, self.points)

    def step_s(self, selection: Selection) -> int:
        """Seconds between two values over time."""
        return selection.interval_s(self.least_s, self.points)


def queries(board: dict[str, Any]) -> Iterator[Asked]:
    """Every query of a board, given as its JSON."""
    title = board["title"]
    for variable in variables(board):
        if variable["type"] == "query":
            query, source = variable["query"], _source(variable)
            text = query if isinstance(query, str) else query["query"]
            yield Asked(title, f"variable {variable['name']}", source, text, values_of=variable["name"])
    for annotation in board.get("annotations", {}).get("list", []):
        yield Asked(title, f"annotation {annotation['name']}", "postgres", annotation["target"]["rawSql"])
    for panel in panels(board):
        for target in panel["targets"]:
            place = f"{panel['title']} {target['refId']}"
            text = target["rawSql"] if _source(target) == "postgres" else target["expr"]
            buckets = seconds(panel["interval"]), int(panel["maxDataPoints"])
            yield Asked(title, place, _source(target), text, *buckets, instant=target.get("instant", False))


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The panels of a board, without the titles of its rows."""
    yield from (panel for panel in board["panels"] if panel["type"] != "row")


def variables(board: dict[str, Any]) -> list[dict[str, Any]]:
    """The variables of a board."""
    found: list[dict[str, Any]] = board["templating"]["list"]
    return found


def chosen(board: dict[str, Any], values: dict[str, list[str]], *, everything: bool) -> dict[str, Chosen]:
    """The variables of a board with one value of each, or with All; `values` are those that queries gave."""
    made = {}
    for variable in variables(board):
        name = variable["name"]
        if variable["type"] == "custom":
            options = variable["query"].split(",")
            made[name] = Chosen(options if everything else options[:1])
        elif variable["type"] == "query":
            made[name] = Chosen([], variable["allValue"]) if everything else Chosen(values[name][:1])
    return made


def _source(part: dict[str, Any]) -> Source:
    return "postgres" if part["datasource"]["type"] == POSTGRES else "prometheus"
