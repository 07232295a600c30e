from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from core.fitting import SENTIMENTS
from stream.series import COLUMNS, OUTCOMES, Counted, First, StorySeries, count, millionths, minute_of, series_of

START = datetime(2025, 3, 7, tzinfo=UTC)
SPAM, NEWS = UUID(int=1), UUID(int=2)


scores = st.tuples(*[st.integers(0, 10**6)] * 3)
own = st.tuples(st.sampled_from(SENTIMENTS), scores)


@st.composite
def messages(draw: st.DrawFn) -> list[Counted]:
    found = []
    for number in range(draw(st.integers(1, 25))):
        entities = draw(st.lists(st.sampled_from(["A", "B"]), unique=True))
        outcome = draw(st.sampled_from(OUTCOMES))
        read = outcome != "unread"
        found.append(
            Counted(
                uid=UUID(int=number),
                story=draw(st.sampled_from([SPAM, NEWS, UUID(int=3)])),
                published_at=START + timedelta(seconds=draw(st.integers(0, 400))),
                series=series_of("wire", draw(st.sampled_from(["Earnings", "IPO"])) if read else None, entities),
                sentiment=outcome,
                millionths=draw(scores) if read else (0, 0, 0),
                towards=draw(st.dictionaries(st.sampled_from(entities), own)) if read and entities else {},
            )
        )
    return found


def add_up(batches: list[list[Counted]]) -> dict[object, list[int]]:
    """What the store holds after these batches: cells that sum to zero everywhere are as good as absent."""
    total: dict[object, list[int]] = {}
    known: dict[StorySeries, First] = {}
    for batch in batches:
        changes, firsts, _ = count(batch, known)
        known |= firsts
        for cell, counts in changes.rows():
            mine = total.setdefault(cell, [0] * len(COLUMNS))
            mine[:] = [a + b for a, b in zip(mine, counts, strict=True)]
    return {cell: counts for cell, counts in total.items() if any(counts)}


@given(messages(), st.randoms(use_true_random=False))
def test_order_and_batching_change_nothing(found: list[Counted], chance: random.Random) -> None:
    shuffled = chance.sample(found, len(found))
    cut = chance.randrange(len(found) + 1)
    assert add_up([found]) == add_up([shuffled[:cut], shuffled[cut:]]) == add_up([[one] for one in shuffled])


@given(messages())
def test_counts_are_those_of_a_plain_recount(found: list[Counted]) -> None:
    cells = add_up([found])
    assert sum(sum(counts[:4]) for (kind, *_), counts in cells.items() if kind == "all") == len(found)  # type: ignore[misc]
    told = {(series, message.story) for message in found for series in message.series}
    assert sum(sum(counts[4:8]) for counts in cells.values()) == len(told)
    for (kind, name, minute), counts in cells.items():  # type: ignore[misc]
        inside = [m for m in found if (kind, name) in m.series and minute_of(m.published_at) == minute]
        # A company with a sentiment of its own counts with that one, in its own series alone.
        said = [
            m.towards[name] if kind == "entity" and name in m.towards else (m.sentiment, m.millionths) for m in inside
        ]
        assert counts[:4] == [sum(sentiment == outcome for sentiment, _ in said) for outcome in OUTCOMES]
        assert counts[8:] == [sum(millionths[i] for _, millionths in said) for i in range(3)]


def test_an_earlier_message_that_comes_later_moves_the_story() -> None:
    series = series_of("wire", "IPO", [])
    late = Counted(UUID(int=9), NEWS, START + timedelta(minutes=5), series, "positive", (0, 0, 1))
    early = Counted(UUID(int=8), NEWS, START, series, "negative", (1, 0, 0))
    cells = add_up([[late], [early]])
    assert cells["all", "all", START][4:8] == [1, 0, 0, 0]
    assert cells["all", "all", START + timedelta(minutes=5)][4:8] == [0, 0, 0, 0]


def test_rows_come_in_one_order_for_all_workers() -> None:
    series = series_of("wire", "IPO", ["B", "A"])
    changes, _, _ = count([Counted(UUID(int=1), NEWS, START, series, "neutral", (0, 1, 0))], {})
    cells = [cell for cell, _ in changes.rows()]
    assert cells == sorted(cells)
    assert len(cells) == 5


def test_probabilities_become_whole_millionths() -> None:
    assert millionths([0.25, 0.5, 0.25]) == (250_000, 500_000, 250_000)


@given(messages(), st.randoms(use_true_random=False))
def test_moved_messages_are_counted_where_they_are_now(found: list[Counted], chance: random.Random) -> None:
    """Some messages change their story; the trends must be those of a store that had them there at once."""
    changed = {message.uid for message in found if message.story == SPAM and chance.random() < 0.5}
    now = [replace(message, story=NEWS) if message.uid in changed else message for message in found]
    old, new = now[: len(now) // 2], now[len(now) // 2 :]
    changes, known, _ = count(found[: len(old)], {})
    recounted = {key: first for key, first in firsts_of(now).items() if key[0] in (SPAM, NEWS)}
    later, firsts, gone = count(new, known, {SPAM, NEWS}, recounted)
    assert {key: first for key, first in (known | firsts).items() if key not in gone} == firsts_of(now)
    total = {cell: list(counts) for cell, counts in changes.rows()}
    for cell, counts in later.rows():
        total[cell] = [a + b for a, b in zip(total.get(cell, [0] * len(COLUMNS)), counts, strict=True)]
    assert {cell: counts for cell, counts in total.items() if any(counts)} == add_up([now])


def firsts_of(found: list[Counted]) -> dict[StorySeries, First]:
    return count(found, {})[1]
