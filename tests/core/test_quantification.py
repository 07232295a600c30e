"""Counts corrected for a classifier's mistakes are nearer the truth, and are left alone where nothing tells of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bundle import SERVED, Manifest, read_manifest
from core.fitting import SENTIMENTS
from core.quantification import Confusion, Rates, corrected_counts, mixed, rates_of
from core.settings import load_settings

# Of the bundle that shipped in November 2026, on 1884 headlines.
CONFUSION = {
    "negative": {"negative": 348, "neutral": 57, "positive": 10},
    "neutral": {"negative": 35, "neutral": 865, "positive": 47},
    "positive": {"negative": 11, "neutral": 66, "positive": 445},
}
RATES = Rates.of(SENTIMENTS, [CONFUSION])
CERTAIN = Rates(RATES.labels, RATES.values, np.full(3, 1e9))


def confusion_of(counts: np.ndarray) -> Confusion:
    return {
        true: dict(zip(SENTIMENTS, row, strict=True)) for true, row in zip(SENTIMENTS, counts.tolist(), strict=True)
    }


def test_the_expected_counts_give_the_truth_back() -> None:
    truth = np.array([30.0, 50.0, 20.0]) * 1e6
    np.testing.assert_allclose(corrected_counts(truth @ RATES.values, CERTAIN), truth, rtol=1e-4)


@given(st.lists(st.integers(0, 500), min_size=3, max_size=3), st.lists(st.integers(0, 500), min_size=3, max_size=3))
def test_corrected_counts_are_counts(predicted: list[int], usual: list[int]) -> None:
    for rates in (RATES, RATES.anchored(usual), CERTAIN):
        found = corrected_counts(predicted, rates)
        assert (found >= 0).all()
        assert found.sum() == pytest.approx(sum(predicted))


def test_the_error_of_the_negative_share_falls_under_prior_shift() -> None:
    """Samples of 400 stories whose negative share moves from the test set's 22%; the rates are those of the stream."""
    rng = np.random.default_rng(8)
    test_set = np.array([[CONFUSION[true][found] for found in SENTIMENTS] for true in SENTIMENTS], float)
    true_rates = test_set / test_set.sum(axis=1, keepdims=True)
    blind = Rates.of(SENTIMENTS, [{label: {label: 1} for label in SENTIMENTS}])
    raw, corrected = [], []
    for share in (0.02, 0.05, 0.1, 0.4, 0.6, 0.8):
        for _ in range(50):
            rows = [rng.multinomial(n, p) for n, p in zip(test_set.sum(axis=1).astype(int), true_rates, strict=True)]
            learnt = blind.with_own(confusion_of(np.array(rows)))
            truth = rng.multinomial(400, [share, (1 - share) * 0.65, (1 - share) * 0.35])
            predicted = sum(rng.multinomial(n, p) for n, p in zip(truth, true_rates, strict=True))
            raw.append(abs(predicted[0] - truth[0]) / 400)
            corrected.append(abs(corrected_counts(predicted, learnt)[0] - truth[0]) / 400)
    assert np.mean(corrected) < 0.7 * np.mean(raw)


def test_what_sources_differ_in_is_not_known_of_another_one() -> None:
    """One of them calls a fifth of what is neutral bad news, the other next to nothing, as headlines and tweets do."""
    headlines = {**CONFUSION, "neutral": {"negative": 190, "neutral": 710, "positive": 47}}
    tweets = {**CONFUSION, "neutral": {"negative": 10, "neutral": 890, "positive": 47}}
    alike, apart = Rates.of(SENTIMENTS, [CONFUSION, CONFUSION]), Rates.of(SENTIMENTS, [headlines, tweets])
    assert (apart.texts < 40).all()
    assert (alike.texts > 3 * apart.texts).all()
    likely = corrected_counts([90, 700, 210], Rates(SENTIMENTS, apart.values, np.full(3, 1e9)))
    assert 90 - corrected_counts([90, 700, 210], apart)[0] < 0.3 * (90 - likely[0])
    sure = apart.with_own(confusion_of(np.array([[800, 150, 50], [100, 2800, 100], [30, 170, 800]])))
    assert corrected_counts([600, 300, 100], sure)[0] > 650, "people labelled the stream itself"


def test_a_small_count_is_hardly_touched() -> None:
    np.testing.assert_allclose(corrected_counts([4, 1, 1], RATES), [4, 1, 1], atol=0.2)


def test_a_usual_week_is_right_as_a_whole() -> None:
    """A classifier errs either way about as often where labels are mixed as usual; where they are not, it does not."""
    usual = [90, 700, 210]
    rates = CERTAIN.anchored(usual)
    np.testing.assert_allclose(corrected_counts(np.array(usual) * 1e6, rates) / 1e6, usual, rtol=0.01)
    assert corrected_counts([600e6, 300e6, 100e6], rates)[0] > 640e6, "much bad news is more than is counted"


def test_models_mix_by_what_they_labelled() -> None:
    blind = Rates(SENTIMENTS, np.full((3, 3), 1 / 3), np.full(3, 10.0))
    both = mixed({"a": RATES, "b": blind}, {"a": 3, "b": 1})
    assert both is not None
    np.testing.assert_allclose(both.values, 0.75 * RATES.values + 0.25 / 3)
    np.testing.assert_allclose(both.texts, 0.75 * RATES.texts + 2.5)
    assert mixed({"a": RATES}, {"a": 3, "b": 1}) is None
    assert mixed({"a": RATES}, {}) is None
    np.testing.assert_allclose(corrected_counts([5, 3, 2], blind), [5, 3, 2])


def shipped() -> list[Manifest]:
    english = load_settings().bundle_directory
    return [read_manifest(english), read_manifest(english.with_name("chinese"))]


@pytest.mark.parametrize("manifest", shipped(), ids=lambda manifest: manifest.name)
def test_a_bundle_that_ships_knows_its_mistakes_on_streams(manifest: Manifest) -> None:
    test_texts = {source.name: source.test for source in manifest.data}
    for score in manifest.streams:
        assert 0 < sum(sum(row.values()) for row in score.confusion.values()) <= test_texts[score.source]
    rates = rates_of(manifest.streams, [], SENTIMENTS)
    assert rates is not None
    assert (np.diag(rates.values) > 0.5).all()
    assert (rates.texts < 60).all()
    before = rates_of([], manifest.evaluation[SERVED], SENTIMENTS)
    assert before is not None, "bundles made before"
    assert (before.texts < 60).all()
    assert rates_of([], [], SENTIMENTS) is None
    assert rates_of(manifest.streams, [], [*SENTIMENTS, "mixed"]) is None
    assert json.dumps(corrected_counts([0, 0, 0], rates).tolist()) == "[0.0, 0.0, 0.0]"
