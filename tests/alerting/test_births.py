"""Series that begin while others are followed: they may fire from their first hours on, but not in crowds, and not for
what is usual at a birth."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest

from alerting.detection.codec import pack, unpack
from alerting.detection.detector import Series, SurgeChange
from alerting.detection.surges import SurgeDetector
from benchmarks.detection import births
from core.errors import InputError
from core.settings import AlertingSettings
from tests.alerting.surge_streams import PER_DAY, START, Stream, daily, stream

DAYS = 24
SETTINGS = AlertingSettings()
NEWBORN = Series("entity", "NEWBORN")


def at_birth(day: float, *stories: int) -> np.ndarray:
    """Counts of a series whose first steps, from `day` on, have so many `stories`, and then one in days."""
    counts = np.zeros(DAYS * PER_DAY)
    first = int(day * PER_DAY)
    counts[first : first + len(stories)] = stories
    counts[first + 500 :: 700] = 1
    return counts


@cache
def world() -> dict[Series, np.ndarray]:
    """Twenty companies that are always there, and an ordinary birth every other day."""
    rng = np.random.default_rng(4)
    old = {Series("entity", f"O{i}"): daily(DAYS, rate, rng) for i, rate in enumerate(np.geomspace(0.02, 2, 20))}
    born = {
        Series("entity", f"B{day}"): at_birth(day + 0.4, *rng.permutation(3 * [1] + 60 * [0]))
        for day in range(1, 23, 2)
    }
    return {**old, **born}


def with_newborn(*stories: int, day: float = 18.5) -> Stream:
    return stream({**world(), NEWBORN: at_birth(day, *stories)})


def judge(made: Stream, cuts: list[int] | None = None) -> list[SurgeChange]:
    detector = SurgeDetector(SETTINGS, START)
    edges = [START, *sorted(cuts or []), START + DAYS * PER_DAY]
    return [change for a, b in itertools.pairwise(edges) for change in detector.judge(made.counts.cut(a, b))]


def opened(changes: list[SurgeChange], *, names: str = NEWBORN.name) -> list[float]:
    """Days in which a surge of a series began whose name begins with `names`."""
    return [(c.step - START) / PER_DAY for c in changes if c.kind == "opened" and c.series.name.startswith(names)]


def test_a_surge_at_birth_is_found_within_its_first_hour() -> None:
    (at,) = opened(judge(with_newborn(*12 * [2])))
    assert 18.5 <= at < 18.5 + 1 / 24


def test_what_is_usual_at_a_birth_is_not_news() -> None:
    changes = judge(with_newborn(1, *20 * [0], 1, *20 * [0], 1))
    assert opened(changes) == opened(changes, names="B") == []


def test_in_the_first_days_of_a_store_everything_is_new() -> None:
    assert opened(judge(with_newborn(*12 * [2], day=2.2))) == []


@pytest.mark.parametrize(("hours", "pages"), [(0.0, 0), (2.4, 3)])
def test_many_births_at_once_are_a_change_of_what_is_read(hours: float, pages: int) -> None:
    """Of a crowd that comes one by one, the first few are news as far as anybody knows."""
    connected = {Series("entity", f"F{i}"): at_birth(18.5 + hours * i / 60 / 24, *12 * [2]) for i in range(60)}
    changes = judge(stream({**world(), **connected, NEWBORN: at_birth(15.5, *12 * [2])}))
    assert len(opened(changes, names="F")) <= pages
    assert opened(changes) != [], "nobody knew of the crowd then"


def test_where_every_birth_is_a_burst_a_burst_is_usual() -> None:
    bursts = {Series("entity", f"B{i}"): at_birth(4.1 + i / 3, *4 * [2]) for i in range(45)}
    usual = stream({**world(), **bursts, NEWBORN: at_birth(20.2, *4 * [2])})
    assert opened(judge(usual)) == []
    assert opened(judge(with_newborn(*4 * [2], day=20.2))) != []


def test_the_cut_into_calls_changes_nothing_and_a_restart_neither() -> None:
    made = with_newborn(1, 0, 2, 0, *12 * [2])
    whole = judge(made)
    first = START + int(18.5 * PER_DAY)
    assert opened(whole) != []
    assert judge(made, [first + k for k in (-3000, -7, 0, 1, 2, 3, 5, 9, 200, 400)]) == whole
    detector = SurgeDetector(SETTINGS, START)
    changes = detector.judge(made.counts.cut(START, first + 3))
    again = SurgeDetector.restored(SETTINGS, detector.dump())
    changes += again.judge(made.counts.cut(first + 3, START + DAYS * PER_DAY))
    assert changes == whole
    detector.judge(made.counts.cut(first + 3, START + DAYS * PER_DAY))
    assert again.dump() == detector.dump()


def test_state_of_the_version_before_is_refused_in_words() -> None:
    with pytest.raises(InputError, match="of another version"):
        SurgeDetector.restored(SETTINGS, pack({"format": 4}, {}))


def test_the_births_of_the_benchmark_are_what_it_says() -> None:
    groups = births.draw(seed=3)
    again = births.draw(seed=3)
    for name, group in groups.items():
        assert all((a == b).all() for a, b in zip(group.stories, again[name].stories, strict=True))
    surges = groups["surge"]
    first = [(steps < at + 4 * 12).sum() for at, steps in zip(surges.born, surges.stories, strict=True)]
    assert min(first) >= 5
    assert all((steps[0] == at) for at, steps in zip(surges.born, surges.stories, strict=True))
    crowd = groups["crowd"].born
    assert len(crowd) == 300
    assert crowd.max() - crowd.min() <= births.PER_DAY
    counts = births.counts_of(list(groups.values()), 0, births.PER_WEEK)
    stories = sum((steps < births.PER_WEEK).sum() for group in groups.values() for steps in group.stories)
    assert counts.negative[counts.series < len(counts.names) - 1].sum() == stories


def test_a_state_that_knows_more_of_births_is_read() -> None:
    """An earlier version kept sequential tests of births, which nobody read."""
    detector = SurgeDetector(SETTINGS, START)
    detector.judge(with_newborn().counts.cut(START, START + 3 * PER_DAY))
    header, arrays = unpack(detector.dump())
    more = {"births.sequential.statistic": np.zeros((1, 4)), "births.sequential.awake": np.zeros(1, np.bool_)}
    assert not set(more) & set(arrays)
    assert SurgeDetector.restored(SETTINGS, pack(header, arrays | more)).dump() == detector.dump()
