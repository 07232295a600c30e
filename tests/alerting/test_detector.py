from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerting.detection.baseline import Plan
from alerting.detection.calibration import Calibration, Groups
from alerting.detection.codec import pack
from alerting.detection.detector import ALL, OUTAGE, Counts, Series, SurgeChange
from alerting.detection.rows import cells_of
from alerting.detection.sequential import RATIOS, SequentialTest
from alerting.detection.shape import Shape
from alerting.detection.surges import SurgeDetector
from alerting.rules.policy import Policy, Watch
from core.errors import InputError, SettingsError
from core.settings import AlertingSettings
from tests.alerting.surge_streams import BANK, IPO, PER_DAY, QUIET, START, Stream, daily, fortnight, stream

SETTINGS = AlertingSettings()


def judge(made: Stream, chosen: AlertingSettings = SETTINGS, cuts: list[int] | None = None) -> list[SurgeChange]:
    counts = made.counts
    detector = SurgeDetector(chosen, counts.start)
    edges = [counts.start, *sorted(cuts or []), counts.end]
    return [change for a, b in itertools.pairwise(edges) for change in detector.judge(counts.cut(a, b))]


def opened(changes: list[SurgeChange], series: Series = BANK) -> list[int]:
    return [change.step - START for change in changes if change.kind == "opened" and change.series == series]


def test_a_bank_in_trouble_fires_once_and_soon() -> None:
    changes = judge(fortnight())
    (at,) = opened(changes)
    assert 6.5 * PER_DAY <= at <= 6.5 * PER_DAY + 24, "within two hours of event time"
    (closed,) = [change for change in changes if change.kind == "closed" and change.series == BANK]
    assert closed.surge.observed > 6 * closed.surge.expected
    assert closed.surge.start - START == at
    assert closed.step - START < 8 * PER_DAY


def test_a_mood_that_does_not_change_keeps_the_budget_of_many_small_series() -> None:
    """Counts and shares of 25 companies with a story in half an hour to three hours, one in six of them bad."""
    found = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        stories = {Series("entity", f"C{i}"): daily(28, rate, rng) for i, rate in enumerate(np.geomspace(0.3, 2.0, 25))}
        negative = {name: rng.binomial(count.astype(int), 0.17).astype(float) for name, count in stories.items()}
        for counts in (stories, negative):
            counts[ALL] = np.sum(list(counts.values()), axis=0)
        neutral = {name: stories[name] - negative[name] for name in stories}
        changes = SurgeDetector(SETTINGS, START).judge(Counts.of(START, stories, negative, neutral))
        found += len([change for change in changes if change.kind == "opened"])
    assert found <= 25, "not twice the budget of the four times 25 days that are judged"


def test_euphoria_does_not_fire_and_ordinary_days_rarely_do() -> None:
    false = 0
    for seed in range(5):
        changes = judge(fortnight(seed))
        assert not [at for at in opened(changes, IPO) if 9 * PER_DAY <= at < 9 * PER_DAY + 200]
        false += len([each for each in changes if each.kind == "opened" and each.series not in (BANK, ALL)])
    assert false <= 16, "twice the budget of the five times 11 days that are judged"


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1000), st.lists(st.integers(START, START + 14 * PER_DAY), max_size=12))
def test_the_cut_into_calls_changes_nothing(seed: int, cuts: list[int]) -> None:
    counts = fortnight(seed % 3, surge_day=5 + seed % 7)
    counts.messages[IPO][: 5 * PER_DAY + seed] = 0
    counts.negative[IPO][: 5 * PER_DAY + seed] = 0
    assert judge(counts, cuts=cuts) == judge(counts)


def test_step_by_step_equals_in_one_go_with_the_same_state() -> None:
    counts = fortnight().counts.cut(START, START + 8 * PER_DAY)
    whole, single = SurgeDetector(SETTINGS, START), SurgeDetector(SETTINGS, START)
    together = whole.judge(counts)
    apart = [change for k in range(START, counts.end) for change in single.judge(counts.cut(k, k + 1))]
    assert apart == together
    assert single.dump() == whole.dump()
    assert single.readings() == whole.readings()


