"""Times as a person types them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from newstide.commands.times import Moment


@pytest.mark.parametrize("wrong", ["999999w", "9999999d", "7y", "soon", "2014-13-01", "0001-01-01T00:00+12:00"])
def test_what_is_no_time_is_said(wrong: str) -> None:
    with pytest.raises(click.BadParameter, match="is no time; expected 2014-09-19, 2014-09-19T12:00Z, 36h or 7d"):
        Moment().convert(wrong, None, None)


def test_ages_and_dates() -> None:
    before = datetime.now(UTC)
    assert before <= Moment().convert("36h", None, None) + timedelta(hours=36) <= datetime.now(UTC)
    assert Moment().convert("2014-09-19", None, None) == datetime(2014, 9, 19, tzinfo=UTC)
