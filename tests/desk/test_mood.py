"""The mood side of the API: every number equals the rows it stands for."""

from __future__ import annotations

from datetime import datetime, timedelta

from fastapi.testclient import TestClient
from newsroom import PRESENT, get
from sqlalchemy import Connection, text


def test_the_strip_counts_the_stories_of_its_window(ann: TestClient, rows: Connection) -> None:
    strip = get(ann, "/mood", window=1440)
    count = text(
        "SELECT sentiment, count(*) AS stories FROM story_series "
        "WHERE kind = 'all' AND first_at >= :since AND first_at < :until GROUP BY 1"
    )
    span = {"since": PRESENT - timedelta(days=1), "until": PRESENT}
    counted = {row.sentiment: row.stories for row in rows.execute(count, span)}
    assert {name: strip[name] for name in counted} == counted
    assert strip["stories"] == sum(counted.values())
    assert strip["mood"] == round((counted["positive"] - counted["negative"]) / strip["stories"], 4)
    assert datetime.fromisoformat(strip["until"]) == PRESENT
