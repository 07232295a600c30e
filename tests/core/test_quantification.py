"""Counts corrected for a classifier's mistakes are nearer the truth where the mix of labels has moved."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bundle import SERVED, read_manifest
from core.fitting import SENTIMENTS
from core.quantification import Rates, corrected_counts, mixed, rates_of
from core.settings import load_settings

# Of the bundle that shipped in November 2026, on 1884 headlines.
CONFUSION = {
    "negative": {"negative": 348, "neutral": 57, "positive": 10},
    "neutral": {"negative": 35, "neutral": 865, "positive": 47},
    "positive": {"negative": 11, "neutral": 66, "positive": 445},
}
RATES = Rates.of(SENTIMENTS, CONFUSION)


def test_the_expected_counts_give_the_truth_back() -> None:
    truth = np.array([30.0, 50.0, 20.0])
    np.testing.assert_allclose(corrected_counts(truth @ RATES.values, RATES), truth, rtol=1e-4)


@given(st.lists(st.integers(0, 500), min_size=3, max_size=3))
def test_corrected_counts_are_counts(predicted: list[int]) -> None:
    found = corrected_counts(predicted, RATES)
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(sum(predicted))


def test_the_error_of_the_negative_share_falls_under_prior_shift() -> None:
    """Samples of 400 stories whose negative share moves from the test set's 22%; the matrix is known from one only."""
    rng = np.random.default_rng(8)
    test_set = np.array([[CONFUSION[true][found] for found in SENTIMENTS] for true in SENTIMENTS], float)
    true_rates = test_set / test_set.sum(axis=1, keepdims=True)
    raw, corrected = [], []
    for share in (0.02, 0.05, 0.1, 0.4, 0.6, 0.8):
        for _ in range(50):
            rows = [rng.multinomial(n, p) for n, p in zip(test_set.sum(axis=1).astype(int), true_rates, strict=True)]
            learnt = Rates.of(SENTIMENTS, json_like(np.array(rows)))
            truth = rng.multinomial(400, [share, (1 - share) * 0.65, (1 - share) * 0.35])
            predicted = sum(rng.multinomial(n, p) for n, p in zip(truth, true_rates, strict=True))
            raw.append(abs(predicted[0] - truth[0]) / 400)
            corrected.append(abs(corrected_counts(predicted, learnt)[0] - truth[0]) / 400)
    assert np.mean(corrected) < 0.6 * np.mean(raw)


def json_like(counts: np.ndarray) -> dict[str, dict[str, int]]:
    return {
        true: dict(zip(SENTIMENTS, row, strict=True)) for true, row in zip(SENTIMENTS, counts.tolist(), strict=True)
    }


def test_models_mix_by_what_they_labelled() -> None:
    blind = Rates(SENTIMENTS, np.full((3, 3), 1 / 3))
    both = mixed({"a": RATES, "b": blind}, {"a": 3, "b": 1})
    assert both is not None
    np.testing.assert_allclose(both.values, 0.75 * RATES.values + 0.25 / 3)
    assert mixed({"a": RATES}, {"a": 3, "b": 1}) is None
    assert mixed({"a": RATES}, {}) is None


def test_the_bundle_that_ships_knows_its_mistakes() -> None:
    manifest = read_manifest(load_settings().bundle_directory)
    rates = rates_of(manifest.evaluation[SERVED], "sentiment", SENTIMENTS)
    assert rates is not None
    assert (np.diag(rates.values) > 0.5).all()
    assert rates_of([], "sentiment", SENTIMENTS) is None
    assert rates_of(manifest.evaluation[SERVED], "sentiment", [*SENTIMENTS, "mixed"]) is None
    assert json.dumps(corrected_counts([0, 0, 0], rates).tolist()) == "[0.0, 0.0, 0.0]"
