"""What ends of a process mean, without processes."""

from __future__ import annotations

import os
import signal

import pytest

from newstide.stack.crashes import STEADY_AFTER_S, Crashes

KILLED = -signal.SIGKILL


def crashes() -> Crashes:
    return Crashes(most=5, first_pause_s=0.5, longest_pause_s=15)


def test_one_that_never_gets_going_is_given_up() -> None:
    ends = crashes()
    assert [ends.note(1, 2.0, outage=False) for _ in range(5)] == [0.5, 1.0, 2.0, 4.0, None]


@pytest.mark.parametrize("status", [KILLED, -signal.SIGTERM, 130, 143, 0, os.EX_TEMPFAIL])
def test_ends_from_outside_are_never_held_against_it(status: int) -> None:
    ends = crashes()
    pauses = [ends.note(status, 1.0, outage=False) for _ in range(200)]
    assert max(pause for pause in pauses if pause is not None) == 15
    assert None not in pauses


def test_a_segmentation_fault_is_its_own() -> None:
    ends = crashes()
    assert [ends.note(-signal.SIGSEGV, 1.0, outage=False) for _ in range(5)][-1] is None


def test_nor_are_those_of_an_outage() -> None:
    ends = crashes()
    assert None not in [ends.note(1, 1.0, outage=True) for _ in range(200)]


def test_kills_in_between_do_not_hide_a_fault() -> None:
    ends = crashes()
    found = [ends.note(status, 1.0, outage=False) for status in (1, KILLED, 1, KILLED, 1, 1, KILLED, 1)]
    assert found[-1] is None
    assert None not in found[:-1]


def test_one_that_worked_once_gets_four_times_as_many() -> None:
    ends = crashes()
    ends.note(1, STEADY_AFTER_S + 1, outage=False)
    found = [ends.note(1, 1.0, outage=False) for _ in range(19)]
    assert None not in found[:-1]
    assert found[-1] is None


def test_a_long_life_begins_the_count_anew() -> None:
    ends = crashes()
    assert None not in [ends.note(1, STEADY_AFTER_S + 1, outage=False) for _ in range(100)]
    assert ends.note(1, STEADY_AFTER_S + 1, outage=False) == 0.5