@pytest.mark.parametrize("at", [0, 1, PER_DAY, 6 * PER_DAY + 151, 6 * PER_DAY + 160, 13 * PER_DAY + 7])
def test_a_restored_detector_goes_on_exactly(at: int) -> None:
    counts = fortnight().counts
    first = SurgeDetector(SETTINGS, START)
    changes = first.judge(counts.cut(START, START + at))
    second = SurgeDetector.restored(SETTINGS, first.dump())
    assert second.position == START + at
    assert second.open_surges() == first.open_surges()
    changes += second.judge(counts.cut(START + at, counts.end))
    assert changes == judge(fortnight())


def test_what_is_written_is_read_back_to_the_same() -> None:
    detector = SurgeDetector(SETTINGS, START)
    detector.judge(fortnight().counts.cut(START, START + 9 * PER_DAY + 155))
    body = detector.dump()
    assert SurgeDetector.restored(SETTINGS, body).dump() == body


@pytest.mark.parametrize("most", [1e60, 1e4])
def test_a_sequential_test_of_a_day_is_its_formula_step_by_step(most: float) -> None:
    shape, rng = Shape.of(SETTINGS), np.random.default_rng(3)
    counts = rng.poisson(0.3, (3, shape.steps_per_day)).astype(np.float32)
    counts[1, 100:112] += 3
    rates, alpha = rng.uniform(0.1, 0.5, (3, shape.parts)), np.full((3, len(shape.windows)), 0.4)
    test = SequentialTest(shape)
    test.grow(3)
    test.most = most
    found = test.run(np.arange(3), Plan(rates, alpha, np.ones(3)), counts, 0, shape.steps_per_day)
    statistic = np.zeros((3, len(RATIOS)))
    for step in range(shape.steps_per_day):
        mean = rates[:, step * shape.parts // shape.steps_per_day, None]
        grown = np.log((1 + 0.4 * np.array(RATIOS) * mean) / (1 + 0.4 * mean))
        likelihood = np.exp(counts[:, step, None] * (np.log(RATIOS) - grown) - grown / 0.4)
        statistic = np.minimum((1 + statistic) * likelihood, most)
        assert np.log10(found[step]) == pytest.approx(np.log10(statistic), abs=1e-9)
    assert (found.max() == most) == (most == 1e4), "only one of them is bounded"


def test_cells_are_found_as_numpy_finds_them() -> None:
    values = np.random.default_rng(1).poisson(0.05, (7, 2 * PER_DAY)).astype(np.float32)
    for part in (values, values[:, PER_DAY:], values[:0], np.zeros((2, 3))):
        for mine, theirs in zip(cells_of(part), np.nonzero(part), strict=True):
            assert mine.tolist() == theirs.tolist()


@pytest.mark.parametrize(("alone", "learnt"), [(True, 0), (False, 7)])
def test_a_small_budget_lets_no_news_pass_for_ordinary_where_a_series_is_alone(alone: bool, learnt: int) -> None:
    calibration = Calibration(Shape.of(SETTINGS), (1.0,))
    calibration.grow(1)
    calibration.alone, calibration.threshold = alone, np.array([6.0])
    calibration.doubtful[0, 0, 40] = 7
    calibration.settle(0, 4.5)
    assert calibration.today[0, 0, 40] == learnt


def test_state_that_does_not_fit_is_refused() -> None:
    body = SurgeDetector(SETTINGS, START).dump()
    with pytest.raises(InputError, match="another step"):
        SurgeDetector.restored(AlertingSettings(step_minutes=10), body)
    with pytest.raises(InputError, match="lacks 'format'"):
        SurgeDetector.restored(SETTINGS, pack({}, {}))
    with pytest.raises(InputError, match="can't be read"):
        SurgeDetector.restored(SETTINGS, body[:-9])


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_what_is_no_count_is_refused_and_changes_nothing(wrong: float) -> None:
    counts = fortnight().counts.cut(START, START + 400)
    detector = SurgeDetector(SETTINGS, START)
    before = detector.dump()
    broken = counts.negative.copy()
    broken[3] = wrong
    with pytest.raises(InputError, match=rf"negative of .* in step {counts.step[3]} is no count"):
        detector.judge(replace(counts, negative=broken))
    with pytest.raises(InputError, match="lies outside"):
        detector.judge(replace(counts, step=counts.step + 400))
    assert detector.dump() == before


def test_steps_must_follow_each_other() -> None:
    with pytest.raises(InputError, match="detector stands at"):
        SurgeDetector(SETTINGS, START).judge(fortnight().counts.cut(START + 1, START + 2))


def test_small_counts_never_page() -> None:
    negative = np.zeros(14 * PER_DAY)
    negative[10 * PER_DAY : 10 * PER_DAY + 5] = 2  # ten stories out of nothing
    counts = stream({BANK: negative}, {BANK: daily(14, 5, np.random.default_rng(0))})
    assert opened(judge(counts, AlertingSettings(min_excess=10))) == []
    assert opened(judge(counts))[0] == 10 * PER_DAY + 1, "four stories, an excess of three"


def test_a_few_stories_at_once_stand_out_where_a_single_one_is_rare() -> None:
    """A single story is far from normal where there is one in days; that must not make five of them ordinary."""
    number = 50
    ranks = Calibration(Shape.of(SETTINGS), (1.0,))
    ranks.grow(number)
    row, judged = np.arange(number), np.ones(number, np.bool_)
    for day in range(60):
        ranks.plan(day, number, np.full(number, 0.3), Groups(np.full(number, 2), np.ones(number), ~judged))
        ranks.threshold = np.full(number, np.inf)
        mine = row[day % 3 :: 3]
        ranks.note(mine, np.full((len(mine), 1), 2.6), ~judged[mine], np.zeros(len(mine)))
        ranks.learn(day, PER_DAY, judged)
    one, five = ranks.scores(np.zeros(2, np.int64), np.array([[2.6], [8.0]]))
    assert five > one + 3.0


def test_a_store_must_be_known_for_the_warm_up() -> None:
    rng = np.random.default_rng(3)
    young = np.zeros(14 * PER_DAY)
    young[PER_DAY:] = daily(13, 1, rng)
    young[2 * PER_DAY : 2 * PER_DAY + 12] += 4
    counts = stream({BANK: young, Series("entity", "OLD"): daily(14, 3, rng)})
    early = 3 * PER_DAY
    assert not [at for at in opened(judge(counts)) if at < early]
    assert [at for at in opened(judge(counts, AlertingSettings(warmup_days=0.5))) if at < early]


def test_an_outage_is_not_judged() -> None:
    counts = fortnight(per_hour=60)
    first = int(6.5 * PER_DAY) + 60
    gap = slice(first, first + 48)
    for values in [*counts.messages.values(), *counts.negative.values()]:
        values[gap] = 0
    changes = judge(counts)
    assert len(opened(changes)) == 1
    closed = [change.step - START for change in changes if change.kind == "closed" and change.series == BANK]
    assert closed
    assert not any(gap.start + 12 <= step < gap.stop for step in closed), "silence must not pass for calm"


def test_an_outage_is_a_surge_of_its_own() -> None:
    made = fortnight(per_hour=60)
    first = 10 * PER_DAY
    for values in [*made.messages.values(), *made.negative.values()]:
        values[first : first + 150] = 0
    (began, over) = [change for change in judge(made) if change.series == OUTAGE]
    assert (began.kind, over.kind) == ("opened", "closed")
    assert first < began.step - START < first + 150
    assert made.messages[ALL][over.step - START] > 0 == made.messages[ALL][first : over.step - START].max()
    assert began.surge.observed == 0
    assert began.surge.expected > 20
    assert judge(made, cuts=[START + first + k for k in (3, 77, 149, 150)]) == judge(made)


def test_a_surge_that_doubles_is_notified_again() -> None:
    rng = np.random.default_rng(6)
    bank, day = daily(28, 12, rng), 24 * PER_DAY
    bank[day : day + 36] += 4
    bank[day + 18 : day + 36] += 40
    made = stream({BANK: bank, Series("entity", "OTHER"): daily(28, 5, rng)})
    changes = [change for change in judge(made) if change.series == BANK and change.step >= START + day]
    (grown,) = [change for change in changes if change.kind == "grown"]
    assert day + 18 <= grown.step - START < day + 24
    assert grown.surge.start == changes[0].surge.start


def test_a_mood_that_turns_is_seen_without_more_news() -> None:
    rng = np.random.default_rng(8)
    stories = daily(28, 24, rng)
    bad = rng.binomial(stories.astype(int), 0.1).astype(float)
    turn = slice(24 * PER_DAY, 24 * PER_DAY + 72)
    bad[turn] = rng.binomial(stories[turn].astype(int), 0.9)
    counts = Counts.of(START, {BANK: stories, ALL: stories}, {BANK: bad, ALL: bad}, {BANK: stories - bad})
    policy = Policy(watches=(Watch(signals=("share",)),))
    changes = SurgeDetector(SETTINGS, START, policy).judge(counts)
    found = [at for at in opened(changes) if turn.start <= at < turn.stop]
    assert len(found) == 1
    assert {change.surge.signal for change in changes} == {"share"}


def test_what_no_rule_asks_for_is_not_judged() -> None:
    made = fortnight()
    policy = Policy(watches=(Watch(("entity=BANK",), ("negative",)),))
    changes = SurgeDetector(SETTINGS, START, policy).judge(made.counts)
    assert {change.series for change in changes} == {BANK}
    with pytest.raises(InputError, match="other rules"):
        SurgeDetector.restored(SETTINGS, SurgeDetector(SETTINGS, START, policy).dump())


def test_good_news_and_mere_volume_surge_where_they_are_asked_for() -> None:
    made = fortnight()
    flood = made.messages[IPO] - made.negative[IPO]
    positive = {IPO: flood, ALL: flood}
    counts = Counts.of(START, made.messages, made.negative, None, positive)
    policy = Policy(watches=(Watch(("entity=IPO",), ("positive", "volume")),))
    changes = SurgeDetector(SETTINGS, START, policy).judge(counts)
    flooded = [change for change in changes if 0 <= change.step - START - 9 * PER_DAY < 200]
    assert {change.surge.signal for change in flooded} == {"positive", "volume"}
    assert {change.series for change in flooded} == {IPO}


def test_a_lull_is_no_end_and_a_spike_hides_no_later_surge() -> None:
    rng = np.random.default_rng(5)
    base, day = daily(28, 24, rng), 24 * PER_DAY
    lull, spike = base.copy(), base.copy()
    lull[day : day + 12] += 12
    lull[day + 18 : day + 30] += 12
    spike[day : day + 12] += 100
    spike[day + 48 : day + 60] *= 3
    other = {Series("entity", "OTHER"): daily(28, 5, rng)}
    assert len([at for at in opened(judge(stream({BANK: lull, **other}))) if day <= at < day + 40]) == 1
    first, second = (at for at in opened(judge(stream({BANK: spike, **other}))) if day <= at < day + 70)
    assert first == day
    assert day + 48 <= second < day + 66


def test_a_new_level_becomes_normal() -> None:
    rng = np.random.default_rng(7)
    bank = np.concatenate([daily(20, 2, rng), daily(40, 12, rng)])
    changes = judge(stream({BANK: bank, Series("entity", "OTHER"): daily(60, 5, rng)}))
    (first,) = [at for at in opened(changes) if 20 * PER_DAY <= at < 22 * PER_DAY]
    assert first < 20 * PER_DAY + 12
    closed = [change.step - START for change in changes if change.kind == "closed" and change.series == BANK]
    assert any(first < step < 25 * PER_DAY for step in closed)
    assert len([at for at in opened(changes) if at >= 25 * PER_DAY]) <= 5, "as many as the budget of five weeks"


def test_a_stray_old_message_does_not_make_everything_a_surge() -> None:
    rng = np.random.default_rng(9)
    days = 60
    bank = np.zeros(days * PER_DAY)
    bank[5] = 1
    bank[40 * PER_DAY :] = daily(20, 20, rng)
    found = opened(judge(stream({BANK: bank})))
    assert len(found) <= 6, "about the budget of 17 days, twice"
    assert not found or found[0] >= 43 * PER_DAY


def test_series_that_fell_silent_are_forgotten() -> None:
    rng = np.random.default_rng(11)
    chosen = AlertingSettings(history_days=2)
    short = np.zeros(10 * PER_DAY)
    short[:PER_DAY] = 1
    counts = stream({BANK: short, IPO: daily(10, 3, rng)})
    detector = SurgeDetector(chosen, START)
    detector.judge(counts.counts)
    assert {reading.series for reading in detector.readings()} == {IPO, ALL}
    assert judge(counts, chosen, cuts=[START + k * 100 for k in range(28)]) == judge(counts, chosen)


def crowd(names: int, stories: int, days: int = 4) -> Counts:
    """`names` companies with `stories` negative stories each, spread over `days`, and what they sum up to."""
    rng = np.random.default_rng(names)
    cells = names * stories
    steps = np.sort(rng.integers(0, days * PER_DAY, cells))
    key = np.unique(np.stack([rng.permutation(np.repeat(np.arange(names), stories)), steps]), axis=1)
    total = np.bincount(key[1], minlength=days * PER_DAY).astype(float)
    at = np.flatnonzero(total)
    return Counts(
        START,
        START + days * PER_DAY,
        [*(Series("entity", f"N{i}") for i in range(names)), ALL],
        np.concatenate([key[0], np.full(len(at), names)]).astype(np.int32),
        START + np.concatenate([key[1], at]),
        np.concatenate([np.ones(key.shape[1]), total[at]]),
        np.concatenate([np.ones(key.shape[1]), total[at]]),
        np.zeros(key.shape[1] + len(at)),
        np.zeros(key.shape[1] + len(at)),
    )


def test_a_name_is_followed_from_a_few_stories_on() -> None:
    detector = SurgeDetector(SETTINGS, START)
    detector.judge(crowd(500, 2))
    assert detector.sizes() == (1, 500, 0), "all of them together are followed, none by itself"


def test_there_is_a_limit_to_what_is_followed_and_noted() -> None:
    chosen = AlertingSettings(max_series=10)
    counts = crowd(300, 6, days=9)
    whole, single = SurgeDetector(chosen, START), SurgeDetector(chosen, START)
    changes = whole.judge(counts)
    followed, noted, refused = whole.sizes()
    assert followed == 10
    assert noted <= 100
    counts_of_the_tenth_day = crowd(300, 6, days=9)
    assert refused == 0, "a new day has begun"
    whole.judge(Counts(counts.end, counts.end + 10, *_later(counts_of_the_tenth_day, counts.end)))
    assert whole.sizes().refused > 0
    edges = [START, *range(START + 50, counts.end, 331), counts.end]
    apart = [change for a, b in itertools.pairwise(edges) for change in single.judge(counts.cut(a, b))]
    assert apart == changes
    single.judge(Counts(counts.end, counts.end + 10, *_later(counts_of_the_tenth_day, counts.end)))
    assert single.dump() == whole.dump()


def _later(counts: Counts, at: int) -> tuple[Any, ...]:
    """All cells of `counts`, moved into the step `at`, under new names."""
    names = [Series("entity", f"L{i}") for i in range(len(counts.names) - 1)] + [ALL]
    series = np.unique(counts.series)
    ones = np.ones(len(series))
    return names, series, np.full(len(series), at), ones, ones, 0 * ones, 0 * ones


def test_a_company_long_watched_is_judged_by_its_own_silence() -> None:
    """Its first stories ever are a burst; it must not be taken for a new one of which nothing is known."""
    rng = np.random.default_rng(2)
    quiet = np.zeros(20 * PER_DAY)
    quiet[15 * PER_DAY : 15 * PER_DAY + 8] = 2
    praised = (daily(20, 0.5, rng) > 0).astype(float)
    busy = {Series("entity", f"B{i}"): daily(20, 30, rng) for i in range(8)}
    made = stream({QUIET: quiet, **busy}, {QUIET: praised})
    (at,) = opened(judge(made), QUIET)
    assert at < 15 * PER_DAY + 8
    cuts = [START + 15 * PER_DAY + k for k in (1, 2, 3)]
    assert judge(made, cuts=cuts) == judge(made)


_CROWD = """
import dataclasses
import re
from pathlib import Path
import numpy as np
from alerting.detection.surges import SurgeDetector
from core.settings import AlertingSettings
from tests.alerting.test_detector import START, crowd
detector = SurgeDetector(AlertingSettings(), START)
counts = crowd(100_000, 3, days=1)
detector.judge(dataclasses.replace(counts, end=counts.end + 12))  # into the day after, that what was learnt is used
detector = SurgeDetector.restored(AlertingSettings(), detector.dump())
# Not ru_maxrss: it remembers the process that started this one.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
print(peak, *detector.sizes())
"""


def test_a_hundred_thousand_names_cost_less_than_a_gigabyte() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", _CROWD], cwd=root, capture_output=True, text=True, check=True)
    largest, followed, noted, _ = map(int, done.stdout.split())
    assert largest < 1_000_000, "kB: as many as may be are followed"
    assert followed == AlertingSettings().max_series
    assert followed + noted >= 100_000


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"step_minutes": 7}, "step_minutes"),
        ({"windows_minutes": []}, "windows_minutes"),
        ({"windows_minutes": [0]}, "windows_minutes"),
        ({"windows_minutes": [1441]}, "windows_minutes"),
    ],
)
def test_settings_that_cannot_work_are_named(values: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        SurgeDetector(AlertingSettings(**values), START)
