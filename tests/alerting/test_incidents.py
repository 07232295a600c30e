"""Which alerts are one incident: by their stories as each opens, whatever the cuts and the order."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Set
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from alerting.detection.detector import Series, Signal
from alerting.incidents.alert_states import alert_id
from alerting.incidents.grouping import Group, Opening, incident_id, leader, place
from tests.alerting.surge_streams import ALL, BANK, MONDAY

EARNINGS = Series("topic", "Earnings")
MILL = Series("entity", "MILL")
_NAMES = UUID("2f0c1f6e-5f2d-4d7e-9a3b-0d9c5a4e7b10")

Row = tuple[Series, str, UUID, datetime]


class Shelf:
    """Stories held in memory, each in some series."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, number: int, series: Collection[Series], minute: float, sentiment: str = "negative") -> None:
        """`number` stories of all these series and of `all`, a second apart from `minute` on."""
        for i in range(number):
            story = uuid5(_NAMES, f"{len(self.rows)}")
            at = MONDAY + timedelta(minutes=minute, seconds=i)
            self.rows += [(each, sentiment, story, at) for each in {*series, ALL}]

    def within(
        self, series: Collection[Series], sentiments: Collection[str], start: datetime, end: datetime
    ) -> Mapping[Series, Mapping[UUID, datetime]]:
        found: dict[Series, dict[UUID, datetime]] = {each: {} for each in series}
        for name, sentiment, story, at in self.rows:
            if name in found and sentiment in sentiments and start <= at < end:
                found[name][story] = at
        return found

    def held(
        self, stories: Collection[UUID], series: Collection[Series], sentiments: Collection[str], until: datetime
    ) -> Mapping[Series, Set[UUID]]:
        return {
            each: {story for name, sentiment, story, at in self.rows
                   if name == each and sentiment in sentiments and at < until and story in stories}
            for each in series
        }  # fmt: skip

    def count(self, series: Series, sentiments: Collection[str], start: datetime, end: datetime) -> float:
        return len(self.within([series], sentiments, start, end)[series])


def opening(
    shelf: Shelf,
    series: Series,
    minute: int,
    signal: Signal = "negative",
    *,
    expected: float = 2,
    hours: float = 1,
    closed: int | None = None,
) -> Opening:
    """An alert that opens at `minute` with what `shelf` holds of the hours before."""
    at = MONDAY + timedelta(minutes=minute)
    window = timedelta(hours=hours)
    sentiments = {"positive": ["positive"], "volume": ["negative", "neutral", "positive"]}.get(signal, ["negative"])
    return Opening(
        alert_id(series, signal, at),
        series,
        signal,
        at,
        window,
        shelf.count(series, sentiments, at - window, at),
        expected,
        None if closed is None else MONDAY + timedelta(minutes=closed),
    )


def together(shelf: Shelf, *openings: Opening) -> list[set[str]]:
    """The series and signals of each incident, in the order of founding."""
    return [{f"{member.series}/{member.signal}" for member in group.members} for group in place(openings, [], shelf)]


def test_an_entity_its_topic_and_all_are_one_incident_named_after_the_entity() -> None:
    shelf = Shelf()
    shelf.add(40, [BANK, EARNINGS], 0)
    shelf.add(20, [EARNINGS], 5)
    shelf.add(60, [], 10)
    for order in ((BANK, EARNINGS, ALL), (ALL, EARNINGS, BANK)):
        alerts = [
            opening(shelf, series, 30 + 5 * i, expected={ALL: 60, EARNINGS: 20}.get(series, 2))
            for i, series in enumerate(order)
        ]
        (group,) = place(alerts, [], shelf)
        assert group.id == incident_id(alerts[0].alert)
        assert len(group.members) == 3
        assert leader(group, MONDAY + timedelta(hours=1), shelf).series == BANK


def test_an_entity_does_not_hide_in_a_surge_of_all_that_it_hardly_adds_to() -> None:
    shelf = Shelf()
    shelf.add(100, [], 0)
    shelf.add(12, [MILL], 20)
    assert len(together(shelf, opening(shelf, ALL, 30, expected=10), opening(shelf, MILL, 35))) == 2


def test_two_entities_of_one_event_are_one_and_of_two_events_are_two() -> None:
    shelf = Shelf()
    shelf.add(30, [BANK, MILL], 0)
    shelf.add(10, [MILL], 5)
    (group,) = place([opening(shelf, MILL, 30), opening(shelf, BANK, 40)], [], shelf)
    assert leader(group, MONDAY + timedelta(hours=1), shelf).series == MILL, "it has more of the stories"
    apart = Shelf()
    apart.add(30, [BANK], 0)
    apart.add(30, [MILL], 5)
    alerts = [opening(apart, BANK, 30), opening(apart, MILL, 40), opening(apart, ALL, 45)]
    assert together(apart, *alerts) == [{"entity=BANK/negative", "all/negative"}, {"entity=MILL/negative"}]


