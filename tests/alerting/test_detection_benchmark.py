"""The benchmark of detection measures what it says: its simulation, how it counts alarms, and its ceiling."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from alerting.detection.detector import ALL, Series
from benchmarks.detection import live, mentions, oracle, replay, scoring, tweets
from benchmarks.detection.methods import METHODS
from benchmarks.detection.simulation import MODELS, PER_DAY, PER_WEEK, RATIOS, Surges, Weeks, profile, simulate
from tests.alerting.surge_streams import fill_trends, fortnight

WEEKS = Weeks(4, 1, 2)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_simulated_counts_have_the_rate_and_the_variance_of_their_model(model) -> None:
    made = simulate(model, 2.0, 40, WEEKS, seed=3)
    assert made.calm.mean() == pytest.approx(10.0, rel=0.03)
    spread = ((made.calm - made.mean) ** 2 - made.mean).sum() / (made.mean**2).sum() / len(made.calm)
    assert spread == pytest.approx(1 / model.marginal_size, rel=0.1)


def test_the_rhythm_has_a_fourfold_day_and_quiet_weekends() -> None:
    week = profile(PER_WEEK)
    assert week.mean() == pytest.approx(1.0)
    assert week[:PER_DAY].max() / week[:PER_DAY].min() == pytest.approx(4.0)
    assert week[5 * PER_DAY :].mean() == pytest.approx(week[:PER_DAY].mean() / 2)


def test_surges_lie_in_the_test_weeks_and_multiply_counts_there_only() -> None:
    made = simulate(MODELS[0], 2.0, 20, WEEKS, seed=1)
    changed = np.zeros(made.calm.shape, bool)
    inside = made.surges.step[:, None] + np.arange(12)
    changed[made.surges.row[:, None], inside] = True
    assert inside.min() >= WEEKS.test_steps.start
    assert (made.calm[~changed] == made.surged[~changed]).all()
    for ratio in RATIOS:
        mine = made.surges.ratio == ratio
        rows, steps = made.surges.row[mine, None], inside[mine]
        assert made.surged[rows, steps].sum() / made.mean[steps].sum() == pytest.approx(ratio, rel=0.15)


def test_the_same_seed_gives_the_same_counts() -> None:
    first, again, other = (simulate(MODELS[2], 0.2, 2, WEEKS, seed) for seed in (5, 5, 6))
    assert (first.surged == again.surged).all()
    assert (first.surged != other.surged).any()


def test_alarms_less_than_an_hour_apart_are_one() -> None:
    scores = np.zeros((1, 100))
    scores[0, [10, 12, 24, 37, 60]] = 5.0
    assert np.flatnonzero(scoring.openings(scores, 5.0)).tolist() == [10, 37, 60]


def test_a_threshold_keeps_the_budget_where_it_was_chosen() -> None:
    scores = np.random.default_rng(0).gumbel(size=(10, PER_WEEK))
    threshold = scoring.choose_threshold(scores, 30)
    assert 25 <= scoring.openings(scores, threshold).sum() <= 30


def test_a_surge_is_found_from_its_start_to_ninety_minutes_after_it() -> None:
    surges = Surges(np.array([0, 1, 2]), np.array([120, 120, 120]), np.array([2.0, 2.0, 2.0]))
    delivered = np.zeros((3, 100), bool)
    delivered[0, 20] = delivered[1, 37] = delivered[2, 38] = True
    found = scoring.find(delivered, surges, 2.0, first=100)
    assert (found.surges, found.found, found.delay_minutes) == (3, 2, 47.5)


def test_the_interval_of_a_rate_is_garwoods() -> None:
    low, high = scoring.FalseAlarms(10, 1.0).interval
    assert (low, high) == (pytest.approx(4.795, abs=1e-3), pytest.approx(18.39, abs=1e-2))
    assert scoring.FalseAlarms(0, 2.0).interval == (0.0, pytest.approx(1.844, abs=1e-3))


def test_the_ceiling_keeps_its_budget_on_weeks_it_was_not_set_on() -> None:
    made = simulate(MODELS[0], 2.0, 30, Weeks(0, 4, 4), seed=2)
    ratios = oracle.likelihood_ratios(made.calm, made.mean, made.model, 3.0)
    level = oracle.choose_level(ratios[:, made.weeks.calibration_steps], 120)
    alarms = oracle.openings(ratios[:, made.weeks.test_steps], level).sum()
    assert 90 <= alarms <= 150


@pytest.mark.parametrize("name", METHODS)
def test_scores_are_causal(name: str) -> None:
    counts = simulate(MODELS[0], 2.0, 3, WEEKS, seed=4).calm
    changed = counts.copy()
    changed[:, 10_500:] += 50
    before, after = METHODS[name](counts), METHODS[name](changed)
    assert np.allclose(before[:, :10_500], after[:, :10_500])
    assert (after[:, 10_500:10_512] > before[:, 10_500:10_512]).any()


def test_the_live_detector_is_watched_through_its_own_checkpoint() -> None:
    made = simulate(MODELS[0], 2.0, 4, WEEKS, seed=0)
    (together,), alone = live.watch_together([made], 1.0), live.watch_alone(made, 1.0)
    for calm, surged in (together, alone):
        outcome = scoring.judge(made, calm.opened, surged.opened, surged.grown)
        assert outcome.false_alarms.series_weeks == 8
        assert outcome.detections[-1].share > 0.5


def test_a_bursty_series_alone_shows_its_events_within_the_budget() -> None:
    made = mentions.simulate(4, seed=0)
    alarms = np.stack([mentions.live_alarms(counts, 0.7) for counts in made.counts])
    found = mentions.judge("newstide", 0.7, made, alarms)
    assert found.found >= 0.8 * found.events, "level changes and former events must not make the next look ordinary"
    assert found.false_alarms.per_week < 1.4


def test_saved_counts_are_the_same_when_they_are_read(tmp_path: Path) -> None:
    counts = fortnight().counts
    tweets.save_counts(tmp_path / "counts.npz", counts)
    read = tweets.load_counts(tmp_path / "counts.npz")
    assert (read.start, read.end, list(read.names)) == (counts.start, counts.end, counts.names)
    for name in ("series", "step", *tweets.FIELDS):
        assert (getattr(read, name) == getattr(counts, name)).all()


def test_known_events_are_looked_for_on_their_day() -> None:
    counts = fortnight().counts
    opened = [
        (Series("entity", "BABA"), datetime(2014, 9, 19, 13, tzinfo=UTC)),
        (ALL, datetime(2015, 1, 1, tzinfo=UTC)),
    ]
    found = tweets.figures(opened, counts, pages=1)
    assert [event["right"] for event in found["events"]] == [True, False, True]
    assert (found["alerts_per_week"], found["pages_per_week"]) == (1.0, 0.5)


def test_a_replay_is_read_at_its_pace_and_to_its_end(connection: psycopg.Connection[Any]) -> None:
    made = fortnight()
    fill_trends(connection, made)
    replayed = replay.Replayed(connection, per_second=300)
    assert replayed.messages == made.messages[ALL].sum()
    read = np.array([sum(number for _, number in minutes) for minutes in replayed.seconds])
    assert read.sum() == replayed.messages
    largest = made.messages[ALL].max()
    assert (abs(read[:-1] - 300) <= largest).all()
    minutes = [minute for second in replayed.seconds for minute, _ in second]
    assert minutes == sorted(set(minutes))
