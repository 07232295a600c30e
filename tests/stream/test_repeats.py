from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.metrics import WORKER
from core.records import TIME_ASSUMED, Message
from core.store.recount import differences, totals
from stream.batch import Record
from stream.pipeline import Pipeline
from tests.stream.harness import as_input, make_pipeline, make_settings

TOPIC = "t.messages"
NOW = datetime.now(UTC)


@pytest.fixture
def pipeline(database_url: str, engine: Engine, tmp_path: Path) -> Iterator[Pipeline]:
    settings = make_settings("127.0.0.1:1", database_url, tmp_path)
    made = make_pipeline(settings, TOPIC)
    yield made
    made.close()


def message(id: str, text: str, at: datetime = NOW, url: str = "", marks: Sequence[str] = ()) -> Message:
    return Message(
        id=id, source="wire", kind="news", published_at=at, received_at=NOW, text=text, url=url, marks=list(marks)
    )


def records(*messages: Message, start: int = 0) -> list[Record]:
    return [Record(TOPIC, 0, start + n, key, value) for n, (key, value) in enumerate(as_input(messages))]


def counted() -> tuple[float, float]:
    same, different = (
        WORKER.registry.get_sample_value("newstide_duplicates_total", {"kind": kind}) or 0.0
        for kind in ("same", "different")
    )
    return same, different


def test_what_is_dropped_under_a_known_id_is_counted_by_whether_it_says_the_same(
    pipeline: Pipeline, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    same, different = counted()
    first = [message("1", "Acme warns"), message("2", "Beta warns", marks=[TIME_ASSUMED])]
    pipeline.process(records(*first, message("1", "Acme warns of more")))
    assert counted() == (same, different + 1)
    assert "wire '1'" in caplog.text
    later = [
        message("1", "Acme warns", url="https://e.com/?utm_source=rss"),
        message("1", "Acme warns", NOW - timedelta(hours=1)),
        message("2", "Beta warns", NOW - timedelta(hours=1), marks=[TIME_ASSUMED]),
        message("2", "Gamma warns"),
        message("3", "Delta warns"),
    ]
    pipeline.process(records(*later, start=3))
    assert counted() == (same + 2, different + 3)
    assert totals(engine)["messages"] == 3
    assert differences(engine) == []


def test_a_redelivery_is_no_duplicate(pipeline: Pipeline) -> None:
    before = counted()
    batch = records(message("1", "Acme warns"), message("2", "Beta warns"))
    pipeline.process(batch)
    pipeline.process(batch)
    assert counted() == before
