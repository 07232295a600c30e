from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.text import clean, model_input, normalise_urls, story_form

any_text = st.text(alphabet=st.characters(codec=None), max_size=300)


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("<p>Profit <b>rises</b></p><p>again</p>", "Profit rises again"),
        ("AT&amp;T &lt;b&gt;up&lt;/b&gt;", "AT&T up"),
        ("P&amp;amp;G", "P&G"),
        ("a\x00b\u200bc\u202ed", "abcd"),
        ("cafe\u0301  \n\t open", "café open"),
        ("EPS < 2 and > 1", "EPS < 2 and > 1"),
        ("<script>alert(1)</script>Shares fall", "Shares fall"),
        ("broken \ud800 half", "broken half"),
    ],
)
def test_cleaning(raw: str, plain: str) -> None:
    assert clean(raw) == plain


@given(any_text)
def test_clean_text_can_be_stored_and_sent(raw: str) -> None:
    text = clean(raw)
    assert "\x00" not in text
    text.encode()
    assert text == text.strip()
    assert "  " not in text


@given(any_text)
def test_the_narrower_forms_are_total(raw: str) -> None:
    assert story_form(raw) == story_form(raw).casefold()
    model_input(raw).encode()
    normalise_urls(clean(raw)).encode()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RT @trader: Acme cuts 2,000 jobs http://t.co/a1", "Acme cuts 2,000 jobs https://t.co/zz9"),
        ("ACME CUTS JOBS!", "Acme cuts jobs"),
        ("Acme &amp; Co cuts jobs", "Acme & Co cuts jobs."),
    ],
)
def test_copies_have_the_same_form(one: str, other: str) -> None:
    assert story_form(one) == story_form(other)


def test_figures_and_tickers_count() -> None:
    assert story_form("Target raised to 120") != story_form("Target raised to 130")
    assert story_form("$ACME up") != story_form("$ACMF up")


def test_urls_are_normalised_where_it_is_safe() -> None:
    assert normalise_urls("see HTTPS://Example.COM/Path?Q=1, now") == "see https://example.com/Path?Q=1, now"


def test_the_model_sees_no_urls_and_no_names() -> None:
    assert model_input("@joe look: https://t.co/x $ACME falls") == "@user look: $ACME falls"
