"""The shadow labels a sample beside the live model, writes nothing into trends, and hurts nobody when it fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from core import metrics
from core.bundle import load_bundle
from core.classifier import Classifier
from core.fitting import TASKS
from core.settings import Settings
from core.store.connection import connect
from core.store.models import move_model
from core.store.recount import differences
from core.store.retention import Retention
from core.store.shadows import ShadowRow, read_agreement, read_disagreements, store_shadow_rows
from core.store.trends import read_trends
from core.store.worker_models import list_workers
from newstide.stack.resources import amended
from stream.batch import Classified, Record
from stream.commit import Committer
from stream.entities import load_watchlist
from stream.ledger import TopicLedger
from stream.model_watch import ModelWatch
from stream.models import ModelLoader
from stream.pipeline import Pipeline
from stream.shadow import Shadow
from tests.stream.harness import ask, make_settings, scenario_messages, scenario_records, wait_until
from tests.tiny_bundles import register_tiny, write_tiny

COUNT = 400
SHARE = 0.3
TOPIC = "newstide.messages"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    write_tiny(tmp_path / "live", "live", seed=1)
    write_tiny(tmp_path / "shadow", "shadow", seed=2)
    return amended(make_settings("127.0.0.1:1", database_url, tmp_path), stream={"bundle": tmp_path / "live"})


@pytest.fixture
def live(settings: Settings) -> Classifier:
    return Classifier(load_bundle(settings.bundle_directory))


@pytest.fixture
def other(tmp_path: Path) -> Classifier:
    return Classifier(load_bundle(tmp_path / "shadow"))


@pytest.fixture
def shadow(engine: Engine) -> Iterator[Shadow]:
    made = Shadow(partial(store_shadow_rows, engine), SHARE)
    yield made
    made.close()


@pytest.fixture
def pipeline(settings: Settings, engine: Engine, live: Classifier, shadow: Shadow) -> Iterator[Pipeline]:
    made = Pipeline(
        [live],
        load_watchlist(),
        Committer(TopicLedger(TOPIC), timedelta(hours=72)),
        lambda: connect(settings, autocommit=True),
        lambda letters: None,
        1,
        shadow.offer,
    )
    yield made
    made.close()


@pytest.fixture
def records() -> list[Record]:
    return scenario_records(TOPIC, COUNT)


def sampled() -> set[Any]:
    return {message.uid for message in scenario_messages(COUNT) if message.uid.int < SHARE * 2**128}


def stored(settings: Settings) -> int:
    return int(ask(settings, "SELECT count(*) FROM shadow_message")[0][0])


def messages(outcome: str) -> float:
    return metrics.WORKER.registry.get_sample_value("newstide_shadow_messages_total", {"outcome": outcome}) or 0


def labelled(task: str, outcome: str) -> float:
    found = {"task": task, "outcome": outcome}
    return metrics.WORKER.registry.get_sample_value("newstide_shadow_labels_total", found) or 0


def test_a_sample_is_labelled_beside_and_trends_know_nothing_of_it(
    pipeline: Pipeline,
    shadow: Shadow,
    other: Classifier,
    live: Classifier,
    settings: Settings,
    engine: Engine,
    records: list[Record],
) -> None:
    before = {task: labelled(task, "same") for task in TASKS}
    shadow.use(other)
    shadow.start()
    for start in range(0, COUNT, 100):
        pipeline.process(records[start : start + 150])  # half of it redelivered
    expected = sampled()
    assert 0.15 * COUNT < len(expected) < 0.45 * COUNT
    wait_until(lambda: stored(settings) == len(expected), "the sample stored", within_s=20)
    assert {uid for (uid,) in ask(settings, "SELECT uid FROM shadow_message")} == expected
    assert ask(settings, "SELECT DISTINCT model FROM message") == [("live",)]
    assert differences(engine) == []
    assert sum(row.negative + row.neutral + row.positive for row in read_trends(engine) if row.kind == "all") == COUNT

    bodies = {message.uid: message.body for message in scenario_messages(COUNT)}
    columns = "uid, live, live_labels, shadow_labels, confidence"
    for uid, model, live_labels, shadow_labels, confidence in ask(settings, f"SELECT {columns} FROM shadow_message"):
        assert model == "live"
        assert live_labels == labels_of(live, bodies[uid])[0]
        labels, least = labels_of(other, bodies[uid])
        assert shadow_labels == labels
        assert confidence == pytest.approx(least, abs=1e-6)

    for task in read_agreement(engine, "shadow", "live"):
        assert labelled(task.task, "same") - before[task.task] == task.agreeing
        same = [labels_of(live, bodies[uid])[0][task.task] == labels_of(other, bodies[uid])[0][task.task]
                for uid in expected]  # fmt: skip
        assert (task.messages, task.agreeing) == (len(expected), sum(same))
        assert task.low < task.share < task.high
    found = read_disagreements(engine, shadow="shadow", task="sentiment", limit=COUNT)
    assert found
    for row in found:
        assert row.live_labels["sentiment"] != row.shadow_labels["sentiment"]
        assert row.text in bodies[row.uid] or row.title in bodies[row.uid]
    assert len(read_disagreements(engine, limit=COUNT)) >= len(found)
    assert read_disagreements(engine, shadow="another") == []


def labels_of(classifier: Classifier, body: str) -> tuple[dict[str, str], float]:
    scores = {task: table[0] for task, table in classifier.predict([body]).items()}
    labels = {task: classifier.labels(task)[int(row.argmax())] for task, row in scores.items()}
    return labels, min(float(row.max()) for row in scores.values())


class Failing:
    """A model whose `predict` does what a test wants."""

    def __init__(self, real: Classifier, predict: Callable[[Sequence[str]], Any]) -> None:
        self.name, self.languages = real.name, real.languages
        self.labels, self.self_test = real.labels, real.self_test
        self.predict, self.entity_labels = predict, ()


def throw(texts: Sequence[str]) -> Any:
    raise RuntimeError("thrown on purpose")


def test_a_failing_shadow_is_switched_off_and_the_pipeline_goes_on(
    pipeline: Pipeline,
    shadow: Shadow,
    other: Classifier,
    settings: Settings,
    engine: Engine,
    records: list[Record],
    caplog: pytest.LogCaptureFixture,
) -> None:
    shadow.start()
    nonsense = Failing(
        other, lambda texts: {task: table * float("nan") for task, table in other.predict(texts).items()}
    )
    for broken, reason in ((Failing(other, throw), "thrown on purpose"), (nonsense, "are no numbers")):
        shadow.use(broken)
        assert shadow.names == ["shadow"]
        half = records[:200] if broken is not nonsense else records[200:]
        assert len(pipeline.process(half)) == 200
        wait_until(lambda: not shadow.names, "the shadow switched off", within_s=20)
        assert reason in shadow.take_failures()["shadow"]
        assert shadow.take_failures() == {}
    assert "the shadow model shadow failed and is switched off" in caplog.text
    assert stored(settings) == 0
    assert differences(engine) == []


def test_the_watch_says_that_a_shadow_failed_and_tries_again_when_asked(
    settings: Settings, engine: Engine, shadow: Shadow, tmp_path: Path, pipeline: Pipeline, records: list[Record]
) -> None:
    failing = True

    def wrap(classifier: Classifier) -> Any:
        return Failing(classifier, throw) if failing and classifier.name == "shadow" else classifier

    register_tiny(settings, engine, tmp_path / "shadow")
    watch = ModelWatch(
        engine, lambda: connect(settings, autocommit=True), ModelLoader(settings, wrap), shadow, "host/0", 60
    )
    watch.begin()
    shadow.start()

    def shown() -> tuple[str | None, str | None, str | None]:
        watch.look()
        (worker,) = list_workers(engine)
        return worker.shadow, worker.refused, worker.reason

    move_model(engine, "shadow", "shadow", actor="test", reason="test")
    assert shown() == ("shadow", None, None)
    pipeline.process(records[:100])
    wait_until(lambda: not shadow.names, "the shadow switched off", within_s=20)
    for _ in range(2):
        name, refused, reason = shown()
        assert (name, refused) == (None, "shadow")
        assert metrics.WORKER.registry.get_sample_value("newstide_model_refused", {"role": "shadow"}) == 1
        assert "it failed on live traffic: RuntimeError: thrown on purpose" in (reason or "")
    failing = False
    move_model(engine, "shadow", "candidate", actor="test", reason="mended")
    assert shown() == (None, None, None)
    move_model(engine, "shadow", "shadow", actor="test", reason="mended")
    assert shown() == ("shadow", None, None)
    assert metrics.WORKER.registry.get_sample_value("newstide_model_refused", {"role": "shadow"}) == 0
    pipeline.process(records[100:])
    wait_until(lambda: stored(settings) > 0, "rows of the mended shadow", within_s=20)


def test_a_slow_shadow_skips_and_never_blocks(
    pipeline: Pipeline, shadow: Shadow, other: Classifier, settings: Settings, records: list[Record]
) -> None:
    enough, begun = threading.Event(), threading.Event()

    def wait(texts: Sequence[str]) -> Any:
        begun.set()
        enough.wait(30)
        return other.predict(texts)

    shadow.use(Failing(other, wait))
    shadow.start()
    before = messages("skipped")
    pipeline.process(records)
    assert begun.wait(20)
    classified = pipeline.process(records)
    everything = frozenset(item.item.uid for item in classified)
    for _ in range(20):
        shadow.offer(classified, everything)
    assert messages("skipped") > before
    enough.set()
    wait_until(lambda: stored(settings) == len(sampled()), "what was taken is done", within_s=20)


def test_a_database_that_is_away_loses_rows_and_no_more(
    pipeline: Pipeline, other: Classifier, engine: Engine, records: list[Record]
) -> None:
    away = threading.Event()

    def store(name: str, rows: Sequence[ShadowRow]) -> int:
        away.set()
        raise OperationalError("INSERT", {}, Exception("the database is away"))

    before = messages("failed")
    shadow = Shadow(store, 1.0)
    shadow.use(other)
    shadow.start()
    shadow.offer(*_all(pipeline.process(records[:50])))
    assert away.wait(20)
    wait_until(lambda: messages("failed") == before + 50, "the loss counted", within_s=20)
    assert shadow.names == ["shadow"], "a database that is away is no fault of the model"
    shadow.close()


def _all(classified: list[Classified]) -> tuple[list[Classified], frozenset[Any]]:
    return classified, frozenset(item.item.uid for item in classified)


def test_a_batch_is_labelled_by_one_model(
    pipeline: Pipeline, live: Classifier, other: Classifier, settings: Settings, records: list[Record]
) -> None:
    """A new model comes in the middle of a batch that fails once and is labelled one by one."""
    calls = 0

    def predict(texts: Sequence[str]) -> Any:
        nonlocal calls
        calls += 1
        pipeline.use(other)
        return live.predict(texts) if calls > 1 else throw(texts)

    pipeline.use(Failing(live, predict))
    assert {item.labels and item.labels.model for item in pipeline.process(records[:60])} == {"live"}
    assert calls == 61
    assert {item.labels and item.labels.model for item in pipeline.process(records[60:90])} == {"shadow"}
    assert ask(settings, "SELECT model, count(*) FROM message GROUP BY 1 ORDER BY 1") == [("live", 60), ("shadow", 30)]


def test_rows_follow_retention(
    pipeline: Pipeline, shadow: Shadow, other: Classifier, settings: Settings, engine: Engine, records: list[Record]
) -> None:
    shadow.use(other)
    shadow.start()
    pipeline.process(records)
    wait_until(lambda: stored(settings) == len(sampled()), "the sample stored", within_s=20)
    with engine.begin() as connection:
        connection.execute(text("UPDATE shadow_message SET stored_at = now() - interval '91 days' WHERE uid IN "
                                "(SELECT uid FROM shadow_message LIMIT 7)"))  # fmt: skip
    with connect(settings, autocommit=True) as connection:
        Retention(settings, connection).run()
    assert stored(settings) == len(sampled()) - 7
