"""The stories of series, as Postgres has them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from alerting.detection.detector import Series
from alerting.incidents.sql import fetch
from core.store.arrays import plain_array, text_array

_READ = 1000  # stories of a series that are compared: the third of them that decides is sure enough by then


class StoredStories:
    """`Stories` in the caller's transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def within(
        self, series: Collection[Series], sentiments: Collection[str], start: datetime, end: datetime
    ) -> Mapping[Series, Mapping[UUID, datetime]]:
        span = {"start": start, "end": end, "limit": _READ}
        found: dict[Series, dict[UUID, datetime]] = {each: {} for each in series}
        for row in fetch(self._connection, "stories_within", {**_wanted(series, sentiments), **span}):
            found[Series(row.kind, row.name)][row.story] = row.first_at
        return found

    def held(
        self, stories: Collection[UUID], series: Collection[Series], sentiments: Collection[str], until: datetime
    ) -> Mapping[Series, Set[UUID]]:
        found: dict[Series, set[UUID]] = {each: set() for each in series}
        if stories and series:
            values = {**_wanted(series, sentiments), "stories": plain_array(stories), "until": until}
            for row in fetch(self._connection, "stories_held", values):
                found[Series(row.kind, row.name)].add(row.story)
        return found

    def count(self, series: Series, sentiments: Collection[str], start: datetime, end: datetime) -> float:
        values = {"kind": series.kind, "name": series.name, "start": start, "end": end}
        (row,) = fetch(self._connection, "window_counts", values)
        return float(sum(getattr(row, f"{sentiment}_stories") for sentiment in sentiments))


def _wanted(series: Collection[Series], sentiments: Collection[str]) -> dict[str, str]:
    return {
        "kinds": text_array(each.kind for each in series),
        "names": text_array(each.name for each in series),
        "sentiments": text_array(sentiments),
    }
