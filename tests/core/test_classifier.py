"""The bundle that ships, on real texts where they are at hand."""

from __future__ import annotations

import gzip
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from core.bundle import load_bundle
from core.classifier import Classifier
from core.errors import InputError
from core.offline import classify_file, evaluate_file
from core.settings import PROJECT
from core.taxonomy import load_taxonomy

BUNDLE = PROJECT / "models" / "default"
TWEETS = PROJECT.parent / "shared" / "data" / "stocknet_tweets_2014_2016" / "stocknet_tweets.jsonl.gz"
pytestmark = pytest.mark.skipif(not BUNDLE.is_dir(), reason="the bundle that ships is not in this checkout")

MADE_UP = [
    "Acme Bank shares plunge after fraud probe",
    "$ACME beats on revenue, raises outlook https://t.co/abc",
    "",
    "   ",
    "\U0001f680" * 50,
    "word " * 5_000,
    "x" * 20_000,
    "\ud800 lone surrogate",
    "zażółć gęślą jaźń, 株価が急落",
    "<p>Profit &amp; loss</p>",
    *(f"Company {n} reports {'strong ' * (n % 17)}results for quarter {n % 4}" for n in range(120)),
]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(load_bundle(BUNDLE), cache_texts=0)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    if not TWEETS.is_file():
        return MADE_UP
    with gzip.open(TWEETS, "rt", encoding="utf-8") as lines:
        return MADE_UP + [json.loads(line)["text"] for line in itertools.islice(lines, 0, 20_000, 50)]


def test_the_bundle_fits_the_taxonomy_and_its_size(classifier: Classifier) -> None:
    assert {task: classifier.labels(task) for task in classifier.tasks} == load_taxonomy().tasks
    assert sum(file.stat().st_size for file in BUNDLE.iterdir()) <= 25_000_000
    classifier.self_test()


def test_its_figures_are_on_record(classifier: Classifier) -> None:
    manifest = load_bundle(BUNDLE).manifest
    card = (BUNDLE / "MODEL_CARD.md").read_text(encoding="utf-8")
    for score in manifest.evaluation["int8"]:
        assert f"{score.accuracy:.4f}" in card
    assert {score.task for score in manifest.evaluation["int8"]} == set(classifier.tasks)
    allowed = ("MIT", "CC BY 4.0", "ODC-By", "public domain")  # nothing that forbids a use, or asks the same licence
    assert all(source.licence.startswith(allowed) for source in manifest.data)


def test_scores_do_not_depend_on_the_batch_to_the_last_bit(classifier: Classifier, texts: list[str]) -> None:
    together = classifier.predict(texts)
    order = np.random.default_rng(4).permutation(len(texts))
    shuffled = classifier.predict([texts[index] for index in order])
    alone = [classifier.predict([text]) for text in texts[::3]]
    for task in classifier.tasks:
        assert np.array_equal(together[task][order], shuffled[task])
        assert np.array_equal(together[task][::3], np.concatenate([scores[task] for scores in alone]))
        assert together[task].dtype == np.float32
        assert np.allclose(together[task].sum(1), 1, atol=1e-5)


def test_threads_do_not_change_scores(classifier: Classifier, texts: list[str]) -> None:
    two = Classifier(load_bundle(BUNDLE), threads=2).predict(texts)
    one = classifier.predict(texts)
    assert all(np.array_equal(one[task], two[task]) for task in one)


def test_the_cache_changes_no_score_and_stays_bounded(classifier: Classifier, texts: list[str]) -> None:
    cached = Classifier(load_bundle(BUNDLE), cache_texts=50)
    fresh = classifier.predict(texts[:200])
    for _ in range(2):
        again = cached.predict(texts[:200])
        assert all(np.array_equal(fresh[task], again[task]) for task in fresh)
        assert len(cached._cache) == 50
    again["sentiment"][:] = 9
    assert np.array_equal(cached.predict(texts[:200])["sentiment"], fresh["sentiment"])


