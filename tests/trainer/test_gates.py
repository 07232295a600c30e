"""Each gate refuses what it should, and a promotion goes exactly as far as the gates allow."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sqlalchemy import Engine

from core.bundle import DataSource, load_bundle, sign_bundle, write_bundle
from core.classifier import Classifier
from core.errors import BundleError, InputError, RegistryError
from core.rollback import go_back
from core.settings import Settings, load_settings
from core.shelf import open_shelf
from core.store.models import State, find_model, list_models, list_proven, move_model, read_history
from core.store.worker_models import RunningModel, report_worker
from core.taxonomy import load_taxonomy
from core.unseen import SourceScore
from tests.core.test_signatures import Keys
from tests.tiny_bundles import write_tiny
from trainer.data.examples import Example
from trainer.judge.compare import TaskComparison, compare_scores
from trainer.promote.gates import Limits, judge_classes, judge_improvement, judge_size, judge_speed, judge_unseen
from trainer.promote.promotion import PromotionRefused, promote

LIMITS = Limits()
LABELS = ("low", "high")
TEXTS = [f"Acme {number} {word} results" for number in range(60) for word in ("strong", "weak", "plain")]


def comparison(texts: int, only_old: int, only_new: int, task: str = "mood", high: int | None = None) -> TaskComparison:
    """Two models that differ on `only_old` + `only_new` texts, which come first; `high` of all, half by default, are
    high, and come last."""
    many = texts // 2 if high is None else high
    truth = np.array([0] * (texts - many) + [1] * many)
    old, new = truth.copy(), truth.copy()
    new[:only_old] ^= 1
    old[only_old : only_old + only_new] ^= 1
    one_hot = np.eye(2, dtype=np.float32)
    return compare_scores(task, LABELS, truth, one_hot[old], one_hot[new])


def test_better_is_significantly_better() -> None:
    gate = judge_improvement([comparison(1000, 10, 40)], 10, 20, LIMITS)
    assert gate.passed
    assert gate.summary.startswith("significantly better on mood")
    assert gate.figures["tasks"]["mood"]["difference"] == pytest.approx(0.03)
    assert not judge_improvement([comparison(1000, 20, 25)], 10, 10, LIMITS).passed


def test_worse_on_one_task_outweighs_better_on_another() -> None:
    gate = judge_improvement([comparison(1000, 10, 40), comparison(1000, 40, 10, task="topic")], 20, 10, LIMITS)
    assert not gate.passed
    assert gate.summary.startswith("significantly worse on topic")


def test_equal_passes_only_if_it_is_smaller_and_surely_equal() -> None:
    equal = [comparison(2000, 4, 4)]
    assert judge_improvement(equal, 20, 10, LIMITS).passed
    assert not judge_improvement(equal, 10, 10, LIMITS).passed
    assert not judge_improvement(equal, 10, 20, LIMITS).passed
    unsure = judge_improvement([comparison(100, 4, 4)], 20, 10, LIMITS)
    assert not unsure.passed
    assert "may be 1 points or more worse on mood" in unsure.summary
    assert judge_improvement([comparison(100, 4, 4)], 20, 10, Limits(equal_points=20)).passed


def test_nothing_compared_proves_nothing() -> None:
    assert not judge_improvement([], 20, 10, LIMITS).passed


def test_sources_that_neither_learned_from_are_judged_by_their_mean() -> None:
    def scores(*accuracy: float, recall: float | None = None) -> list[SourceScore]:
        return [
            SourceScore(f"wire{at}", "en", "mood", 100, value, value, 0.1, recall) for at, value in enumerate(accuracy)
        ]

    assert judge_unseen(scores(0.6, 0.8), scores(0.75, 0.64), LIMITS).passed  # 0.5 points lower
    lost = judge_unseen(scores(0.6, 0.8), scores(0.75, 0.62), LIMITS)
    assert not lost.passed
    assert "mood accuracy 0.7000 -> 0.6850" in lost.summary
    assert lost.figures["mood"]["sources"] == 2
    assert not judge_unseen(scores(0.6, recall=0.8), scores(0.9, recall=0.7), LIMITS).passed
    # Only what both have figures of counts, and a gate that has nothing to judge says so.
    assert judge_unseen(scores(0.6, 0.9), scores(0.6), LIMITS).passed
    nothing = judge_unseen([], scores(0.6), LIMITS)
    assert nothing.passed
    assert "nothing was judged" in nothing.summary
    gain = comparison(2000, 0, 40)
    assert "better on mood of unseen sources" in judge_improvement([], 10, 20, LIMITS, [gain]).summary
    assert not judge_improvement([comparison(2000, 40, 0)], 10, 20, LIMITS, [gain]).passed


def test_a_class_must_not_lose_more_than_three_points() -> None:
    # 30 of 900 low texts are lost: high gains them as false ones, and with 100 texts of its own its F1 drops by 13.
    lost = judge_classes([comparison(1000, 30, 0, high=100)], LIMITS)
    assert not lost.passed
    assert "mood 'high'" in lost.summary
    assert judge_classes([comparison(1000, 2, 0, high=100)], LIMITS).passed
    assert judge_classes([comparison(1000, 30, 0, high=100)], Limits(class_points=20)).passed


def test_a_small_class_is_reported_and_not_judged() -> None:
    gate = judge_classes([comparison(1000, 8, 0, high=10)], LIMITS)
    assert gate.passed
    assert "too small to judge: mood 'high'" in gate.summary
    assert not judge_classes([comparison(1000, 8, 0, high=10)], Limits(class_support=10)).passed


def test_speed_and_size_have_limits() -> None:
    assert judge_speed(1000, 801, LIMITS).passed
    assert not judge_speed(1000, 799, LIMITS).passed
    floor = Limits(least_per_second=900)
    assert judge_speed(1000, 900, floor).passed
    assert not judge_speed(1000, 899, floor).passed
    assert "at least 900 messages/s" in judge_speed(1000, 899, floor).summary
    assert judge_size(25_000_000, LIMITS).passed
    assert not judge_size(25_000_001, LIMITS).passed


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    write_tiny(tmp_path / "configured", "configured", seed=1)
    return load_settings(
        database={"url": database_url},
        embedded={"directory": tmp_path / "home"},
        stream={"bundle": tmp_path / "configured"},
        models={"gate_speed_ratio": 0.01},  # two tiny models differ by what else the machine does
    )


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    write_tiny(tmp_path / "candidate", "candidate", seed=2)
    return tmp_path / "candidate"


def labelled_by(path: Path) -> list[Example]:
    """A test set on which the bundle at `path` is right everywhere."""
    classifier = Classifier(load_bundle(path))
    scores = classifier.predict(TEXTS)
    return [
        Example(
            text, {task: classifier.labels(task)[int(table[at].argmax())] for task, table in scores.items()}, "test"
        )
        for at, text in enumerate(TEXTS)
    ]


def lost_class(old: Path, new: Path, texts: int) -> list[Example]:
    """A test set of topics on which the bundle at `new` is right, but for `texts` texts: of one class, whose every text
    `old` finds."""
    told = [example.labels["topic"] for example in labelled_by(old)]
    examples = [msgspec.structs.replace(e, labels={"topic": e.labels["topic"]}) for e in labelled_by(new)]
    differing = [at for at, label in enumerate(told) if label != examples[at].labels["topic"]]
    lost = Counter(told[at] for at in differing).most_common(1)[0][0]
    for at in [at for at in differing if told[at] == lost][:texts]:
        examples[at] = msgspec.structs.replace(examples[at], labels={"topic": lost})
    return examples


def learn_from(path: Path, source: str) -> None:
    """Let the manifest of the bundle at `path` say that it learned from `source`."""
    bundle = load_bundle(path)
    manifest = msgspec.structs.replace(bundle.manifest, data=[DataSource(source, "", 9, 1, 1)])
    write_bundle(path, manifest, bundle.model, bundle.tokenizer, f"# {bundle.name}\n")


def states(engine: Engine) -> dict[str, str]:
    return {row.name: row.state for row in list_models(engine)}


def failed(refused: pytest.ExceptionInfo[PromotionRefused]) -> set[str]:
    return {gate.name for gate in refused.value.gates if not gate.passed}


def test_a_better_model_goes_live_and_comes_back(settings: Settings, engine: Engine, candidate: Path) -> None:
    done = promote(settings, engine, candidate, examples=labelled_by(candidate), actor="ann")
    assert (done.model, done.state, done.displaced, done.forced) == ("candidate", "live", "configured", False)
    assert [gate.name for gate in done.gates] == [
        "labels", "size", "self-test", "improvement", "unseen", "classes", "speed"
    ]  # fmt: skip
    assert states(engine) == {"candidate": "live", "configured": "retired"}
    event = next(event for event in read_history(engine, "candidate") if event.to_state == "live")
    assert (event.actor, event.reason, event.evidence["forced"]) == ("ann", "every gate passed", False)
    assert event.evidence["gates"][3]["figures"]["tasks"]["sentiment"]["new_accuracy"] == 1.0
    assert not promote(settings, engine, "candidate", actor="ann").changed

    assert go_back(settings, engine, actor="bob", reason="too many alerts").model == "configured"
    assert states(engine) == {"configured": "live", "candidate": "retired"}
    with pytest.raises(RegistryError, match="none to go back to"):
        go_back(settings, engine, actor="bob", reason="again")
    why = [(event.actor, event.reason) for event in read_history(engine, limit=2)]
    assert why == [("bob", "too many alerts"), ("bob", "configured takes its place: too many alerts")]


def test_a_worse_model_is_refused_with_every_verdict(settings: Settings, engine: Engine, candidate: Path) -> None:
    examples = labelled_by(settings.bundle_directory)
    with pytest.raises(PromotionRefused, match="overrule with --force --reason") as refused:
        promote(settings, engine, candidate, examples=examples, actor="ann")
    assert failed(refused) == {"improvement", "classes"}
    assert len(refused.value.gates) == 7
    assert states(engine) == {"configured": "live", "candidate": "candidate"}
    last = read_history(engine, "candidate")[0]
    assert (last.from_state, last.to_state, last.reason) == (
        "candidate",
        "candidate",
        "refused as live: improvement, classes",
    )

    with pytest.raises(InputError, match="--force needs --reason"):
        promote(settings, engine, "candidate", examples=examples, force=True, actor="ann", reason=" ")
    forced = promote(settings, engine, "candidate", examples=examples, force=True, actor="ann", reason="the old leaks")
    assert forced.forced
    last = read_history(engine, "candidate")[0]
    assert (last.to_state, last.reason, last.evidence["forced"]) == ("live", "the old leaks", True)


def test_nothing_goes_live_unproven(settings: Settings, engine: Engine, candidate: Path) -> None:
    with pytest.raises(PromotionRefused, match="no test set to prove it on"):
        promote(settings, engine, candidate, actor="ann")
    done = promote(settings, engine, candidate, to="shadow", actor="ann")
    assert (done.state, [gate.name for gate in done.gates]) == ("shadow", ["labels", "size", "self-test"])
    assert states(engine) == {"configured": "live", "candidate": "shadow"}
    with pytest.raises(PromotionRefused):
        promote(settings, engine, candidate, actor="ann")
    live = promote(settings, engine, "candidate", examples=labelled_by(candidate), actor="ann")
    assert live.state == "live"
    assert find_model(engine, state="shadow") is None


def test_what_workers_would_refuse_can_not_be_forced(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    taxonomy = load_taxonomy().tasks
    turned = {**taxonomy, "topic": taxonomy["topic"][::-1]}
    cases: dict[str, dict[str, Any]] = {"dishonest": {"self_test": False}, "turned": {"labels": turned}}
    for name, faults in cases.items():
        write_tiny(tmp_path / name, name, seed=2, **faults)
        with pytest.raises(PromotionRefused, match="this can't be forced") as refused:
            promote(settings, engine, tmp_path / name, to="shadow", force=True, reason="try", actor="ann")
        assert failed(refused) == {"self-test" if name == "dishonest" else "labels"}
        assert states(engine)[name] == "candidate"


def test_a_large_bundle_is_refused(settings: Settings, engine: Engine, candidate: Path) -> None:
    small = settings.model_copy(update={"models": settings.models.model_copy(update={"gate_max_megabytes": 0.001})})
    with pytest.raises(PromotionRefused) as refused:
        promote(small, engine, candidate, to="shadow", actor="ann")
    assert failed(refused) == {"size"}


def test_a_slow_bundle_is_refused(settings: Settings, engine: Engine, candidate: Path) -> None:
    strict = settings.model_copy(update={"models": settings.models.model_copy(update={"gate_speed_ratio": 1e6})})
    with pytest.raises(PromotionRefused, match="by 1 of 7 gates:\n  speed: ") as refused:
        promote(strict, engine, candidate, examples=labelled_by(candidate), actor="ann")
    assert failed(refused) == {"speed"}
    assert states(engine) == {"configured": "live", "candidate": "candidate"}
    assert read_history(engine, "candidate")[0].reason == "refused as live: speed"


def test_one_class_lost_outweighs_a_gain_over_all(settings: Settings, engine: Engine, candidate: Path) -> None:
    examples = lost_class(settings.bundle_directory, candidate, texts=LIMITS.class_support)
    with pytest.raises(PromotionRefused, match="by 1 of 7 gates:\n  classes: ") as refused:
        promote(settings, engine, candidate, examples=examples, actor="ann")
    assert failed(refused) == {"classes"}
    gates = {gate.name: gate for gate in refused.value.gates}
    assert len(gates["classes"].figures["lost"]) == 1
    assert gates["improvement"].figures["tasks"]["topic"]["difference"] > 0
    assert states(engine) == {"configured": "live", "candidate": "candidate"}
    assert read_history(engine, "candidate")[0].reason == "refused as live: classes"


def test_a_class_is_lost_wherever_its_texts_come_from(settings: Settings, engine: Engine, candidate: Path) -> None:
    """Both learned from one text's source alone: what the rest says of the classes counts all the same."""
    for path in (settings.bundle_directory, candidate):
        learn_from(path, "wire")
    examples = lost_class(settings.bundle_directory, candidate, texts=LIMITS.class_support)
    wire = msgspec.structs.replace(examples[0], source="wire")
    with pytest.raises(PromotionRefused, match="by 1 of 7 gates:\n  classes: "):
        promote(settings, engine, candidate, examples=[wire, *examples[1:]], actor="ann")
    assert states(engine) == {"configured": "live", "candidate": "candidate"}


