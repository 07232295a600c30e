"""The arithmetic of the desk against closed forms and other implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import nbinom

from desk.expectation import (
    DAY,
    HISTORY,
    band,
    expect,
    in_steps,
    lower_tail,
    surprise,
    upper_tail,
)
from desk.mood import FEW, most_surprising
from desk.shares import wilson
from desk.store.expected import Expected
from desk.terms import log_odds, surging_terms, words

LAST = HISTORY + 5  # an hour of the day after the history


def hours(value: float = 0.0) -> np.ndarray:
    return np.full((1, HISTORY + DAY), value)


def test_a_constant_rate_is_expected_to_go_on() -> None:
    found = expect(hours(3.0), 0, HISTORY)
    level = (3.0 * HISTORY + 1) / (HISTORY + 24)
    daily = (7 * 3.0 + 4 * level) / 11
    assert found.level[0, 5] == pytest.approx(level)
    assert found.daily[0, 5] == pytest.approx(daily)
    assert found.hourly[0, 5] == pytest.approx((4 * 3.0 + 4 * daily) / 8)


def test_the_same_hour_of_earlier_weeks_weighs_more_than_other_hours() -> None:
    counts = hours()
    counts[0, [LAST - 168 * week for week in (1, 2, 3, 4)]] = 8.0
    found = expect(counts, 0, HISTORY)
    level = (4 * 8 + 1) / (HISTORY + 24)
    daily = (8 + 4 * level) / 11  # the day a week ago is one of the seven
    assert found.hourly[0, 5] == pytest.approx((4 * 8 + 4 * daily) / 8)
    assert found.hourly[0, 6] < 0.1


def test_what_is_expected_does_not_depend_on_what_comes_later_or_is_looked_at() -> None:
    chance = np.random.default_rng(1)
    counts = chance.poisson(2.0, (3, HISTORY + 2 * DAY)).astype(float)
    whole = expect(counts, 0, HISTORY)
    changed = counts.copy()
    changed[:, HISTORY + 3 :] += 50
    first_day = slice(0, DAY)
    assert np.array_equal(expect(changed, 0, HISTORY).hourly[:, first_day], whole.hourly[:, first_day])
    assert np.array_equal(expect(counts[:1], 0, HISTORY).hourly, whole.hourly[:1])
    later = expect(counts, 0, HISTORY + DAY)
    assert np.array_equal(later.alpha, whole.alpha[:, DAY:])


def test_hours_before_the_store_began_are_not_zeros() -> None:
    counts = hours(6.0)
    counts[0, : HISTORY - 2 * DAY] = 0.0
    young = expect(counts, HISTORY - 2 * DAY, HISTORY)
    assert young.level[0, 0] == pytest.approx((6.0 * 48 + 1) / (48 + 24))
    assert young.daily[0, 0] == pytest.approx((2 * 6.0 + 4 * young.level[0, 0]) / 6)
    assert young.hourly[0, 0] == pytest.approx(young.daily[0, 0])


def test_nothing_is_expected_before_a_day_was_seen() -> None:
    found = expect(hours(1.0), HISTORY, HISTORY)
    assert np.isnan(found.hourly).all()
    assert np.isnan(surprise(np.ones((1, DAY)), found.hourly, found.alpha)).all()


def test_dispersion_is_near_the_true_one() -> None:
    chance = np.random.default_rng(2)
    true = 0.8
    bursty = chance.negative_binomial(1 / true, 1 / (1 + true * 5.0), (40, HISTORY + DAY)).astype(float)
    assert expect(bursty, 0, HISTORY).alpha.mean() == pytest.approx(true, rel=0.1)
    calm = chance.poisson(5.0, (40, HISTORY + DAY)).astype(float)
    assert expect(calm, 0, HISTORY).alpha.mean() < 0.05


@pytest.mark.parametrize("begin", [0, 7, 10 * DAY + 5])
def test_each_hour_is_what_the_formulas_say(begin: int) -> None:
    """One hour after the other, by the sums of the module's first lines."""
    first, count = HISTORY + 3 * DAY + 5, HISTORY + 9 * DAY + 11
    counts = np.random.default_rng(3).negative_binomial(2, 0.3, (3, count)).astype(float)
    found = expect(counts, begin, first)
    for hour in range(first, count):
        midnight = hour // DAY * DAY
        start = max(begin, midnight - HISTORY)
        past = counts[:, start:midnight]
        level = (past.sum(axis=1) + 1) / (midnight - start + 24)
        days = [counts[:, each] for n in range(1, 8) if (each := hour - DAY * n) >= start]
        daily = (sum(days) + 4 * level) / (len(days) + 4)
        weeks = [counts[:, each] for n in range(1, 5) if (each := hour - 7 * DAY * n) >= start]
        hourly = (sum(weeks) + 4 * daily) / (len(weeks) + 4)
        means = np.empty(past.shape)
        for clock in range(DAY):
            same = np.arange(start, midnight) % DAY == clock
            means[:, same] = ((past[:, same].sum(axis=1) + 4 * level) / (same.sum() + 4))[:, None]
        excess = ((past - means) ** 2 - means).sum(axis=1) + 4 * 0.25
        alpha = np.clip(excess / ((means**2).sum(axis=1) + 4), 0.01, 5.0)
        for name, true in (("level", level), ("daily", daily), ("hourly", hourly), ("alpha", alpha)):
            assert getattr(found, name)[:, hour - first] == pytest.approx(true, rel=1e-9), (name, hour)


