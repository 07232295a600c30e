from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.records import story_key
from core.text import story_form
from stream.stories import Candidate, TextKey, assign, facts, signature, similarity, text_key

AT = datetime(2025, 3, 7, 12, tzinfo=UTC)
WINDOW = timedelta(hours=72)
STORY = "Northmere Bancorp shares tumble after regulators open a probe into its commercial property loans, sources say"


def key_of(text: str, at: datetime = AT, entities: tuple[str, ...] = ()) -> TextKey:
    form = story_form(text)
    return text_key(story_key(form), form, entities, at, text)


def candidates(*texts: TextKey) -> dict[int, Candidate]:
    return {band: Candidate(text.key, text.signature, text.first_at) for text in texts for band in text.bands}


def stories_of(*texts: TextKey, known: dict[int, Candidate] | None = None) -> dict[UUID, UUID]:
    found = assign(texts, known or {}, WINDOW)
    return {leader.key: leader.key for leader in found.leaders} | found.followers


def test_an_edited_copy_joins_its_story() -> None:
    first, copy = key_of(STORY), key_of("Update: " + STORY)
    stories = stories_of(first, copy)
    assert stories[copy.key] == stories[first.key] == first.key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (STORY + " 120 million", STORY + " 130 million"),
        (STORY + " $NMRB", STORY + " $LUMO"),
        (STORY, "Lumora Robotics jumps on its first day of trading as investors scramble for shares in the offering"),
    ],
)
def test_figures_tickers_and_other_words_make_another_story(one: str, other: str) -> None:
    stories = stories_of(key_of(one), key_of(other))
    assert len(set(stories.values())) == 2


def test_another_company_makes_another_story() -> None:
    text = "beats estimates on strong guidance and raises its dividend for the tenth year running"
    stories = stories_of(key_of("Apple " + text, entities=("AAPL",)), key_of("Oracle " + text, entities=("ORCL",)))
    assert len(set(stories.values())) == 2


def test_a_story_of_last_month_is_over() -> None:
    old = key_of(STORY)
    late = key_of("Update: " + STORY, AT + timedelta(days=30))
    assert stories_of(late, known=candidates(old))[late.key] == late.key
    soon = key_of("Update: " + STORY, AT + timedelta(days=2))
    assert stories_of(soon, known=candidates(old))[soon.key] == old.key


def test_short_texts_have_no_near_duplicates() -> None:
    assert key_of("Acme shares fall").bands == ()


VOCABULARY = ("shares", "fall", "on", "weak", "sales", "as", "bank", "warns", "of", "loss", "in", "third", "quarter")
words = st.lists(st.sampled_from(VOCABULARY), min_size=1)


@given(words)
def test_similarity_is_one_with_oneself(chosen: list[str]) -> None:
    mine = signature(" ".join(chosen)).tobytes()
    assert similarity(mine, mine) == 1.0


@given(words, words)
def test_similarity_estimates_the_jaccard_index(one: list[str], other: list[str]) -> None:
    def bigrams(chosen: list[str]) -> set[tuple[str, str]]:
        return set(zip(["", *chosen], [*chosen, ""], strict=True))

    a, b = bigrams(one), bigrams(other)
    true = len(a & b) / len(a | b)
    measured = similarity(signature(" ".join(one)).tobytes(), signature(" ".join(other)).tobytes())
    assert abs(measured - true) < 0.35  # 64 hashes: five standard errors and more


@given(st.lists(words, min_size=1, max_size=12))
def test_every_text_gets_a_story_that_names_itself(texts: list[list[str]]) -> None:
    keys = {key.key: key for key in (key_of(" ".join(chosen)) for chosen in texts)}
    stories = stories_of(*keys.values())
    assert stories.keys() == keys.keys()
    assert all(stories[story] == story for story in stories.values())


def test_facts_are_figures_cashtags_and_companies() -> None:
    assert facts("acme $acme cuts 2000 jobs", ["ACME"]) == "$acme 2000 ACME"
