from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UndecodableMessage
from core.metrics import source_label
from core.records import Message, decode, encode
from core.sources import source_key, source_name, source_slug
from core.store.trends import parse_series

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def message(source: str) -> Message:
    return Message(id="1", source=source, kind="news", published_at=NOW, received_at=NOW, text="Acme fell")


@pytest.mark.parametrize(
    "name",
    [
        "财经日报",
        "Barker's",
        "S&P Regional",
        "Börse Online",
        "Il Sole",
        "Рынок 24",
        "أخبار",
        "A/B=C",
        "📈 Ticks",
        "(a)",
    ],
)
def test_a_source_is_called_what_it_is_called(name: str) -> None:
    assert source_name(name) == name
    assert decode(encode(message(name))).source == name
    assert parse_series(f"source={name}") == ("source", source_key(name))


def test_names_are_folded_and_freed_of_what_cannot_be_seen() -> None:
    assert source_name("  Wall \t Street\u00a0Wire\n") == "Wall Street Wire"
    assert source_name("Bo\u0308rse") == "Börse"
    assert source_name("a\u202eb\x00c\u2066d\ufeff\u200be\x1b") == "abcde"
    for bad in ("", " ", "\u200d", "\u202e\u2066", "x" * 65, "x" * 10_000, 7, None, ["a"]):
        with pytest.raises(UndecodableMessage, match="`source`"):
            source_name(bad)


def test_spellings_of_one_name_are_one_source_and_old_names_keep_their_identity() -> None:
    assert {source_key(name) for name in ("Wall Street", "wall-street", "WALL  STREET")} == {"wall-street"}
    assert message("Newswire").uid == message("newswire").uid
    assert message("Wall Street").uid == message("wall-street").uid
    assert str(message("wire").uid) == "8a2a5402-9e6a-53cb-9758-29c737d1d701"
    assert message("财经日报").uid != message("财经").uid


def test_metrics_show_a_source_once_as_it_was_written_first() -> None:
    assert [source_label(name) for name in ("Börse Süd", "börse-süd", "BÖRSE SÜD")] == ["Börse Süd"] * 3


@given(st.text(min_size=1, max_size=70))
def test_any_name_has_a_key_and_a_plain_slug(raw: str) -> None:
    try:
        name = source_name(raw)
    except UndecodableMessage:
        return
    assert source_name(name) == name
    assert source_key(source_key(name)) == source_key(name)
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", source_slug(name))
    assert source_slug(source_key(name)) == source_slug(name)


def test_slugs_are_the_names_where_they_are_plain_and_differ_where_letters_are_lost() -> None:
    assert source_slug("Wall Street") == "wall-street"
    assert source_slug("S&P Regional").startswith("s-p-regional-")
    slugs = {source_slug(name) for name in ("财经日报", "财经", "S&P", "S+P", "S P", "..", "../etc", "ß")}
    assert len(slugs) == 8
