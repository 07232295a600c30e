"""What is published of records that were committed before, and come again because that may not be published yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, text

from core.bundle import load_bundle
from core.classifier import Classifier
from core.dead_letters import DeadLetter
from core.mentions import Spans
from core.records import encode
from core.settings import Settings
from core.store.connection import connect
from core.store.recount import totals
from stream.batch import Classified, Record
from stream.pipeline import Pipeline
from stream.publication import ClassifiedRecord, classified_record
from tests.stream.harness import as_input, foreign_messages, make_pipeline, make_settings, scenario_messages

TOPIC = "t.messages"


class Contrary:
    """A model that was promoted in between: it reads all languages, and says the contrary."""

    name = "contrary"
    languages = ("en", "de", "ru", "zh")
    entity_labels = ()

    def __init__(self, other: Classifier) -> None:
        self._other = other

    def labels(self, task: str) -> Sequence[str]:
        return self._other.labels(task)

    def predict(self, texts: Sequence[str]) -> Mapping[str, NDArray[np.float32]]:
        return {task: table[:, ::-1] for task, table in self._other.predict(texts).items()}

    def read(self, forms: Sequence[str], mentions: Sequence[Sequence[Spans]]) -> Any:
        raise NotImplementedError

    def self_test(self) -> None:
        """It is what it is."""


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return make_settings("127.0.0.1:1", database_url, tmp_path)


@pytest.fixture
def letters() -> list[DeadLetter]:
    return []


@pytest.fixture
def pipeline(settings: Settings, engine: Engine, letters: list[DeadLetter]) -> Iterator[Pipeline]:
    made = make_pipeline(settings, TOPIC, letters.extend)
    yield made
    made.close()


@pytest.fixture
def records() -> list[Record]:
    inputs = as_input([*scenario_messages(60), *foreign_messages(15)])
    return [Record(TOPIC, 0, offset, key, value) for offset, (key, value) in enumerate(inputs)]


def published(classified: Sequence[Classified]) -> list[bytes]:
    return [classified_record(item)[1] for item in classified]


def test_labels_are_those_of_the_store(pipeline: Pipeline, settings: Settings, records: list[Record]) -> None:
    first = published(pipeline.process(records[:70]))
    told = [msgspec.json.decode(value, type=ClassifiedRecord) for value in first]
    assert any(record.entity_sentiments for record in told)
    assert any(record.model is None for record in told)
    pipeline.use(Contrary(Classifier(load_bundle(settings.bundle_directory))))
    again = pipeline.process(records)
    assert published(again)[:70] == first
    assert {item.labels and item.labels.model for item in again[70:]} == {"contrary"}


def test_other_content_and_messages_without_their_texts_are_published_as_they_are_read(
    pipeline: Pipeline, settings: Settings, records: list[Record]
) -> None:
    """Other content came under a known id; retention has dropped a message and kept its key."""
    changed = scenario_messages(1)[0]
    changed.text = "Something else altogether"
    other = Record(TOPIC, 0, 2, records[0].key, encode(changed))
    first = pipeline.process([*records[:2], other])
    assert len(first) == 3
    with connect(settings, autocommit=True) as connection:
        connection.execute("DELETE FROM message WHERE uid = %s", [first[1].item.uid])
    assert published(pipeline.process([*records[:2], other])) == published(first)


def test_what_was_set_aside_is_not_published(
    pipeline: Pipeline, engine: Engine, letters: list[DeadLetter], records: list[Record]
) -> None:
    """Postgres refused a message; read again it is not inserted, and so not refused."""
    victim = records[33]
    assert victim.key is not None
    with engine.begin() as connection:
        connection.execute(
            text("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                 f"IF NEW.id = '{victim.key.decode()}' THEN RAISE data_exception; END IF; RETURN NEW; END $$")
        )  # fmt: skip
        connection.execute(
            text("CREATE TRIGGER refuse BEFORE INSERT ON message FOR EACH ROW EXECUTE FUNCTION refuse()")
        )
    first = published(pipeline.process(records))
    assert [letter.value for letter in letters] == [victim.value]
    assert len(first) == len(records) - 1 == totals(engine)["messages"]
    assert published(pipeline.process(records)) == first
    assert len(letters) == 1
