"""Comparing bundles, and figures over seeds: against scipy, by hand, and on a classifier that really runs."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from core.bundle import FORMAT_VERSION, Bundle, Manifest, SelfTest, TaskSpec, load_bundle, write_bundle
from core.classifier import Classifier
from core.errors import InputError
from core.scoring import score_task, softmax
from core.taxonomy import Taxonomy
from newstide.commands.classify import compare_, evaluate
from trainer.data.examples import Example
from trainer.judge.compare import bootstrap_interval, compare, compare_scores, mcnemar, read_examples
from trainer.judge.spread import spread

LABELS = ("a", "b", "c")


def table(answers: str) -> np.ndarray:
    """Scores whose greatest is at each letter of `answers`."""
    return softmax(5 * np.eye(3, dtype=np.float32)[["abc".index(letter) for letter in answers]])


def truth(answers: str) -> np.ndarray:
    return np.array(["abc".index(letter) for letter in answers])


def test_discordant_texts_decide() -> None:
    found = compare_scores("t", LABELS, truth("aaaabbbbcc"), table("aaaabbaabb"), table("aaabbbbbcb"))
    # Right only before: text 4. Right only now: texts 7, 8 and 9.
    assert (found.texts, found.only_old_right, found.only_new_right) == (10, 1, 3)
    assert found.difference == pytest.approx(0.2)
    assert found.p_value == pytest.approx(2 * (1 + 4) / 16)
    assert found.low <= found.difference <= found.high
    assert found.f1_drops == pytest.approx({"a": 8 / 10 - 6 / 7, "b": 4 / 8 - 8 / 10, "c": 0 - 2 / 3})


def test_labels_that_do_not_occur_lose_nothing() -> None:
    assert set(compare_scores("t", LABELS, truth("ab"), table("ab"), table("ac")).f1_drops) == {"a", "b"}


def test_a_classifier_equals_itself() -> None:
    found = compare_scores("t", LABELS, truth("abc"), table("abb"), table("abb"))
    assert (found.p_value, found.difference, found.low, found.high) == (1.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(("one", "other", "expected"), [(0, 5, 2 / 32), (5, 0, 2 / 32), (3, 3, 1.0), (0, 0, 1.0)])
def test_mcnemar_is_exact_and_two_sided(one: int, other: int, expected: float) -> None:
    assert mcnemar(one, other) == pytest.approx(expected)


def test_the_interval_is_that_of_resampled_texts() -> None:
    differences = np.array([-1] * 30 + [1] * 55 + [0] * 415)
    draws = np.random.default_rng(9).choice(differences, size=(10_000, 500)).mean(1)
    low, high = bootstrap_interval(30, 55, 500)
    assert (low, high) == pytest.approx(np.percentile(draws, (2.5, 97.5)), abs=0.003)
    assert bootstrap_interval(30, 55, 500) == (low, high)


def test_spread_over_runs() -> None:
    runs = [[score_task("t", LABELS, truth("aabb"), table(answers))] for answers in ("aabb", "aaba", "abba")]
    (found,) = spread(runs)
    assert (found.task, found.runs, found.support) == ("t", 3, 4)
    assert (found.accuracy.mean, found.accuracy.low, found.accuracy.high) == (0.75, 0.5, 1.0)
    assert found.accuracy.deviation == pytest.approx(0.25)
    assert set(found.f1) == {"a", "b"}
    assert spread(runs[:1])[0].macro_f1.deviation == 0.0
    with pytest.raises(InputError, match="run 2 was judged on other"):
        spread([runs[0], [score_task("t", LABELS, truth("abbb"), table("aabb"))]])
    with pytest.raises(InputError, match="no runs"):
        spread([])


def write_tiny(path: Path, backbone: Path, tasks: dict[str, tuple[str, ...]], seed: int) -> Path:
    """A bundle that adds up one random vector of logits per word."""
    tokenizer = Tokenizer.from_file(str(backbone / "tokenizer.json"))
    generator = np.random.default_rng(seed)
    nodes = [helper.make_node("Unsqueeze", ["mask", "last"], ["weights"])]
    constants = [numpy_helper.from_array(np.array([2]), "last"), numpy_helper.from_array(np.array([1]), "words")]
    for task, names in tasks.items():
        table = generator.normal(size=(tokenizer.get_vocab_size(), len(names))).astype(np.float32)
        constants.append(numpy_helper.from_array(table, f"{task}_table"))
        nodes += [
            helper.make_node("Gather", [f"{task}_table", "ids"], [f"{task}_rows"]),
            helper.make_node("Mul", [f"{task}_rows", "weights"], [f"{task}_masked"]),
            helper.make_node("ReduceSum", [f"{task}_masked", "words"], [task], keepdims=0),
        ]
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["texts", "length"]),
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["texts", "length"]),
    ]
    outputs = [
        helper.make_tensor_value_info(task, TensorProto.FLOAT, ["texts", len(names)]) for task, names in tasks.items()
    ]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    specs = {task: TaskSpec(list(names)) for task, names in tasks.items()}
    manifest = Manifest(FORMAT_VERSION, path.name, specs, 32, "")
    serialized = tokenizer.to_str().encode()
    scores = Classifier(Bundle(manifest, model, serialized)).predict(["oil"])
    tests = [SelfTest("oil", {task: scores[task][0].tolist() for task in tasks})]
    write_bundle(path, msgspec.structs.replace(manifest, self_test=tests), model, serialized, "card")
    return path


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path, tiny_taxonomy: Taxonomy) -> list[Path]:
    folder = tmp_path_factory.mktemp("pair")
    turned = {"topic": ("Energy", "Banks"), "more": ("yes", "no")}
    return [
        write_tiny(folder / "old", tiny_backbone, tiny_taxonomy.tasks, 1),
        write_tiny(folder / "new", tiny_backbone, tiny_taxonomy.tasks, 2),
        write_tiny(folder / "turned", tiny_backbone, turned, 3),
        write_tiny(folder / "foreign", tiny_backbone, {"more": ("yes", "no")}, 4),
        write_tiny(folder / "relabelled", tiny_backbone, {"topic": ("Banks", "Gas")}, 5),
    ]


def load(path: Path) -> Classifier:
    return Classifier(load_bundle(path))


def test_bundles_are_compared_on_what_they_share(bundles: list[Path], tiny_data: Path, tiny_taxonomy: Taxonomy) -> None:
    old, new, turned, foreign, relabelled = map(load, bundles)
    examples = read_examples(tiny_data, tiny_taxonomy.tasks)
    found = compare(old, new, examples)
    assert [one.task for one in found] == ["sentiment", "topic"]
    for one in found:
        rows = [example for example in examples if one.task in example.labels]
        right = [
            np.array([labels[i] for i in c.predict([e.text for e in rows])[one.task].argmax(1)])
            == np.array([e.labels[one.task] for e in rows])
            for c in (old, new)
            for labels in [c.labels(one.task)]
        ]
        assert (one.texts, one.old.accuracy, one.new.accuracy) == (len(rows), right[0].mean(), right[1].mean())
        assert one.only_new_right == (right[1] & ~right[0]).sum()
    (topic,) = compare(old, turned, examples)
    names = [turned.labels("topic")[i] for i in turned.predict([e.text for e in examples])["topic"].argmax(1)]
    hits = [name == e.labels["topic"] for name, e in zip(names, examples, strict=True) if "topic" in e.labels]
    assert topic.new.accuracy == pytest.approx(np.mean(hits))
    with pytest.raises(InputError, match="task in common"):
        compare(old, foreign, examples)
    with pytest.raises(InputError, match=r"same labels \(Energy, Gas\)"):
        compare(old, relabelled, examples)
    with pytest.raises(InputError, match="labelled 'Water' for 'topic'"):
        compare(old, new, [Example("oil", {"topic": "Water"}, "x")])
    with pytest.raises(InputError, match="none of 0 texts"):
        compare(old, new, [])


def test_the_commands(bundles: list[Path], tmp_path: Path) -> None:
    lines = [
        {"text": "acme1 bank fraud", "sentiment": "negative", "topic": "Banks", "source": "wire", "language": "en"},
        {"text": "acme2 oil wins", "sentiment": "positive", "published_at": "2024-05-03T10:00:00Z"},
        {"text": "oil " * 12, "topic": "Energy", "source": "desk", "month": "2024-06"},
    ]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    runner = CliRunner()
    both = [str(bundles[0]), str(bundles[1]), "--data", str(data)]
    found = json.loads(runner.invoke(compare_, [*both, "--json"], catch_exceptions=False).stdout)
    assert (found["old"], found["new"]) == ("old", "new")
    assert found["tasks"]["topic"]["texts"] == 2
    shown = runner.invoke(compare_, both, catch_exceptions=False).stdout
    assert "McNemar p" in shown

    one = ["--bundle", str(bundles[0]), "--data", str(data)]
    answer = json.loads(runner.invoke(evaluate, [*one, "--slices", "--json"], catch_exceptions=False).stdout)
    slices = {(part["kind"], part["value"]): part["tasks"] for part in answer["slices"]}
    assert list(slices) == [
        ("language", "en"),
        ("length", "1-10 words"),
        ("length", "11-20 words"),
        ("month", "2024-05"),
        ("month", "2024-06"),
        ("source", "desk"),
        ("source", "wire"),
    ]
    assert slices["length", "1-10 words"]["sentiment"]["support"] == 2
    assert set(slices["source", "wire"]) == {"sentiment", "topic"}
    assert sum(map(sum, (row.values() for row in answer["tasks"]["topic"]["confusion"].values()))) == 2
    plain = json.loads(runner.invoke(evaluate, [*one, "--json"], catch_exceptions=False).stdout)
    assert set(plain) == {"model", "tasks"}
    assert plain["tasks"] == answer["tasks"]
    shown = runner.invoke(evaluate, [*one, "--slices"], catch_exceptions=False).stdout
    assert "weighted average" in shown
    assert "confusion" in shown


def test_lines_that_label_companies_alone_are_passed_over(tmp_path: Path, tiny_taxonomy: Taxonomy) -> None:
    """As the test part of a dataset has some, which is what a promotion is judged on."""
    path = tmp_path / "test.jsonl"
    path.write_text(
        '{"text": "acme1 beats acme2", "source": "wire", "entities": [[[[0, 5]], "positive"]]}\n'
        '{"text": "acme1 warns", "sentiment": "negative", "source": "wire"}\n'
    )
    assert [(one.text, one.source) for one in read_examples(path, tiny_taxonomy.tasks)] == [("acme1 warns", "wire")]
    path.write_text('{"text": "acme1 warns"}\n')
    with pytest.raises(InputError, match="line 1 has no label"):
        read_examples(path, tiny_taxonomy.tasks)
