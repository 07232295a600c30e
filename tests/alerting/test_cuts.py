"""A day cut into windows, against the plain sums over its steps."""

from __future__ import annotations

import numpy as np
import pytest

from alerting.detection.cuts import Cuts, Stories
from alerting.detection.shape import Shape
from core.settings import AlertingSettings

SHAPES = [
    (5, [5, 15, 60, 1440]),
    (5, [35, 70, 110]),
    (10, [70, 360, 1000]),
    (18, [90, 720]),
    (30, [77, 1440]),
    (45, [45, 100, 720]),
]


@pytest.mark.parametrize(("step", "windows"), SHAPES)
@pytest.mark.parametrize("outage", [False, True])
def test_windows_of_a_day_are_sums_of_its_steps(step: int, windows: list[int], outage: bool) -> None:
    shape = Shape.of(AlertingSettings(step_minutes=step, windows_minutes=windows))
    steps, rows, rng = shape.steps_per_day, 4, np.random.default_rng(step)
    counts = rng.poisson(0.2, (rows, steps)).astype(np.float32)
    rates = rng.gamma(1.0, 1.0, (rows, shape.parts))
    valid = rng.random(steps) > 0.1 if outage else None
    cuts = Cuts(shape)
    assert len(cuts) == len(shape.windows)

    row, cut, place, number = cuts.by_window(Stories.of(counts), rows)
    expected, (complete, share) = cuts.expected(rates), cuts.complete(valid)
    per_step = np.repeat(rates, steps // shape.parts, axis=1)
    heard = np.ones(steps, np.bool_) if valid is None else valid
    keys = zip(row.tolist(), cut.tolist(), place.tolist(), strict=True)
    found = dict(zip(keys, number.tolist(), strict=True))
    for each, window in enumerate(shape.windows):
        whole = [0] * expected.shape[1]
        for at in range(steps // window):
            span = slice(at * window, (at + 1) * window)
            for of in range(rows):
                assert found.get((of, each, at), 0.0) == counts[of, span].sum()
                assert expected[of, cuts.column[each, at]] == pytest.approx(per_step[of, span].sum())
            assert complete[each, at] == heard[span].all()
            whole[cuts.column[each, at]] += bool(heard[span].all())
        mine = np.unique(cuts.column[each, : steps // window])
        assert share[mine].tolist() == [whole[column] for column in mine]
    sums = cuts.sums(expected)
    assert sums.shape == (rows, len(shape.windows))
    assert sums.sum() == pytest.approx(expected.sum())