def test_good_news_and_bad_news_stay_apart_and_volume_joins_either() -> None:
    shelf = Shelf()
    shelf.add(30, [BANK], 0)
    shelf.add(30, [BANK], 1, "positive")
    bad, good, much, share = (
        opening(shelf, BANK, 30 + 5 * i, signal)
        for i, signal in enumerate(("negative", "positive", "volume", "share"))  # type: ignore[arg-type]
    )
    assert together(shelf, bad, good, much, share) == [
        {"entity=BANK/negative", "entity=BANK/volume", "entity=BANK/share"},
        {"entity=BANK/positive"},
    ]


def test_what_is_over_before_the_window_is_another_incident() -> None:
    shelf = Shelf()
    shelf.add(30, [BANK], 0)
    first = opening(shelf, BANK, 30, closed=100)
    shelf.add(30, [BANK], 200)
    assert len(together(shelf, first, opening(shelf, BANK, 220, hours=1))) == 2
    assert len(together(shelf, first, opening(shelf, ALL, 120, expected=0, hours=2))) == 1


@st.composite
def histories(draw: st.DrawFn) -> tuple[Shelf, list[Opening]]:
    """A day of events over a few series, and alerts on them."""
    names = [ALL, EARNINGS, Series("topic", "Legal"), *(Series("entity", f"E{i}") for i in range(4))]
    shelf = Shelf()
    for _ in range(draw(st.integers(1, 6))):
        about = draw(st.sets(st.sampled_from(names[1:]), max_size=3))
        sentiment = draw(st.sampled_from(["negative", "negative", "positive", "neutral"]))
        shelf.add(draw(st.integers(1, 25)), about, draw(st.integers(0, 600)), sentiment)
    alerts = {}
    for _ in range(draw(st.integers(1, 8))):
        closes = draw(st.one_of(st.none(), st.integers(1, 300)))
        minute = 5 * draw(st.integers(1, 150))
        each = opening(
            shelf,
            draw(st.sampled_from(names)),
            minute,
            draw(st.sampled_from(["negative", "share", "positive", "volume"])),
            hours=draw(st.sampled_from([0.25, 1, 6])),
            closed=None if closes is None else minute + closes,
        )
        alerts[each.alert] = each
    return shelf, sorted(alerts.values(), key=lambda each: each.order)


def incidents(groups: list[Group]) -> dict[UUID, UUID]:
    return {member.alert: group.id for group in groups for member in group.members}


@given(histories(), st.lists(st.integers(0, 8), max_size=4), st.integers(0, 99))
def test_cuts_and_order_change_nothing(history: tuple[Shelf, list[Opening]], cuts: list[int], seed: int) -> None:
    shelf, alerts = history
    whole = place(alerts, [], shelf)
    shuffled = list(alerts)
    random.Random(seed).shuffle(shuffled)
    assert incidents(place(shuffled, [], shelf)) == incidents(whole)
    groups: list[Group] = []
    for first, last in zip([0, *sorted(cuts)], [*sorted(cuts), len(alerts)], strict=True):
        random.Random(seed).shuffle(groups)
        groups = place(alerts[first:last], groups, shelf)
    assert incidents(groups) == incidents(whole)
    end = MONDAY + timedelta(days=1)
    named = {group.id: leader(group, end, shelf).alert for group in whole}
    assert {group.id: leader(group, end, shelf).alert for group in groups} == named


@given(histories(), st.integers(0, 8))
def test_what_comes_later_moves_no_alert(history: tuple[Shelf, list[Opening]], known: int) -> None:
    """Neither later alerts, nor stories that come after an alert opened, change which incident it is in."""
    shelf, alerts = history
    earlier = alerts[:known]
    if not earlier:
        return
    last = earlier[-1].opened_at
    then = Shelf()
    then.rows = [row for row in shelf.rows if row[3] < last]
    without = place(earlier, [], then)
    later = incidents(place(alerts, [], shelf))
    assert incidents(without) == {alert: later[alert] for alert in incidents(without)}


@given(histories())
def test_directions_never_mix(history: tuple[Shelf, list[Opening]]) -> None:
    shelf, alerts = history
    for group in place(alerts, [], shelf):
        signals = {member.signal for member in group.members}
        assert not ("positive" in signals and signals & {"negative", "share"})
        assert [member.order for member in group.members] == sorted(member.order for member in group.members)
