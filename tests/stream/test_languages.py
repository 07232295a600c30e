"""Models of two languages side by side: each message by the one that reads it, whatever its neighbours are and whatever
becomes of the other model."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from core import metrics
from core.bundle import load_bundle
from core.classifier import Classifier
from core.records import Message
from core.settings import Settings
from core.store.connection import connect, open_engine
from core.store.models import move_model, roll_back
from core.store.shadows import ShadowRow
from core.store.worker_models import list_workers
from newstide.stack.resources import amended
from stream.batch import Record
from stream.commit import Committer
from stream.entities import load_watchlist
from stream.ledger import TopicLedger
from stream.pipeline import Pipeline
from stream.shadow import Shadow
from tests.stream.harness import (
    Workers,
    as_input,
    ask,
    committed,
    make_settings,
    one_broker,
    produce,
    scenario_messages,
    wait_until,
)
from tests.stream.test_hot_swap import Followed, assert_each_row_is_its_models_work, go_live
from tests.tiny_bundles import register_tiny, write_tiny

CHINESE = (
    "某公司第{}季度业绩大增 {} 亿元",
    "监管部门处罚银行 {} 万元，股价下跌 {}%",
    "央行维持利率不变，第 {} 次会议 {}",
)
COUNT = 450


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A directory of bundles like the one that ships, of two languages; more stand in `tmp_path`."""
    bundles = {"shipped/default": ("english", "en"), "shipped/chinese": ("chinese", "zh")}
    bundles |= {"second": ("second", "zh"), "third": ("third", "en")}
    for seed, (path, (name, language)) in enumerate(bundles.items()):
        write_tiny(tmp_path / path, name, seed, languages=[language])
    write_tiny(tmp_path / "both", "both", 9, languages=["en", "zh"])
    return tmp_path / "shipped"


def mixed(count: int) -> list[Message]:
    """Two English messages, and a Chinese one that its source does not call so."""
    return [
        replace_text(message, number) if number % 3 == 2 else message
        for number, message in enumerate(scenario_messages(count))
    ]


def replace_text(message: Message, number: int) -> Message:
    text = CHINESE[number % len(CHINESE)].format(number, number * 7)
    return Message(
        **{name: getattr(message, name) for name in ("id", "source", "kind", "published_at", "received_at")}, text=text
    )


