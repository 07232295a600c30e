"""Companies count with the sentiment towards them: exactly, whatever comes beside, before or twice."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from sqlalchemy import Engine

from core.bundle import load_bundle
from core.classifier import Classifier
from core.settings import Settings
from core.store.recount import differences
from newstide.cli import newstide
from stream.batch import Record
from stream.entities import load_watchlist
from stream.publication import ClassifiedRecord, classified_record
from tests.stream.harness import as_input, ask, assert_exact, make_pipeline, make_settings, scenario_messages
from tests.tiny_bundles import write_tiny


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    write_tiny(tmp_path / "bundle", "tells-companies", 3, companies=True)
    plain = make_settings("127.0.0.1:1", database_url, tmp_path)
    return plain.model_copy(update={"stream": plain.stream.model_copy(update={"bundle": tmp_path / "bundle"})})


def test_series_of_companies_equal_a_recount(settings: Settings, engine: Engine) -> None:
    chosen = random.Random(4)
    records = as_input(scenario_messages(300))
    records += chosen.sample(records, 40)
    chosen.shuffle(records)  # earlier copies come later, so that stories move
    topic = settings.topic("messages")
    pipeline = make_pipeline(settings, topic)
    published = []
    rest = [Record(topic, 0, offset, key, value) for offset, (key, value) in enumerate(records)]
    while rest:
        size = chosen.choice([1, 7, 64])
        batch, rest = rest[:size], rest[size:]
        published += [(one, classified_record(one)[1]) for one in pipeline.process(batch)]
    pipeline.close()
    assert_exact(settings, records)
    assert differences(engine) == []
    own = ask(
        settings,
        "SELECT count(*) FILTER (WHERE own IS NOT NULL), count(*) FILTER (WHERE own IS NULL), "
        "count(*) FILTER (WHERE own <> sentiment) FROM message, unnest(entities, entity_sentiments) AS t (entity, own)",
    )[0]
    assert own[0] > 100
    assert own[2] > 10, "a company's sentiment is told from that of its message"
    for one, value in published[:50]:
        record = msgspec.json.decode(value, type=ClassifiedRecord)
        assert one.labels is not None
        assert record.entity_sentiments.keys() == one.labels.towards.keys() <= set(record.entities)
    with engine.begin() as connection:  # an audit sees a label that was altered
        connection.exec_driver_sql(
            "UPDATE message SET entity_sentiments[1] = CASE entity_sentiments[1] WHEN 'negative' THEN 'positive' "
            "ELSE 'negative' END "
            "WHERE uid = (SELECT uid FROM message WHERE entity_sentiments[1] IS NOT NULL ORDER BY uid LIMIT 1)"
        )
    assert {difference.kind for difference in differences(engine)} == {"entity"}


def test_places_are_in_the_text_that_is_classified() -> None:
    watchlist = load_watchlist()
    for text, given, places in (
        ("Apple soars as rival Microsoft slumps; $AAPL up", [], {"AAPL": ["Apple", "AAPL"], "MSFT": ["Microsoft"]}),
        ("阿里巴巴上涨, 腾讯(0700.HK)下跌", [], {"BABA": ["阿里巴巴"], "0700.HK": ["腾讯", "0700.HK"]}),
        ("$BRK.B vs Berkshire Hathaway", [], {"BRK-B": ["BRK.B", "Berkshire Hathaway"]}),
        ("https://x.y/Apple \u0130stanbul Apple Inc. falls", [], {"AAPL": ["Apple"]}),
        ("shares of XYZQ fall, xyzq too", ["XYZQ"], {"XYZQ": ["XYZQ"]}),
        ("ALL BANKS FALL", ["ALL"], {}),
        ("profit falls", ["MSFT"], {}),
    ):
        linked = watchlist.link(text, given)
        found = watchlist.locate(text, linked)
        assert {company: [text[a:b] for a, b in spans] for company, spans in found.items()} == places


def test_the_command_labels_companies(tmp_path: Path) -> None:
    write_tiny(tmp_path / "bundle", "tells-companies", 3, companies=True)
    write_tiny(tmp_path / "plain", "plain", 3)
    lines = [{"id": 1, "text": "Apple soars as rival Microsoft slumps"}, {"id": 2, "text": "Profit falls at a mill"}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, lines)))
    answers = {}
    for name in ("bundle", "plain"):
        arguments = ["classify", str(tmp_path / "in.jsonl"), str(tmp_path / "out"), "--bundle", str(tmp_path / name)]
        outcome = CliRunner().invoke(newstide, arguments)
        assert outcome.exit_code == 0, outcome.output
        answers[name] = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert answers["bundle"][0]["entities"].keys() == {"AAPL", "MSFT"}
    assert answers["bundle"][1]["entities"] == {}
    (row,) = Classifier(load_bundle(tmp_path / "bundle")).read([lines[0]["text"]], [[((0, 5),)]]).mentions
    assert answers["bundle"][0]["entities"]["AAPL"]["scores"]["negative"] == pytest.approx(float(row[0][0]), abs=1e-6)
    assert all("entities" not in answer for answer in answers["plain"])
