"""Codec, tail test and words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nbinom

from alerting.detection.codec import pack, unpack
from alerting.detection.tail import tail_scores
from alerting.incidents.words import distinctive_words
from core.errors import InputError


def test_state_survives_packing() -> None:
    arrays = {"b": np.arange(6.0).reshape(2, 3), "a": np.zeros((0, 4), np.float32), "c": np.array([True, False])}
    header, read = unpack(pack({"x": [1, "ü"]}, arrays))
    assert header == {"x": [1, "ü"]}
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="detector_checkpoint"):
        unpack(data)


def test_a_packed_object_is_refused() -> None:
    with pytest.raises(InputError, match="object"):
        unpack(pack({}, {"x": np.array([object()], dtype=object)}))


@given(st.floats(0.01, 500), st.floats(0.01, 3), st.integers(0, 60))
def test_the_tail_is_the_negative_binomial_s(mean: float, alpha: float, above: int) -> None:
    observed = np.ceil(mean + np.sqrt(mean + alpha * mean**2)) + 1 + above
    (score,) = tail_scores(np.array([observed]), np.array([mean]), np.array([alpha]))
    size = 1 / alpha
    expected = -nbinom.logsf(observed - 1, size, size / (size + mean)) / np.log(10)
    assert score == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_counts_near_the_mean_score_nothing_and_far_ones_stay_finite() -> None:
    scores = tail_scores(np.array([0.0, 3.0, 1e9]), np.array([5.0, 3.0, 0.01]), np.array([0.1, 0.1, 0.01]))
    assert scores[:2].tolist() == [0, 0]
    assert np.isfinite(scores[2])
    assert scores[2] > 100


def test_words_that_set_texts_apart() -> None:
    texts = [
        "Bank fraud probe widens",
        "Fraud probe at the bank: regulator steps in",
        "Shares of the bank fall on probe",
    ]
    background = ["Shares of the bank fall a little", "The bank opens a branch", "Bank shares fall"]
    words = distinctive_words(texts, background)
    assert words[:2] == ["probe", "fraud"]
    assert "the" not in words
    assert "bank" not in words


def test_words_of_little_or_nothing() -> None:
    assert distinctive_words([], ["a b"]) == []
    assert distinctive_words(["Profit warning"], []) == ["profit", "warning"]