@one_broker
def test_a_swap_of_one_model_under_traffic_leaves_the_other_alone(
    bootstrap_servers: str, database_url: str, engine: Engine, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = shipped.parent
    monkeypatch.setenv("NEWSTIDE_EMBEDDED__DIRECTORY", str(home))
    monkeypatch.setenv("NEWSTIDE_MODELS__POLL_S", "1")
    settings = amended(make_settings(bootstrap_servers, database_url, home), stream={"bundle": shipped})
    messages = mixed(COUNT)
    records = as_input(messages)
    workers = Workers(settings, home)
    feeding = threading.Thread(target=produce, args=(settings, records, 120))
    try:
        workers.start(0)
        feeding.start()
        wait_until(lambda: committed(settings) > 60, "messages committed before the swap")
        register_tiny(settings, engine, home / "second")
        go_live(engine, "second")
        wait_until(lambda: bool(ask(settings, "SELECT 1 FROM message WHERE model = 'second' LIMIT 1")), "it at work")
        assert workers.end(0, signal.SIGKILL) == -signal.SIGKILL
        workers.start(0)
        feeding.join()
        wait_until(lambda: committed(settings) == COUNT, "all committed", within_s=120)
    finally:
        feeding.join()
        workers.close()
    bundles = {"english": shipped / "default", "chinese": shipped / "chinese", "second": home / "second"}
    assert_each_row_is_its_models_work(settings, records, bundles)
    by_model = dict(ask(settings, "SELECT model, array_agg(id) FROM message GROUP BY model"))
    chinese = {message.id for message in messages[2::3]}
    assert set(by_model["chinese"]) | set(by_model["second"]) == chinese
    assert set(by_model["english"]) == {message.id for message in messages} - chinese
    assert [(row.language, row.model) for row in list_workers(engine)] == [("en", "english"), ("zh", "second")]


@pytest.fixture
def quiet(database_url: str, shipped: Path) -> Settings:
    """Settings of tests without workers."""
    return amended(make_settings("127.0.0.1:1", database_url, shipped.parent), stream={"bundle": shipped})


@pytest.fixture
def registry(quiet: Settings) -> Iterator[Engine]:
    """Of the bundles beside those that ship."""
    opened = open_engine(quiet)
    for name in ("second", "third", "both"):
        register_tiny(quiet, opened, quiet.bundle_directory.parents[1] / name)
    yield opened
    opened.dispose()


class Failing:
    """A classifier that fails on texts with `word` in them."""

    def __init__(self, real: Classifier, word: str) -> None:
        self._real, self._word = real, word

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def predict(self, texts: Sequence[str]) -> Any:
        if any(self._word in text for text in texts):
            raise RuntimeError("on purpose")
        return self._real.predict(texts)


def test_a_mixed_batch_is_as_each_message_alone(quiet: Settings, shipped: Path) -> None:
    english, chinese = (Classifier(load_bundle(shipped / name)) for name in ("default", "chinese"))
    messages = mixed(90)
    german = "Die Aktien der Deutschen Bank brechen nach einer Gewinnwarnung deutlich ein"
    messages[10] = replace_text(messages[10], 0)
    messages[20] = Message(**{**_fields(messages[20]), "text": german})
    messages[30] = Message(**{**_fields(messages[30]), "text": "无法处理的消息 poison 公司股价下跌"})
    records = [Record("newstide.messages", 0, at, key, value) for at, (key, value) in enumerate(as_input(messages))]
    rows: list[ShadowRow] = []
    shadow = Shadow(lambda name, found: rows.extend(found) or len(found), 1.0)  # type: ignore[func-returns-value]
    shadow.use(Classifier(load_bundle(shipped.parent / "second")))
    shadow.start()
    letters: list[Any] = []
    pipeline = Pipeline(
        [english, Failing(chinese, "poison")],
        load_watchlist(),
        Committer(TopicLedger("newstide.messages"), timedelta(hours=72)),
        lambda: connect(quiet, autocommit=True),
        letters.extend,
        1,
        shadow.offer,
    )
    before = {name: labelled(name) for name in ("english", "chinese")}
    done = pipeline.process(records)
    pipeline.close()
    assert [item.item.message.id for item in done] == [m.id for at, m in enumerate(messages) if at != 30]
    assert len(letters) == 1, "what one model fails on keeps no other message"
    for at, item in zip([at for at in range(90) if at != 30], done, strict=True):
        model = None if at == 20 else chinese if at % 3 == 2 or at == 10 else english
        assert (item.labels and item.labels.model) == (model and model.name)
        if model is not None and item.labels is not None:
            alone = model.predict([item.item.body])
            assert item.labels.sentiment_scores == alone["sentiment"][0].tolist()
            assert item.labels.topic_scores == alone["topic"][0].tolist()
    assert {name: labelled(name) - before[name] for name in before} == {"english": 58.0, "chinese": 30.0}
    wait_until(lambda: len(rows) == 30, "the Chinese messages shadowed", within_s=20)
    shadow.close()
    assert {row.live for row in rows} == {"chinese"}


def _fields(message: Message) -> dict[str, Any]:
    return {name: getattr(message, name) for name in ("id", "source", "kind", "published_at", "received_at")}


def labelled(model: str) -> float:
    return metrics.WORKER.registry.get_sample_value("newstide_labelled_messages_total", {"model": model}) or 0


def test_models_of_several_languages_are_followed(quiet: Settings, registry: Engine) -> None:
    loaded: list[str] = []

    def note(classifier: Classifier) -> Classifier:
        loaded.append(classifier.name)
        return classifier

    followed = Followed(quiet, registry, note)
    used = followed.used

    def runs() -> list[tuple[str, str | None, str | None]]:
        followed.watch.look()
        return [(row.language, row.model, row.refused) for row in list_workers(registry)]

    assert followed.begin() == ["english", "chinese"]
    assert runs() == [("en", "english", None), ("zh", "chinese", None)]
    go_live(registry, "third")
    assert runs() == [("en", "third", None), ("zh", "chinese", None)]
    (file,) = Path(quiet.shelf_location).glob("second-*/model.onnx")
    good = file.read_bytes()
    file.write_bytes(b"broken")
    go_live(registry, "second")
    assert runs() == [("en", "third", None), ("zh", "chinese", "second")]
    file.write_bytes(good)
    move_model(registry, "both", "shadow", actor="test", reason="test")
    assert runs() == [("en", "third", None), ("zh", "second", None)]
    assert followed.shadow.names == ["both"]
    assert (used, loaded) == (
        ["third", "chinese", "third", "second"],
        ["english", "chinese", "third", "second", "both"],
    ), "each loaded once, and handed over with what goes on"
    used.clear()
    go_live(registry, "both")
    assert (runs(), used, followed.shadow.names) == ([("en", "both", None)], ["both"], [])
    assert roll_back(registry, actor="test", reason="test").beside
    assert runs() == [("en", "third", None), ("zh", "second", None)]
    assert used == ["both", "third", "second"], "both at once: no batch in between has one language only"
    roll_back(registry, actor="test", reason="test", language="zh")
    assert runs() == [("en", "third", None), ("zh", "chinese", None)], "the bundle of the settings again"
    assert set(_in_use()) == {"third", "chinese"}


def _in_use() -> list[str]:
    (family,) = [one for one in metrics.WORKER.registry.collect() if one.name == "newstide_model_info"]
    return [sample.labels["name"] for sample in family.samples]


def test_a_broken_model_at_the_start_takes_no_other_language_with_it(
    quiet: Settings, registry: Engine, shipped: Path
) -> None:
    """One that reads two languages has two that stand in for it; a language that nothing can read is unread."""
    for name in ("third", "second", "both"):
        go_live(registry, name)
    for folder in Path(quiet.shelf_location).glob("both-*"):
        (folder / "model.onnx").write_bytes(b"broken")
    followed = Followed(quiet, registry)
    assert followed.begin() == ["third", "second"]
    followed.watch.look()
    assert list_workers(registry)[0].refused == "both"
    assert [row.model for row in list_workers(registry)] == ["third", "second"]
    for folder in Path(quiet.shelf_location).glob("second-*"):
        (folder / "model.onnx").write_bytes(b"broken")
    for folder in quiet.bundle_cache.iterdir():
        (folder / "model.onnx").write_bytes(b"broken")
    assert Followed(quiet, registry).begin() == ["third", "chinese"]
    (shipped / "chinese" / "model.onnx").write_bytes(b"broken")
    alone = Followed(quiet, registry)
    assert alone.begin() == ["third"]
