"""Counts of series in steps of event time, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from core.store.sql import records
from desk.store.sql import queries_beside

_QUERIES = queries_beside(__file__)

HOUR_S = 3600
_RECENT = timedelta(hours=3)
_MOST_NAMES = 100
COUNTS = ("negative", "neutral", "positive", "messages")

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Stories by sentiment, and messages, in a span."""

    negative: int
    neutral: int
    positive: int
    messages: int

    @property
    def stories(self) -> int:
        return self.negative + self.neutral + self.positive

    @property
    def mood(self) -> float | None:
        """Net sentiment of the stories, -1 to 1; None where there is none."""
        return (self.positive - self.negative) / self.stories if self.stories else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leading(Totals):
    """The same of one series."""

    name: str


@dataclass(frozen=True, slots=True)
class Known:
    """A series that was seen of late."""

    name: str
    stories: int
    negative: int
    last_hour: datetime


@dataclass(frozen=True)
class Grid:
    """Steps of `step_s` seconds from `since`, a multiple of that since 1970, up to `until`."""

    since: datetime
    until: datetime
    step_s: int

    @classmethod
    def around(cls, since: datetime, until: datetime, step_s: int) -> Grid:
        """The least grid that holds the span."""
        first, last = since.timestamp() // step_s, -(-until.timestamp() // step_s)
        return cls(moment(int(first) * step_s), moment(int(last) * step_s), step_s)

    @property
    def first(self) -> int:
        """Number of the first step since 1970."""
        return int(self.since.timestamp()) // self.step_s

    def __len__(self) -> int:
        return int(self.until.timestamp()) // self.step_s - self.first

    @property
    def times(self) -> list[datetime]:
        """When each step begins."""
        return [self.since + timedelta(seconds=self.step_s * i) for i in range(len(self))]


def moment(seconds: float) -> datetime:
    """The UTC time so many seconds after 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def read_totals(connection: Connection, kind: str, name: str, since: datetime, until: datetime) -> Totals:
    """Of whole minutes."""
    values = {"kind": kind, "name": name, "since": since, "until": until}
    return records(Totals, connection.execute(_QUERIES["totals"], values))[0]


def read_totals_by_hour(connection: Connection, kind: str, name: str, since: datetime, until: datetime) -> Totals:
    """Of the hours that begin in the span."""
    values = {"kind": kind, "name": name, "since": since, "until": until}
    return records(Totals, connection.execute(_QUERIES["totals_by_hour"], values))[0]


def read_leading(connection: Connection, kind: str, grid: Grid, limit: int) -> list[Leading]:
    """The series of `kind` with the most negative stories in the hours around `grid`, and their counts in those."""
    hours = Grid.around(grid.since, grid.until, HOUR_S)
    values = {"kind": kind, "since": hours.since, "until": hours.until, "limit": limit}
    return records(Leading, connection.execute(_QUERIES["leading"], values))


def read_sums(connection: Connection, kind: str, grid: Grid, limit: int) -> list[Leading]:
    """The series of `kind` with the most negative stories, and their counts in the span of `grid`: those of parts of an
    hour are counted among the leaders of the whole hours."""
    return sum_exactly(connection, kind, read_leading(connection, kind, grid, limit), grid)


def sum_exactly(connection: Connection, kind: str, leading: list[Leading], grid: Grid) -> list[Leading]:
    """The series that lead in the hours around `grid`, with their counts in its very span."""
    if Grid.around(grid.since, grid.until, HOUR_S) == Grid(grid.since, grid.until, HOUR_S):
        return leading
    names = [each.name for each in leading]
    sums = {count: found.sum(axis=1) for count, found in read_counts(connection, kind, names, grid).items()}
    exact = [Leading(name=name, **{count: int(sums[count][i]) for count in COUNTS}) for i, name in enumerate(names)]
    return sorted((each for each in exact if each.messages or each.stories), key=lambda each: -each.negative)


def read_counts(connection: Connection, kind: str, names: Sequence[str], grid: Grid) -> dict[str, Integers]:
    """Arrays [series, step] for each of COUNTS; stories by sentiment, and messages."""
    found = {count: np.zeros((len(names), len(grid)), np.int64) for count in COUNTS}
    place = {name: i for i, name in enumerate(names)}
    values = {"kind": kind, "names": list(names), "since": grid.since, "until": grid.until, "step_s": grid.step_s}
    for row in connection.execute(_QUERIES[f"buckets_{_by(grid)}"], values):
        steps = _integers(row.steps) - grid.first
        for count in COUNTS:
            np.add.at(found[count][place[row.name]], steps, _integers(getattr(row, count)))
    return found


def read_negative(connection: Connection, kind: str, names: Sequence[str], grid: Grid) -> Integers:
    """Negative stories by parts of an hour, an array [series, step]."""
    found = np.zeros((len(names), len(grid)), np.int64)
    place = {name: i for i, name in enumerate(names)}
    values = {"kind": kind, "names": list(names), "since": grid.since, "until": grid.until, "step_s": grid.step_s}
    for row in connection.execute(_QUERIES["negative_by_minute"], values):
        np.add.at(found[place[row.name]], _integers(row.steps) - grid.first, _integers(row.negative))
    return found


def read_history(
    connection: Connection, kind: str, names: Sequence[str], hours: Grid, counted: int
) -> tuple[Integers, dict[str, Integers]]:
    """Negative stories by hours, an array [series, hour]; and such arrays of the other COUNTS, of the hours from number
    `counted` on. One reading of both takes less than two."""
    negative = np.zeros((len(names), len(hours)), np.int64)
    others = {count: np.zeros_like(negative[:, counted:]) for count in COUNTS[1:]}
    place = {name: i for i, name in enumerate(names)}
    values = {
        "kind": kind,
        "names": list(names),
        "since": hours.since,
        "until": hours.until,
        "step_s": hours.step_s,
        "counted": hours.since + timedelta(seconds=counted * hours.step_s),
    }
    for row in connection.execute(_QUERIES["negative_by_hour"], values):
        steps = _integers(row.steps) - hours.first
        np.add.at(negative[place[row.name]], steps, _integers(row.negative))
        steps = steps[steps >= counted] - counted
        if len(steps):
            for count, found in others.items():
                np.add.at(found[place[row.name]], steps, _integers(getattr(row, count)))
    return negative, others


def find_series(
    connection: Connection, kind: str, holds: str | None, since: datetime, until: datetime, limit: int
) -> list[Known]:
    """The busiest series of `kind` in the hours of a span; of those whose name holds `holds`, up to a hundred with the
    shortest names."""
    names = None
    if holds:
        looked = {"kind": kind, "holds": holds, "recent": until - _RECENT, "until": until, "limit": _MOST_NAMES}
        names = [row.name for row in connection.execute(_QUERIES["names"], looked)]
    values = {"kind": kind, "names": names, "since": since, "until": until, "limit": limit}
    return records(Known, connection.execute(_QUERIES["known_series"], values))


def read_source_names(connection: Connection, keys: Sequence[str]) -> dict[str, str]:
    """Key -> name as it was written, where the two differ."""
    if not keys:
        return {}
    return {row.key: row.name for row in connection.execute(_QUERIES["source_names"], {"keys": list(keys)})}


def _by(grid: Grid) -> str:
    return "by_hour" if grid.step_s % HOUR_S == 0 else "by_minute"


def _integers(sent: bytes) -> Integers:
    return np.frombuffer(sent, ">i4").astype(np.int64)
