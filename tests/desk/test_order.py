"""The order of the queue, which depends on stories alone."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from core.story_shares import is_for_evaluation
from desk.labelling.order import REASONS, TURNS, UNCERTAIN, Candidate, Ranking, is_for_second, margin

SHARE = 0.2
SPACE = UUID(int=42)
stories = st.integers(0, 400).map(lambda number: uuid5(SPACE, str(number)))
candidates = st.builds(
    Candidate,
    story=stories,
    uid=st.uuids(),
    source=st.sampled_from(["wire", "post"]),
    reach=st.integers(1, 9),
    margins=st.dictionaries(st.sampled_from(["sentiment", "topic"]), st.floats(0, 1)),
    disagrees=st.frozensets(st.sampled_from(["sentiment", "topic"])),
    alerting=st.booleans(),
    labelled=st.frozensets(st.sampled_from(["sentiment", "topic"])),
)
pools = st.lists(candidates, max_size=40, unique_by=lambda one: one.story)
tasks = st.none() | st.sampled_from(["sentiment", "topic"])


@given(pools, tasks, st.integers(0, 9))
def test_each_story_without_a_label_comes_once(pool: list[Candidate], task: str | None, turn: int) -> None:
    chosen = [choice.story for choice in Ranking(pool).in_turns(SHARE, task=task, turn=turn)]
    lacking = {one.story for one in pool if (task not in one.labelled if task else not one.labelled)}
    assert len(chosen) == len(set(chosen))
    assert set(chosen) == lacking


@given(pools, tasks)
def test_the_reason_holds(pool: list[Candidate], task: str | None) -> None:
    by_story = {one.story: one for one in pool}
    for choice in Ranking(pool).in_turns(SHARE, task=task):
        one = by_story[choice.story]
        doubts = [value for name, value in one.margins.items() if task in (None, name)]
        holds = {
            "uncertain": min(doubts, default=1) < UNCERTAIN,
            "disagreement": bool(one.disagrees & ({task} if task else {"sentiment", "topic"})),
            "impact": one.alerting or one.reach > 1,
            "random": True,
        }
        assert holds[choice.reason]
        assert choice.reason == "random" or not is_for_evaluation(choice.story, SHARE)


@given(pools, st.randoms())
def test_the_order_does_not_depend_on_that_of_the_store(pool: list[Candidate], random: object) -> None:
    shuffled = list(pool)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert list(Ranking(pool).in_turns(SHARE)) == list(Ranking(shuffled).in_turns(SHARE))


def test_alerts_come_before_reach_and_doubt_before_certainty() -> None:
    pool = [
        Candidate(uuid5(SPACE, str(number)), UUID(int=number), "wire", reach, {"topic": doubt}, alerting=alerting)
        for number, (reach, doubt, alerting) in enumerate(
            [(50, 0.9, False), (1, 0.9, True), (9, 0.9, False), (1, 0.3, False), (1, 0.1, False)]
        )
    ]
    found = [choice.story for choice in Ranking(pool).in_turns(0.0)]
    places = [found.index(one.story) for one in pool]
    assert places[1] < places[0] < places[2]
    assert places[4] < places[3]


def test_no_reason_starves_the_others() -> None:
    pool = [
        Candidate(
            uuid5(SPACE, str(number)),
            UUID(int=number),
            "wire",
            1 + number % 2,
            {"topic": 0.1 if number % 3 else 0.9},
            frozenset({"topic"} if number % 5 == 0 else ()),
        )
        for number in range(1000)
    ]
    reasons = Counter(choice.reason for choice in islice(Ranking(pool).in_turns(SHARE), 100))
    assert reasons == {reason: 100 * TURNS.count(reason) / len(TURNS) for reason in REASONS}


def test_shares_are_of_all_stories_and_apart_from_each_other() -> None:
    every = [uuid5(SPACE, str(number)) for number in range(20_000)]
    evaluated = {story for story in every if is_for_evaluation(story, 0.05)}
    twice = {story for story in every if is_for_second(story, 0.1)}
    assert 900 < len(evaluated) < 1100
    assert 1850 < len(twice) < 2150
    assert 60 < len(evaluated & twice) < 140
    assert evaluated <= {story for story in every if is_for_evaluation(story, 0.06)}


@given(st.lists(st.floats(0, 1), max_size=6))
def test_a_margin_is_between_the_best_two(scores: list[float]) -> None:
    found = margin(scores)
    if len(scores) < 2:
        assert found is None
    else:
        best, second = sorted(scores, reverse=True)[:2]
        assert found == best - second