def test_one_classifier_serves_several_threads(classifier: Classifier, texts: list[str]) -> None:
    shared = Classifier(load_bundle(BUNDLE), cache_texts=20)
    expected = classifier.predict(texts[:60])
    with ThreadPoolExecutor(4) as pool:
        for answer in pool.map(lambda _: shared.predict(texts[:60]), range(8)):
            assert all(np.array_equal(expected[task], answer[task]) for task in expected)


def test_nothing_in_nothing_out(classifier: Classifier) -> None:
    scores = classifier.predict([])
    assert {task: table.shape for task, table in scores.items()} == {"sentiment": (0, 3), "topic": (0, 20)}


def test_plain_cases_come_out_right(classifier: Classifier) -> None:
    scores = classifier.predict(
        [
            "Acme shares plunge 30% after profit warning",
            "Acme shares surge to record high on strong earnings",
            "Fed raises interest rates by 75 basis points, Powell says more hikes to come",
            "Oil prices rise as OPEC cuts crude output",
        ]
    )
    names = {task: [classifier.labels(task)[i] for i in table.argmax(1)] for task, table in scores.items()}
    assert names["sentiment"][:2] == ["negative", "positive"]
    assert names["topic"][2:] == ["Fed | Central Banks", "Energy | Oil"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "no JSON object"),
        ('{"id": 1}', "text"),
        ('{"text": "a"}', "id"),
        ('{"id": 1, "text": 5}', "text"),
        ('{"id": null, "text": "a"}', "id"),
        ("[1]", "no JSON object"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_overwritten(
    tmp_path: Path, classifier: Classifier, line: str, fault: str
) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": 1, "text": "fine"}\n' + line + "\n")
    target.write_text("kept")
    with pytest.raises(InputError, match=r"in\.jsonl line 2") as caught:
        classify_file([classifier], source, target)
    assert fault in str(caught.value)
    assert target.read_text() == "kept"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_files_that_can_not_be_opened(tmp_path: Path, classifier: Classifier) -> None:
    with pytest.raises(InputError, match="can't be read"):
        classify_file([classifier], tmp_path / "none.jsonl", tmp_path / "out.jsonl")
    (tmp_path / "in.jsonl").write_text("")
    assert classify_file([classifier], tmp_path / "in.jsonl", tmp_path / "out.jsonl") == 0
    assert (tmp_path / "out.jsonl").read_text() == ""
    with pytest.raises(InputError, match="can't be written"):
        classify_file([classifier], tmp_path / "in.jsonl", tmp_path / "nowhere" / "out.jsonl")


def test_order_is_kept_over_many_batches(tmp_path: Path, classifier: Classifier) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    count = 1_100
    source.write_text("".join(json.dumps({"id": n, "text": f"profit {n % 9}"}) + "\n" for n in range(count)))
    assert classify_file([classifier], source, target) == count
    assert [json.loads(line)["id"] for line in target.read_text().splitlines()] == list(range(count))


def test_evaluation_of_a_file_leaves_unlabelled_tasks_out(tmp_path: Path, classifier: Classifier) -> None:
    path = tmp_path / "labelled.jsonl"
    path.write_text('{"text": "shares plunge on profit warning", "sentiment": "negative"}\n' * 3)
    (score,) = evaluate_file(classifier, path)
    assert (score.task, score.support, score.accuracy) == ("sentiment", 3, 1.0)


def test_lines_that_label_companies_alone_are_passed_over(tmp_path: Path, classifier: Classifier) -> None:
    path = tmp_path / "test.jsonl"
    line = '{"text": "shares plunge on profit warning", "sentiment": "negative"}\n'
    path.write_text(line + '{"text": "Acme beats Beta", "entities": [[[[0, 4]], "positive"]]}\n' + line)
    (score,) = evaluate_file(classifier, path)
    assert (score.task, score.support) == ("sentiment", 2)
    path.write_text(line + '{"text": "Acme beats Beta"}\n')
    with pytest.raises(InputError, match="line 2 has no label"):
        evaluate_file(classifier, path)
