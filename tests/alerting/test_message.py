"""Text for people: what a feed wrote is harmless in every messenger."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.delivery.message import fields_of, link_of
from alerting.delivery.plain_text import MOST_CHARACTERS, address, plain
from tests.alerting.delivery_desk import document

_LIVE = re.compile(r"[<>`\x00-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069]|@(?!\u200b)|\]\(")


@given(st.text(alphabet=st.one_of(st.sampled_from("<>@`[]()!\n\r\t\u202e\u2066 a"), st.characters())))
def test_nothing_that_a_messenger_acts_on_is_left_in_plain_text(text: str) -> None:
    shown = plain(text)
    assert not _LIVE.search(shown)
    assert len(shown) <= 2 * MOST_CHARACTERS


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bank <!channel> fails", "Bank ‹!channel› fails"),
        ("@everyone sell", "@\u200beveryone sell"),
        ("[here](http://evil.test)", "[here]\u200b(http://evil.test)"),
        ("a\r\nBcc: b", "a Bcc: b"),
        ("AT&T up 5% | S&P", "AT&T up 5% | S&P"),
        ("Börse: 万科", "Börse: 万科"),
        ("x" * 400, "x" * 299 + "…"),
        (None, "None"),
    ],
)
def test_text_is_kept_but_for_that(text: object, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("https://news.test/a?b=1&c=%20#d", "https://news.test/a?b=1&c=%20#d"),
        ("https://news.test/a)|<b>*", "https://news.test/a%29%7C%3Cb%3E%2A"),
        ("https://user:password@news.test/", ""),
        ("javascript:alert(1)", ""),
        ("https://news.test/a\nb", ""),
        ("http://[", ""),
        ("https://", ""),
        ("", ""),
    ],
)
def test_an_address_is_a_web_address_without_markup_or_it_is_none(written: str, shown: str) -> None:
    assert address(written) == shown


def test_the_link_is_the_template_s_page_or_the_first_story() -> None:
    delivered = document(series="topic=Fed | Central Banks")
    assert link_of(delivered, "https://desk.test/$kind/$name?i=$incident") == (
        f"https://desk.test/topic/Fed%20%7C%20Central%20Banks?i={delivered['incident']}"
    )
    assert link_of(delivered, "") == "https://news.test/a?b=1"
    assert link_of(document(evidence={}), "") == ""


def test_fields_of_a_document_are_texts_and_those_of_templates_are_no_templates() -> None:
    fields = fields_of(document(sentence="$name costs 5 $", reach=1_234_567), "")
    assert fields["sentence"] == "$name costs 5 $"
    assert fields["reach"] == "1234567"
    assert fields["opened_at"] == "2026-07-01 14:05"
    assert fields["words"] == "fails, run"
    assert fields["stories"] == "- Bank fails (Wire)\n  https://news.test/a?b=1"