def test_an_equal_and_smaller_bundle_passes(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    write_tiny(tmp_path / "configured", "configured", seed=1, padding=5000)
    write_tiny(tmp_path / "smaller", "smaller", seed=1)
    write_tiny(tmp_path / "larger", "larger", seed=1, padding=9000)
    examples = labelled_by(settings.bundle_directory)
    with pytest.raises(PromotionRefused) as refused:
        promote(settings, engine, tmp_path / "larger", examples=examples, actor="ann")
    assert failed(refused) == {"improvement"}
    assert promote(settings, engine, tmp_path / "smaller", examples=examples, actor="ann").state == "live"


def test_a_name_is_of_one_bundle(settings: Settings, engine: Engine, candidate: Path, tmp_path: Path) -> None:
    write_tiny(tmp_path / "namesake", "configured", seed=3)
    with pytest.raises(RegistryError, match="pass --name NEW-NAME"):
        promote(settings, engine, tmp_path / "namesake", to="shadow", actor="ann")
    done = promote(settings, engine, tmp_path / "namesake", to="shadow", name="other", actor="ann")
    assert done.model == "other"
    promote(settings, engine, candidate, to="shadow", actor="ann")
    assert states(engine) == {"configured": "live", "candidate": "shadow", "other": "candidate"}
    with pytest.raises(InputError, match="keeps its name"):
        promote(settings, engine, "candidate", name="renamed", actor="ann")
    with pytest.raises(InputError, match="neither a bundle directory nor a registered model"):
        promote(settings, engine, "nowhere", actor="ann")


def test_a_broken_directory_registers_nothing(settings: Settings, engine: Engine, candidate: Path) -> None:
    (candidate / "model.onnx").write_bytes(b"altered")
    with pytest.raises(BundleError, match="has SHA-256"):
        promote(settings, engine, candidate, actor="ann")
    assert list_models(engine) == []


def trusting(settings: Settings, keys: Keys, **change: Any) -> Settings:
    """These settings, with a key that is trusted."""
    models = {"trusted_keys": [keys.public]} | change
    return settings.model_copy(update={"models": settings.models.model_copy(update=models)})


@pytest.fixture
def mine(tmp_path: Path) -> Keys:
    return Keys(tmp_path, "mine")


def test_a_bundle_that_nobody_signed_stands_in_the_way_of_its_own_language_alone(
    settings: Settings, engine: Engine, tmp_path: Path, candidate: Path, mine: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    shipped = tmp_path / "shipped"
    write_tiny(shipped / "default", "default", seed=1)
    write_tiny(shipped / "chinese", "chinese", seed=3, languages=["zh"])
    write_tiny(tmp_path / "both", "both", seed=4, languages=["en", "zh"])
    for path in (shipped / "default", candidate, tmp_path / "both"):
        sign_bundle(path, mine.private)
    stream = settings.stream.model_copy(update={"bundle": shipped})
    strict = trusting(settings.model_copy(update={"stream": stream}), mine)
    assert promote(strict, engine, candidate, to="shadow", actor="ann").state == "shadow"
    assert states(engine) == {"candidate": "shadow", "default": "live"}
    assert "the bundle of the settings for zh is not registered" in caplog.text
    with pytest.raises(BundleError, match="chinese is not signed"):
        promote(strict, engine, tmp_path / "both", to="shadow", actor="ann")
    sign_bundle(shipped / "chinese", mine.private)
    promote(strict, engine, tmp_path / "both", to="shadow", actor="ann")
    assert states(engine)["chinese"] == "live"


def test_a_signed_bundle_is_signed_under_its_new_name(
    settings: Settings, engine: Engine, candidate: Path, mine: Keys
) -> None:
    sign_bundle(settings.bundle_directory, mine.private)
    strict = trusting(settings, mine, signing_key=mine.private)
    with pytest.raises(BundleError, match="candidate is not signed"):
        promote(strict, engine, candidate, to="shadow", name="renamed", actor="ann")
    sign_bundle(candidate, mine.private)
    with pytest.raises(InputError, match=r"set `models\.signing_key`"):
        promote(trusting(settings, mine), engine, candidate, to="shadow", name="renamed", actor="ann")
    assert states(engine) == {}
    promote(strict, engine, candidate, to="shadow", name="renamed", actor="ann")
    row = find_model(engine, name="renamed")
    assert row is not None
    assert open_shelf(strict).fetch(row.location, row.checksum).name == "renamed"


def test_settings_that_are_not_the_workers(settings: Settings, engine: Engine, candidate: Path) -> None:
    report_worker(engine, "host/0", [RunningModel("en", "something-else")])
    with pytest.raises(InputError, match="workers run something-else"):
        promote(settings, engine, candidate, to="shadow", actor="ann")
    assert list_models(engine) == []


def test_concurrent_promotions_are_serialised(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    """All were judged against the same live model: one goes through, the others are told to judge again."""
    names = [f"rival-{number}" for number in range(4)]
    for number, name in enumerate(names):
        write_tiny(tmp_path / name, name, seed=10 + number)
        promote(settings, engine, tmp_path / name, to="shadow", actor="ann")
    outcomes: list[str] = []
    together = threading.Barrier(len(names))

    def go(name: str) -> None:
        together.wait()
        try:
            move_model(engine, name, "live", actor=name, reason="race", judged_against="configured")
            outcomes.append("live")
        except RegistryError as error:
            outcomes.append(str(error).rsplit("; ")[-1])

    threads = [threading.Thread(target=go, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["live", "promote it again", "promote it again", "promote it again"]
    assert sorted(states(engine).values()).count("live") == 1


def test_going_back_goes_step_by_step(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    for number, name in enumerate(["second", "third"]):
        write_tiny(tmp_path / name, name, seed=20 + number)
        promote(settings, engine, tmp_path / name, examples=labelled_by(tmp_path / name), actor="ann")
    assert [row.name for row in list_proven(engine)] == ["second", "configured"]
    assert [go_back(settings, engine, actor="bob", reason="worse").model for _ in range(2)] == ["second", "configured"]
    assert states(engine) == {"configured": "live", "second": "retired", "third": "retired"}
    promote(settings, engine, "third", examples=labelled_by(tmp_path / "third"), actor="ann")
    assert go_back(settings, engine, actor="bob", reason="worse").model == "configured"


@pytest.mark.parametrize("state", ["shadow", "candidate"])
def test_going_back_to_a_model_that_shadowed_since(
    settings: Settings, engine: Engine, tmp_path: Path, state: State
) -> None:
    """A model that another one has replaced goes on in the shadow; it is still the one to go back to."""
    for number, name in enumerate(["second", "third"]):
        write_tiny(tmp_path / name, name, seed=20 + number)
        promote(settings, engine, tmp_path / name, examples=labelled_by(tmp_path / name), actor="ann")
    promote(settings, engine, "second", to="shadow", actor="ann")
    move_model(engine, "second", state, actor="ann", reason="seen enough")
    assert [row.name for row in list_proven(engine)] == ["second", "configured"]
    done = go_back(settings, engine, actor="bob", reason="worse")
    assert (done.model, done.state, done.displaced) == ("second", "live", "third")
    assert states(engine) == {"second": "live", "configured": "retired", "third": "retired"}
    assert find_model(engine, state="shadow") is None
    # One that was rolled back stays so in the shadow.
    promote(settings, engine, "third", to="shadow", actor="ann")
    assert go_back(settings, engine, actor="bob", reason="worse").model == "configured"
    assert states(engine) == {"configured": "live", "third": "shadow", "second": "retired"}


def test_a_refusal_does_not_hide_what_was_live(settings: Settings, engine: Engine, candidate: Path) -> None:
    promote(settings, engine, candidate, examples=labelled_by(candidate), actor="ann")
    with pytest.raises(PromotionRefused):
        promote(settings, engine, "configured", examples=labelled_by(candidate), actor="ann")
    assert go_back(settings, engine, actor="bob", reason="worse").model == "configured"


def test_a_broken_bundle_is_not_gone_back_to(settings: Settings, engine: Engine, candidate: Path) -> None:
    promote(settings, engine, candidate, examples=labelled_by(candidate), actor="ann")
    before = find_model(engine, name="configured")
    assert before is not None
    Path(before.location, "model.onnx").write_bytes(b"altered")
    for kept in (settings.bundle_cache).iterdir():
        if kept.name == before.checksum:
            (kept / "model.onnx").write_bytes(b"altered")
    with pytest.raises(BundleError):
        go_back(settings, engine, actor="bob", reason="worse")
    assert states(engine)["candidate"] == "live"


def test_moves_that_are_not_allowed(settings: Settings, engine: Engine, candidate: Path) -> None:
    promote(settings, engine, candidate, to="shadow", actor="ann")
    with pytest.raises(RegistryError, match="promote another model over it"):
        move_model(engine, "configured", "retired", actor="ann", reason="x")
    with pytest.raises(RegistryError, match="needs a reason"):
        move_model(engine, "candidate", "live", actor="ann", reason=" ")
    with pytest.raises(RegistryError, match="no model is registered as 'nobody'"):
        move_model(engine, "nobody", "live", actor="ann", reason="x")
    assert states(engine) == {"configured": "live", "candidate": "shadow"}
