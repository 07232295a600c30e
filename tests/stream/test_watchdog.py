from __future__ import annotations

from stream.watchdog import Stall


def test_lag_without_progress_is_a_stall() -> None:
    stall = Stall(10, now=0)
    assert not stall.exceeded(now=1, lag=5, position=100, excused=False)
    assert not stall.exceeded(now=11, lag=5, position=100, excused=False)
    assert stall.exceeded(now=11.5, lag=5, position=100, excused=False)


def test_progress_no_lag_unknown_lag_and_an_excuse_begin_anew() -> None:
    stall = Stall(10, now=0)
    for now, lag, position, excused in (
        (9, 5, 1, False),
        (18, 5, 2, False),
        (27, 0, 2, False),
        (36, None, 2, False),
        (45, 5, 2, True),
        (54, 5, 2, False),
    ):
        assert not stall.exceeded(now, lag, position, excused)
    assert stall.exceeded(56, 5, 2, False)
