"""What is judged, the budget as it is written, and when people are delivered."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.detection.detector import ALL, Series
from alerting.rules.policy import Policy, Watch
from alerting.rules.schedule import Schedule
from core.budget import budget_per_week
from core.errors import InputError

BANK = Series("entity", "BANK")
EARNINGS = Series("topic", "Earnings")


def test_every_series_is_judged_by_default_within_one_page_a_week() -> None:
    policy = Policy.default()
    assert policy.budget_per_week == 1
    assert policy.tiers == {"all": 0.2, "topic": 0.4, "entity": 0.4}
    for series in (ALL, BANK, EARNINGS):
        assert policy.signals(series) == {"negative": 1.0, "share": 0.25}


def test_the_first_watch_that_asks_for_a_signal_decides_its_weight() -> None:
    watches = (
        Watch(("entity=BANK", "entity=B?"), ("negative",), 3),
        Watch(("entity=*",), ("positive", "negative")),
        Watch(("topic=Earn*",), ("volume",), 2),
    )
    policy = Policy(watches=watches)
    assert policy.signals(BANK) == {"negative": 3, "positive": 1}
    assert policy.signals(Series("entity", "BA")) == {"negative": 3, "positive": 1}
    assert policy.signals(Series("entity", "bank")) == {"negative": 1, "positive": 1}
    assert policy.signals(EARNINGS) == {"volume": 0.5}
    assert policy.signals(ALL) == {}


def test_tiers_are_shares_of_one_and_equal_policies_have_equal_fingerprints() -> None:
    policy = Policy(tiers={"all": 1, "entity": 3})
    assert policy.tiers == {"all": 0.25, "topic": 0, "entity": 0.75}
    assert policy.fingerprint == Policy(tiers={"entity": 30, "all": 10}).fingerprint
    different = [Policy(), Policy(2.0), Policy(watches=(Watch(weight=2),)), Policy(watches=(Watch(("all",)),)), policy]
    assert len({each.fingerprint for each in different}) == len(different)


@pytest.mark.parametrize(
    ("written", "per_week"),
    [("1 per week", 1), ("2 per day", 14), (" 0.5 per WEEK", 0.5), ("1/day", 7), ("52 a year", 52 / (365.2425 / 7))],
)
def test_a_budget_is_a_rate(written: str, per_week: float) -> None:
    assert budget_per_week(written) == pytest.approx(per_week)


def test_more_in_a_longer_span_is_the_same_rate() -> None:
    assert budget_per_week("1 per month") * 365.2425 / 84 == pytest.approx(1)
    assert budget_per_week("1 per hour") == pytest.approx(168)


@pytest.mark.parametrize(
    "written", ["0 per week", "-1 per week", "one per week", "1", 1, True, None, "1 per fortnight"]
)
def test_what_is_no_positive_rate_is_refused(written: object) -> None:
    with pytest.raises(InputError, match="1 per week"):
        budget_per_week(written)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_quiet_hours_last_past_midnight_in_their_own_zone() -> None:
    berlin = Schedule(quiet=((time(22), time(7)),), zone=ZoneInfo("Europe/Berlin"))
    assert berlin.quiet_until(moment("2026-07-01 19:59")) is None
    assert berlin.quiet_until(moment("2026-07-01 20:00")) == moment("2026-07-02 05:00")
    assert berlin.quiet_until(moment("2026-07-02 04:59")) == moment("2026-07-02 05:00")
    assert berlin.quiet_until(moment("2026-07-02 05:00")) is None
    # the clocks change in the night of 25 October 2026
    assert berlin.quiet_until(moment("2026-10-24 21:00")) == moment("2026-10-25 06:00")


def test_quiet_hours_that_follow_each_other_are_one() -> None:
    schedule = Schedule(quiet=((time(12), time(13)), (time(13), time(14))))
    assert schedule.quiet_until(moment("2026-07-01 12:30")) == moment("2026-07-01 14:00")


_TIMES = st.times().map(lambda at: at.replace(second=0, microsecond=0))
_SPANS = st.tuples(_TIMES, _TIMES).filter(lambda span: span[0] != span[1])


@given(
    st.lists(_SPANS, min_size=1, max_size=2).map(tuple),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]).map(ZoneInfo),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
)
def test_quiet_hours_end_at_a_moment_that_is_not_quiet(
    spans: tuple[tuple[time, time], ...], zone: ZoneInfo, now: datetime
) -> None:
    schedule = Schedule(quiet=spans, zone=zone)
    until = schedule.quiet_until(now)
    local = now.astimezone(zone).time()
    inside = any(
        (begins <= local < ends) if begins < ends else (local >= begins or local < ends) for begins, ends in spans
    )
    changes = now.astimezone(zone).utcoffset() != (now + timedelta(days=1)).astimezone(zone).utcoffset()
    changes = changes or now.astimezone(zone).utcoffset() != (now - timedelta(days=1)).astimezone(zone).utcoffset()
    assert changes or inside == (until is not None)
    if until is not None and until - now < timedelta(days=1):
        assert schedule.quiet_until(until) is None
        assert schedule.quiet_until(now + (until - now) / 2) == until


def test_what_is_urgent_never_waits_and_a_digest_comes_at_its_time() -> None:
    night = Schedule(quiet=((time(22), time(7)),))
    both = Schedule(quiet=night.quiet, digests=(time(6), time(18)))
    late = moment("2026-07-01 23:00")
    assert night.hold(late, urgent=False) == ("quiet", moment("2026-07-02 07:00"))
    assert night.hold(moment("2026-07-01 12:00"), urgent=False) is None
    assert both.hold(late, urgent=False) == ("digest", moment("2026-07-02 06:00"))
    assert both.hold(moment("2026-07-01 18:00"), urgent=False) == ("digest", moment("2026-07-02 06:00"))
    assert both.hold(moment("2026-07-01 17:59"), urgent=False) == ("digest", moment("2026-07-01 18:00"))
    assert night.hold(late, urgent=True) is both.hold(late, urgent=True) is Schedule().hold(late, urgent=False) is None