@pytest.mark.parametrize(("observed", "mean", "alpha"), [(0, 2.0, 0.3), (1, 0.1, 1.0), (7, 2.0, 0.3), (40, 9.5, 0.02)])
def test_tails_are_those_of_the_negative_binomial(observed: int, mean: float, alpha: float) -> None:
    like = nbinom(1 / alpha, 1 / (1 + alpha * mean))
    one = np.array([[float(observed)]]), np.array([[mean]]), np.array([[alpha]])
    assert upper_tail(*one)[0, 0] == pytest.approx(like.sf(observed - 1), rel=1e-9)
    assert lower_tail(*one)[0, 0] == pytest.approx(like.cdf(observed), rel=1e-9)
    expected = -math.log10(like.sf(observed - 1)) if observed >= mean else math.log10(like.cdf(observed))
    assert surprise(*one)[0, 0] == pytest.approx(expected, rel=1e-9)


def test_what_stands_out_is_the_highest_surprise_of_a_step_with_stories_enough() -> None:
    """Though not every step is worked out: by all of them."""
    chance = np.random.default_rng(5)
    mean = chance.gamma(2.0, 2.0, (40, 30))
    mean[:5, :10] = np.nan
    mean[5:9] = 50.0  # less than expected all the time
    observed = chance.poisson(np.nan_to_num(mean, nan=4.0)).astype(float)
    observed[5:9] = chance.integers(FEW, 30, (4, 30))
    alpha = np.full(mean.shape, 0.3)
    for complete in (0, 20, 30):
        true = surprise(observed, mean, alpha)
        true[:, complete:] = np.fmax(true[:, complete:], 0.0)
        true = np.where(observed >= FEW, np.nan_to_num(true), 0.0).max(axis=1)
        assert most_surprising(Expected(observed, mean, alpha), complete) == pytest.approx(true, rel=1e-12)
    assert (true[5:9] < 0).all()


def test_no_story_where_none_is_expected_is_hardly_surprising() -> None:
    mean, alpha = np.array([[0.2]]), np.array([[0.5]])
    assert surprise(np.zeros((1, 1)), mean, alpha)[0, 0] == pytest.approx(-2 * math.log10(1.1))  # (1 + am)^(-1/a)


@pytest.mark.parametrize(("mean", "alpha"), [(0.3, 0.2), (4.0, 0.5), (60.0, 0.05)])
def test_the_band_holds_nine_of_ten_counts(mean: float, alpha: float) -> None:
    low, high = band(np.array([mean]), np.array([alpha]))
    like = nbinom(1 / alpha, 1 / (1 + alpha * mean))
    assert like.ppf(0.05) - 1 <= low[0] <= like.ppf(0.05)
    assert like.ppf(0.95) - 1 <= high[0] <= like.ppf(0.95)


def test_steps_of_hours_are_sums() -> None:
    assert in_steps(np.arange(6.0).reshape(1, 6), 3).tolist() == [[3.0, 12.0]]


def test_wilson_intervals_are_the_published_ones() -> None:
    share = wilson(81, 263)  # Newcombe, Statistics in Medicine 1998, table I: 0.2553 to 0.3662
    assert share is not None
    assert (round(share.low, 4), round(share.high, 4)) == (0.2553, 0.3662)
    none = wilson(0, 20)  # the same: 0 to 0.1611
    assert none is not None
    assert (none.low, round(none.high, 4)) == (0.0, 0.1611)
    assert wilson(0, 0) is None


def test_log_odds_of_a_word_are_those_of_the_paper() -> None:
    odds, strengths = log_odds(np.array([30.0, 10.0, 10.0]), np.array([10.0, 30.0, 10.0]), 1000, 1000)
    prior = 500 * 40 / 2000
    mine, other = 30 + prior, 10 + prior
    delta = math.log(mine / (1500 - mine)) - math.log(other / (1500 - other))
    assert odds[0] == pytest.approx(delta)
    assert strengths == pytest.approx(np.array([1, -1, 0]) * delta / math.sqrt(1 / mine + 1 / other))


def test_surging_words_are_those_that_set_headlines_apart() -> None:
    inside = ["The bank fails", "A bank in trouble", "Bank run", "Oil is up"]
    background = ["Oil is up", "Oil is down", "Gold is up", "Oil again"]
    found = surging_terms(inside, background, 5)
    assert [(term.word, term.inside, term.background) for term in found] == [("bank", 3, 0)]
    assert surging_terms(["Bank", "The bank"], [], 5) == surging_terms([], background, 5) == [], (
        "nothing to compare with"
    )


def test_words_leave_out_what_says_nothing() -> None:
    assert words("The BANK's 2026 results: see https://t.test/x?y=1") == {"bank", "results", "see"}
    assert words("美联储按兵不动") == {"美联", "联储", "储按", "按兵", "兵不", "不动"}
