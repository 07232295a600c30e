"""Models change under flowing traffic: nothing lost or doubled, and each row is the work of the model it names."""

from __future__ import annotations

import json
import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from core import metrics
from core.bundle import load_bundle, sign_bundle, write_bundle
from core.classifier import Classifier
from core.records import Message
from core.settings import Settings
from core.store.connection import connect, open_engine
from core.store.models import find_model, move_model, roll_back
from core.store.recount import differences
from core.store.worker_models import WorkerModel, list_workers
from core.taxonomy import load_taxonomy
from newstide.stack.resources import amended
from stream.model_watch import ModelWatch
from stream.models import ModelLoader
from stream.pipeline import TextClassifier
from stream.shadow import Shadow
from tests.core.test_signatures import Keys
from tests.stream.harness import (
    SENTIMENTS,
    Input,
    Workers,
    as_input,
    ask,
    committed,
    make_settings,
    one_broker,
    produce,
    recounted_stories,
    scenario_messages,
    stored_counts,
    stored_story_counts,
    wait_until,
)
from tests.tiny_bundles import register_tiny, write_tiny

COUNT = 1200


@pytest.fixture
def settings(bootstrap_servers: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Workers start with the tiny bundle `first`, and keep what they fetch in the test's own directory."""
    write_tiny(tmp_path / "first", "first", seed=1)
    monkeypatch.setenv("NEWSTIDE_EMBEDDED__DIRECTORY", str(tmp_path))
    monkeypatch.setenv("NEWSTIDE_MODELS__POLL_S", "1")
    made = make_settings(bootstrap_servers, database_url, tmp_path)
    return amended(made, stream={"bundle": tmp_path / "first"})


def go_live(engine: Engine, name: str) -> None:
    move_model(engine, name, "live", actor="test", reason="test")


def models_of_workers(engine: Engine) -> dict[str, str | None]:
    return {worker.worker.rsplit("/", 1)[1]: worker.model for worker in list_workers(engine)}


def labelled_by(settings: Settings, model: str) -> int:
    return int(ask(settings, f"SELECT count(*) FROM message WHERE model = '{model}'")[0][0])


def assert_each_row_is_its_models_work(settings: Settings, records: list[Input], bundles: dict[str, Path]) -> None:
    """Every message once; its scores those of the model it names, to the last bit; trends the sum of the rows."""
    rows = ask(
        settings,
        "SELECT source, id, title, text, published_at, entities, sentiment, sentiment_scores, topic, topic_scores, "
        "model FROM message",
    )
    assert len(rows) == len({row[:2] for row in rows}) == len({key for key, _ in records})
    classifiers = {name: Classifier(load_bundle(path)) for name, path in bundles.items()}
    counts: dict[tuple[str, str, datetime], list[int]] = defaultdict(lambda: [0] * 7)
    for source, id_, title, text, published_at, entities, sentiment, scores, topic, topic_scores, model in rows:
        body = Message(
            id=id_, source=source, kind="news", published_at=_NOW, received_at=_NOW, title=title, text=text
        ).body
        expected = {task: table[0] for task, table in classifiers[model].predict([body]).items()}
        assert np.array_equal(np.float32(scores), expected["sentiment"])
        assert np.array_equal(np.float32(topic_scores), expected["topic"])
        best = int(expected["sentiment"].argmax())
        assert sentiment == SENTIMENTS[best]
        assert topic == classifiers[model].labels("topic")[int(expected["topic"].argmax())]
        minute = published_at.astimezone(UTC).replace(second=0, microsecond=0)
        series = [("all", "all"), ("topic", topic), ("source", source), *(("entity", entity) for entity in entities)]
        for kind, name in series:
            cell = counts[kind, name, minute]
            cell[best] += 1
            for column in range(3):
                cell[4 + column] += round(float(expected["sentiment"][column]) * 1_000_000)
    assert stored_counts(settings) == dict(counts)
    assert stored_story_counts(settings) == recounted_stories(settings)
    assert ask(settings, "SELECT coalesce(sum(gaps), 0) FROM offset_ledger")[0][0] == 0
    with_engine = open_engine(settings)
    assert differences(with_engine) == []
    with_engine.dispose()


_NOW = datetime.now(UTC)


@one_broker
def test_swap_and_roll_back_under_traffic_with_a_kill_in_the_middle(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    write_tiny(tmp_path / "second", "second", seed=2)
    for path in (tmp_path / "first", tmp_path / "second"):
        register_tiny(settings, engine, path)
    go_live(engine, "first")
    records = as_input(scenario_messages(COUNT))
    stop = threading.Event()
    sent: list[Input] = []

    def feed() -> None:
        for start in range(0, COUNT, 40):
            if stop.is_set():
                return
            produce(settings, records[start : start + 40], per_second=120)
            sent.extend(records[start : start + 40])

    workers = Workers(settings, tmp_path)
    feeding = threading.Thread(target=feed)
    try:
        workers.start(0)
        workers.start(1)
        feeding.start()
        wait_until(lambda: committed(settings) > 100, "messages committed before the swap")
        go_live(engine, "second")
        wait_until(lambda: labelled_by(settings, "second") > 0, "the second model at work")
        assert workers.end(0, signal.SIGKILL) == -signal.SIGKILL
        workers.start(0)
        wait_until(lambda: models_of_workers(engine) == {"0": "second", "1": "second"}, "both workers switched")
        assert roll_back(engine, actor="test", reason="test").model == "first"
        assert workers.end(1, signal.SIGKILL) == -signal.SIGKILL
        workers.start(1)
        wait_until(lambda: models_of_workers(engine) == {"0": "first", "1": "first"}, "both workers back")
        seconds = labelled_by(settings, "second")
        feeding.join()
        after = scenario_messages(COUNT + 200)[COUNT:]
        produce(settings, as_input(after))
        sent.extend(as_input(after))
        wait_until(lambda: committed(settings) == len(sent), "all committed", within_s=180)
    finally:
        stop.set()
        feeding.join()
        workers.close()
    assert len(sent) == COUNT + 200
    # A batch that was under way at the switch may still end with the old model, and none after that.
    assert labelled_by(settings, "second") <= seconds + 2 * 2 * settings.stream.batch_size
    assert labelled_by(settings, "first") > 200
    assert ask(settings, "SELECT DISTINCT model FROM message WHERE id = ANY(ARRAY[" + ",".join(
        f"'{message.id}'" for message in after[-50:]) + "])") == [("first",)]  # fmt: skip
    assert_each_row_is_its_models_work(settings, sent, {"first": tmp_path / "first", "second": tmp_path / "second"})


@one_broker
def test_a_broken_bundle_is_refused_and_the_old_model_goes_on(
    settings: Settings, engine: Engine, workers: Workers, tmp_path: Path
) -> None:
    records = as_input(scenario_messages(300))
    for name, seed in (("broken", 3), ("second", 2)):
        write_tiny(tmp_path / name, name, seed=seed)
        register_tiny(settings, engine, tmp_path / name)
    for file in Path(settings.shelf_location).glob("broken-*/model.onnx"):
        file.write_bytes(file.read_bytes()[:-1] + b"!")
    workers.start(0)
    produce(settings, records[:100])
    wait_until(lambda: committed(settings) == 100, "the first hundred")
    go_live(engine, "broken")

    def refused() -> WorkerModel | None:
        return next((worker for worker in list_workers(engine) if worker.refused), None)

    wait_until(lambda: refused() is not None, "the broken model refused")
    worker = refused()
    assert worker is not None
    assert (worker.model, worker.refused) == ("first", "broken")
    assert "model.onnx has SHA-256" in (worker.reason or "")
    assert "the live model broken is refused, first goes on" in workers.log(0)
    produce(settings, records[100:200])
    wait_until(lambda: committed(settings) == 200, "the second hundred")
    assert ask(settings, "SELECT DISTINCT model FROM message") == [("first",)]

    # A worker that starts now has no live model it can use, and none that was proven.
    assert workers.end(0, signal.SIGTERM) == 0, workers.log(0)[-2000:]
    workers.start(0)
    wait_until(lambda: "starting with the bundle of the settings" in workers.log(0), "a worker with the settings' own")
    go_live(engine, "second")
    wait_until(lambda: models_of_workers(engine) == {"0": "second"}, "the next model taken")
    assert refused() is None
    produce(settings, records[200:])
    wait_until(lambda: committed(settings) == 300, "all")
    assert labelled_by(settings, "second") == 100
    assert workers.end(0, signal.SIGTERM) == 0, workers.log(0)[-2000:]
    assert_each_row_is_its_models_work(settings, records, {"first": tmp_path / "first", "second": tmp_path / "second"})


class Followed:
    """A watch without its thread, and the models it handed over."""

    def __init__(self, settings: Settings, engine: Engine, wrap: Callable[[Any], TextClassifier] | None = None) -> None:
        self.used: list[str] = []
        self.shadow = Shadow(lambda name, rows: 0, 1.0)
        self.watch = ModelWatch(
            engine,
            lambda: connect(settings, autocommit=True),
            ModelLoader(settings, wrap),
            self.shadow,
            "host/0",
            poll_s=60,
        )
        self.watch._use = lambda *models: self.used.extend(model.name for model in models)

    def begin(self) -> list[str]:
        return [model.name for model in self.watch.begin()]


@pytest.fixture
def quiet(database_url: str, tmp_path: Path) -> Settings:
    """Settings of tests without workers."""
    write_tiny(tmp_path / "first", "first", seed=1)
    made = make_settings("127.0.0.1:1", database_url, tmp_path)
    return amended(made, stream={"bundle": tmp_path / "first"})


@pytest.fixture
def store(quiet: Settings) -> Iterator[Engine]:
    opened = open_engine(quiet)
    yield opened
    opened.dispose()


def refusal(engine: Engine) -> tuple[str | None, str]:
    (worker,) = list_workers(engine)
    return worker.refused, worker.reason or ""


def test_what_does_not_fit_is_refused(quiet: Settings, store: Engine, tmp_path: Path) -> None:
    taxonomy = load_taxonomy().tasks
    write_tiny(tmp_path / "dishonest", "dishonest", seed=2, self_test=False)
    write_tiny(tmp_path / "turned", "turned", seed=2, labels={**taxonomy, "topic": taxonomy["topic"][::-1]})
    write_tiny(tmp_path / "short", "short", seed=2, labels={**taxonomy, "topic": taxonomy["topic"][:-1]})
    write_tiny(tmp_path / "upside", "upside", seed=2, labels={**taxonomy, "sentiment": taxonomy["sentiment"][::-1]})
    write_tiny(tmp_path / "mute", "mute", seed=2, labels={"sentiment": taxonomy["sentiment"]})
    reasons = {
        "dishonest": "fails its self-test",
        "turned": "has its labels in another order",
        "short": f"lacks {taxonomy['topic'][-1]}",
        "upside": "in this order: retrain it",
        "mute": "has no task topic",
    }
    followed = Followed(quiet, store)
    assert followed.begin() == ["first"]
    for name, reason in reasons.items():
        register_tiny(quiet, store, tmp_path / name)
        go_live(store, name)
        followed.watch.look()
        assert refusal(store)[0] == name
        assert reason in refusal(store)[1]
    assert followed.used == []
    assert metrics.WORKER.registry.get_sample_value("newstide_model_info", {"language": "en", "name": "first"}) == 1


def test_with_trusted_keys_an_unsigned_model_is_not_swapped_in(quiet: Settings, store: Engine, tmp_path: Path) -> None:
    keys = Keys(tmp_path, "mine")
    for number, name in enumerate(("first", "signed", "unsigned"), start=1):
        write_tiny(tmp_path / name, name, seed=number)
        if name != "unsigned":
            sign_bundle(tmp_path / name, keys.private)
        register_tiny(quiet, store, tmp_path / name)
    followed = Followed(amended(quiet, models={"trusted_keys": [keys.public]}), store)
    assert followed.begin() == ["first"]
    go_live(store, "unsigned")
    followed.watch.look()
    assert refusal(store)[0] == "unsigned"
    assert "is not signed" in refusal(store)[1]
    go_live(store, "signed")
    followed.watch.look()
    assert followed.used == ["signed"]


def test_a_refused_model_is_tried_again_when_the_registry_changes(
    quiet: Settings, store: Engine, tmp_path: Path
) -> None:
    write_tiny(tmp_path / "second", "second", seed=2)
    write_tiny(tmp_path / "third", "third", seed=3)
    for name in ("first", "second", "third"):
        register_tiny(quiet, store, tmp_path / name)
    go_live(store, "first")
    (file,) = Path(quiet.shelf_location).glob("second-*/model.onnx")
    good = file.read_bytes()
    file.write_bytes(b"cut short")
    tried: list[str] = []

    def note(classifier: Classifier) -> TextClassifier:
        tried.append(classifier.name)
        return classifier

    followed = Followed(quiet, store, note)
    followed.watch.begin()
    go_live(store, "second")
    for _ in range(3):
        followed.watch.look()
    assert refusal(store)[0] == "second"
    file.write_bytes(good)
    followed.watch.look()
    assert followed.used == [], "nothing changed in the registry"
    move_model(store, "third", "shadow", actor="test", reason="test")
    followed.watch.look()
    assert followed.used == ["second"]
    assert followed.shadow.names == ["third"]
    assert refusal(store) == (None, "")
    assert tried == ["first", "second", "third"]
    assert metrics.WORKER.registry.get_sample_value("newstide_model_info", {"language": "en", "name": "second"}) == 1
    live = find_model(store, state="live")
    since = metrics.WORKER.registry.get_sample_value("newstide_model_registered_timestamp_seconds", {"name": "second"})
    assert live is not None
    assert since == pytest.approx(live.created_at.timestamp())
    assert metrics.WORKER.registry.get_sample_value("newstide_model_info", {"language": "en", "name": "first"}) is None


def test_a_shelf_that_is_away_is_tried_again_by_itself(
    quiet: Settings, store: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(tmp_path / "second", "second", seed=2)
    register_tiny(quiet, store, tmp_path / "second")
    followed = Followed(quiet, store)
    followed.watch.begin()
    shelf = Path(quiet.shelf_location)
    shelf.rename(tmp_path / "away")
    go_live(store, "second")
    followed.watch.look()
    assert "can't be reached" in refusal(store)[1]
    (tmp_path / "away").rename(shelf)
    followed.watch.look()
    assert followed.used == [], "the pause is not over"
    followed.watch._refused["live", "en"].again_at = 0
    followed.watch.look()
    assert followed.used == ["second"]


def test_a_broken_live_model_at_the_start(quiet: Settings, store: Engine, tmp_path: Path) -> None:
    """The last proven one that is whole stands in; where none is, the bundle of the settings."""
    for number, name in enumerate(("second", "third", "fourth")):
        write_tiny(tmp_path / name, name, seed=2 + number)
        register_tiny(quiet, store, tmp_path / name)
        go_live(store, name)
    assert Followed(quiet, store).begin() == ["fourth"]
    for name, starts in (("fourth", "third"), ("third", "second"), ("second", "first")):
        for folder in (*Path(quiet.shelf_location).glob(f"{name}-*"), *quiet.bundle_cache.iterdir()):
            if load_name(folder) == name:
                (folder / "model.onnx").write_bytes(b"broken")
        followed = Followed(quiet, store)
        assert followed.begin() == [starts]
        followed.watch.look()
        (worker,) = list_workers(store)
        assert (worker.model, worker.refused) == (starts, "fourth")
        assert followed.used == []


def test_a_live_model_that_loads_and_does_not_run(quiet: Settings, store: Engine, tmp_path: Path) -> None:
    """What no text of its own self-test shows is found before it runs; whatever it does, others stand in."""
    for number, name in enumerate(("second", "third")):
        bundle = write_tiny(tmp_path / name, name, seed=2 + number)
        if name == "third":
            tokenizer = json.loads(bundle.tokenizer)
            tokenizer["model"]["vocab"]["é"] = 9_999
            write_bundle(tmp_path / name, bundle.manifest, bundle.model, json.dumps(tokenizer).encode(), "# third\n")
        register_tiny(quiet, store, tmp_path / name)
        go_live(store, name)
    followed = Followed(quiet, store)
    assert followed.begin() == ["second"]
    followed.watch.look()
    assert refusal(store)[0] == "third"
    assert "none for token 9999" in refusal(store)[1]

    def fall(classifier: Classifier) -> TextClassifier:
        if classifier.name == "second":
            raise RuntimeError("of no kind that was thought of")
        return classifier

    assert Followed(quiet, store, fall).begin() == ["first"]


def test_the_shadow_stands_in_for_a_broken_live_model_and_ends_where_it_goes_live(
    quiet: Settings, store: Engine, tmp_path: Path
) -> None:
    for number, name in enumerate(("second", "third")):
        write_tiny(tmp_path / name, name, seed=2 + number)
        register_tiny(quiet, store, tmp_path / name)
        go_live(store, name)
    move_model(store, "second", "shadow", actor="test", reason="test")
    (file,) = Path(quiet.shelf_location).glob("third-*/model.onnx")
    file.write_bytes(b"broken")
    followed = Followed(quiet, store)
    assert followed.begin() == ["second"]
    followed.watch.look()
    assert (refusal(store)[0], followed.shadow.names) == ("third", ["second"])
    assert roll_back(store, actor="test", reason="test").model == "second"
    followed.watch.look()
    assert followed.used == [], "it is in use already"
    assert followed.shadow.names == []
    assert refusal(store) == (None, "")


def test_the_bundle_in_use_is_not_loaded_again_when_it_is_registered(quiet: Settings, store: Engine) -> None:
    followed = Followed(quiet, store)
    followed.watch.begin()
    register_tiny(quiet, store, quiet.bundle_directory)
    go_live(store, "first")
    followed.watch.look()
    assert followed.used == []
    assert refusal(store) == (None, "")


def load_name(folder: Path) -> str:
    return (folder / "MODEL_CARD.md").read_text().strip("# \n")
