"""What Grafana makes of a query before it sends it: macros and variables replaced. For tests and benchmarks.

After https://grafana.com/docs/grafana/latest/datasources/postgres and .../dashboards/variables/variable-syntax; a macro
or variable that is not known here is an error, so that nothing half replaced is ever run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

_SCRAPE_S = 15
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_ROUND_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800)
_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)")
_REGEX_SPECIAL = re.compile(r"([\\^$.*+?()[\]{}|/])")


@dataclass(frozen=True)
class Chosen:
    """The values of one variable, or `all_value` where All is chosen and the board says what that stands for."""

    values: Sequence[str]
    all_value: str | None = None


@dataclass(frozen=True)
class Selection:
    """What a reader of a board has chosen: a range of time (aware) and the values of variables."""

    start: datetime
    end: datetime
    variables: Mapping[str, Chosen] = field(default_factory=dict)

    def interval_s(self, least_s: int, points: int) -> int:
        """Width of a bucket in seconds: the range over the points, rounded to a plain number as Grafana does."""
        raw = (self.end - self.start).total_seconds() / points
        return max(least_s, min(_ROUND_S, key=lambda step: abs(step - raw)))


def seconds(duration: str) -> int:
    """Of a duration such as `1m`. Raises ValueError for another form."""
    match = re.fullmatch(r"(\d+)([smhdw])", duration)
    if match is None:
        raise ValueError(f"{duration!r} is no duration such as 30s or 5m")
    return int(match[1]) * _SECONDS[match[2]]


def expand_sql(sql: str, selection: Selection, least_s: int = 60, points: int = 500) -> str:
    """The SQL that Postgres gets."""
    step = selection.interval_s(least_s, points)
    start, end = (f"'{at.isoformat(timespec='milliseconds')}'" for at in (selection.start, selection.end))
    sql = sql.replace("$__interval_ms", str(step * 1000)).replace("$__interval", f"{step}s")
    sql = sql.replace("$__timeFrom()", start).replace("$__timeTo()", end)
    sql = re.sub(r"\$__timeFilter\(([^()]+)\)", rf"\1 BETWEEN {start} AND {end}", sql)
    sql = re.sub(r"\$__timeGroupAlias\(([^()]+)\)", r'$__timeGroup(\1) AS "time"', sql)
    sql = re.sub(r"\$__timeGroup\(([^(),]+),\s*'?(\w+)'?\)", lambda m: _group(m[1], seconds(m[2])), sql)
    return _fill(sql, selection.variables)


def expand_promql(expression: str, selection: Selection, least_s: int = _SCRAPE_S, points: int = 500) -> str:
    """The PromQL that Prometheus gets; `$__rate_interval` is four scrapes, or a step and one scrape if that is more."""
    step = selection.interval_s(least_s, points)
    rate = max(step + _SCRAPE_S, 4 * _SCRAPE_S)
    span = int((selection.end - selection.start).total_seconds())
    for macro, value in {"rate_interval": rate, "interval": step, "range": span}.items():
        expression = re.sub(rf"\$__{macro}\b", f"{value}s", expression)
    return _fill(expression, selection.variables)


def _group(column: str, step: int) -> str:
    return f"floor(extract(epoch from {column})/{step})*{step}"


def _fill(text: str, variables: Mapping[str, Chosen]) -> str:
    def value(match: re.Match[str]) -> str:
        name, form = match[1] or match[3], match[2]
        if name not in variables:
            raise ValueError(f"{match[0]} is no macro or variable that is known, in: {text}")
        chosen = variables[name]
        if chosen.all_value is not None:
            return chosen.all_value
        if form == "sqlstring":
            return ",".join("'" + each.replace("'", "''") + "'" for each in chosen.values)
        if form in (None, "regex"):
            escaped = [_REGEX_SPECIAL.sub(r"\\\1", each).replace("\\", "\\\\") for each in chosen.values]
            return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
        raise ValueError(f"{match[0]}: the form {form!r} is not known")

    return _VARIABLE.sub(value, text)
