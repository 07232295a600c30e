"""Figures of a classifier, against scikit-learn and by hand."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from core.scoring import (
    Average,
    TaskScore,
    best_accuracy,
    best_recall,
    expected_calibration_error,
    macro_f1,
    operating_point,
    score_task,
    softmax,
)
from core.unseen import mean_scores, source_score


def test_figures_equal_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 4, 300)
    scores = softmax(generator.normal(size=(300, 4)).astype(np.float32) * 3)
    result = score_task("t", ("a", "b", "c", "d"), truth, scores)
    predicted = scores.argmax(1)
    precision, recall, f1, support = precision_recall_fscore_support(truth, predicted)
    assert result.accuracy == pytest.approx(accuracy_score(truth, predicted))
    assert result.macro_f1 == pytest.approx(f1.mean())
    assert [label.precision for label in result.labels] == pytest.approx(precision)
    assert [label.recall for label in result.labels] == pytest.approx(recall)
    assert [label.f1 for label in result.labels] == pytest.approx(f1)
    assert [label.support for label in result.labels] == support.tolist()


def test_averages_and_confusion_equal_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(2)
    labels = ("a", "b", "c", "d")
    truth = generator.choice(4, 200, p=[0.7, 0.2, 0.1, 0.0])
    scores = softmax(generator.normal(size=(200, 4)).astype(np.float32) * 3)
    result = score_task("t", labels, truth, scores)
    for kind, average in (("macro", result.macro), ("weighted", result.weighted)):
        expected = precision_recall_fscore_support(truth, scores.argmax(1), average=kind, labels=[0, 1, 2])
        assert average is not None
        assert (average.precision, average.recall, average.f1) == pytest.approx(expected[:3])
    table = [[result.confusion.get(one, {}).get(other, 0) for other in labels] for one in labels]
    assert table == confusion_matrix(truth, scores.argmax(1), labels=range(4)).tolist()
    assert "d" not in result.confusion
    assert all(count for row in result.confusion.values() for count in row.values())
    assert result.macro is not None
    assert macro_f1(result.confusion) == pytest.approx(result.macro.f1), "which follows from the confusion alone"
    assert macro_f1({}) == 0.0


def test_figures_kept_before_there_were_averages_still_load() -> None:
    old = b'{"task": "t", "accuracy": 1.0, "macro_f1": 1.0, "ece": 0.0, "support": 1, "labels": []}'
    score = msgspec.json.decode(old, type=TaskScore)
    assert (score.macro, score.weighted, score.confusion) == (None, None, {})


def test_no_text_gives_no_figures() -> None:
    result = score_task("t", ("a", "b"), np.zeros(0, dtype=np.int64), np.zeros((0, 2), dtype=np.float32))
    assert (result.support, result.macro_f1, result.confusion) == (0, 0.0, {})
    assert result.macro == result.weighted == Average(0.0, 0.0, 0.0)


def test_labels_that_never_occur_do_not_count_in_the_macro_mean() -> None:
    scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]], dtype=np.float32)
    result = score_task("t", ("a", "b", "c"), np.array([0, 1]), scores)
    assert result.macro_f1 == 1.0
    assert (result.labels[2].f1, result.labels[2].support) == (0.0, 0)


def test_calibration_error_by_hand() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [1.0, 0.0]], dtype=np.float32)
    truth = np.array([0, 1, 1, 0])
    # Bins: 0.9 twice with one hit (gap 2 * 0.9 - 1), 0.6 with a hit (gap 0.4), 1.0 with a hit (joins the last bin).
    assert expected_calibration_error(truth, scores, bins=10) == pytest.approx(
        (abs(1.8 - 1 + 1 - 1) + 0.4) / 4, abs=1e-6
    )
    assert expected_calibration_error(truth[:0], scores[:0]) == 0.0


def test_softmax_survives_huge_logits_and_flattens_with_temperature() -> None:
    logits = np.array([[1e4, 0, -1e4], [1, 2, 3]], dtype=np.float32)
    assert softmax(logits)[0].tolist() == [1.0, 0.0, 0.0]
    assert softmax(logits, 100.0)[1].max() < softmax(logits)[1].max()
    assert softmax(logits, 100.0).sum(1) == pytest.approx([1, 1])


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        score_task("t", ("a", "b"), np.array([0]), np.zeros((1, 3), dtype=np.float32))


def test_the_best_points_are_the_best_of_all_thresholds() -> None:
    generator = np.random.default_rng(4)
    labels = ("a", "b", "c")
    for spread in (0.3, 2.0):
        truth = generator.integers(0, 3, 80)
        logits = generator.normal(size=(80, 3)).round(1) + spread * np.eye(3)[truth]  # some are equal
        scores = softmax(logits.astype(np.float32))
        every = [operating_point(labels, 0, float(value), truth, scores) for value in np.unique(scores[:, 0])]
        precise = [point for point in every if point.precision >= 0.8]
        found = best_recall(labels, 0, truth, scores)
        assert (found.recall if found else 0) == max((point.recall for point in precise), default=0)
        assert found is None or found in precise
        assert best_accuracy(labels, 0, truth, scores).accuracy == max(point.accuracy for point in every)
        score = score_task("t", labels, truth, scores, {"alerts": every[0]})
        assert score.labels[0].recall_at_precision == (found.recall if found else 0)
        assert score.uses == {"alerts": every[0]}
        predicted = np.where(scores[:, 0] >= every[9].threshold, 0, 1 + scores[:, 1:].argmax(1))
        assert every[9].accuracy == accuracy_score(truth, predicted)


def test_a_precision_out_of_reach_is_told() -> None:
    truth, scores = np.array([1, 0, 1]), np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], dtype=np.float32)
    assert best_recall(("a", "b"), 0, truth, scores) is None
    assert score_task("t", ("a", "b"), truth, scores).labels[0].recall_at_precision == 0
    never = best_accuracy(("a", "b"), 0, np.array([1, 1, 1]), scores)
    assert (never.accuracy, never.precision) == (1, 0)


def test_means_count_each_english_source_once() -> None:
    labels = ("negative", "neutral")
    perfect = np.eye(2, dtype=np.float32)
    right, wrong, plain = np.array([0, 1] * 50), np.array([0, 1]), np.array([1])
    scores = [
        source_score("long", "en", score_task("mood", labels, right, perfect[right])),
        source_score("short", "", score_task("mood", labels, wrong, perfect[1 - wrong])),
        source_score("foreign", "zh", score_task("mood", labels, wrong, perfect[1 - wrong])),
        source_score("calm", "en", score_task("mood", labels, plain, perfect[plain])),
    ]
    assert [one.negative_recall for one in scores] == [1, 0, 0, None]
    (mean,) = mean_scores(scores)
    assert (mean.sources, mean.accuracy, mean.negative_recall) == (3, pytest.approx(2 / 3), 0.5)
    assert mean_scores(scores, None)[0].sources == 4
