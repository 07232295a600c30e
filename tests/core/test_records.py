from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UndecodableMessage
from core.records import (
    MAX_ENCODED_BYTES,
    MAX_TEXT_CHARACTERS,
    TIME_ASSUMED,
    TIME_CLAMPED,
    Message,
    decode,
    derived_id,
    encode,
    set_times,
)

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def make(**changes: object) -> dict[str, object]:
    fields: dict[str, object] = {
        "id": "1",
        "source": "wire",
        "kind": "news",
        "published_at": "2026-01-31T11:59:00Z",
        "received_at": "2026-01-31T12:00:00Z",
        "text": "Acme warns on profit",
    }
    fields.update(changes)
    return {name: value for name, value in fields.items() if value is not None}


def value_of(**changes: object) -> bytes:
    return msgspec.json.encode(make(**changes))


def test_what_is_encoded_decodes_to_the_same() -> None:
    message = decode(value_of(entities=["ACME"], extra={"deep": {"er": [1, None]}}, title="Acme", marks=["truncated"]))
    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"not json", "not a message"),
        (b"[]", "not a message"),
        (b'\xff{"id":1}', "not a message"),
        (value_of(id=None), "id"),
        (value_of(id=""), "`id`"),
        (value_of(id=7), "id"),
        (value_of(id="x" * 513), "`id`"),
        (value_of(source="\u202e"), "`source`"),
        (value_of(source=""), "`source`"),
        (value_of(kind="rumour"), "kind"),
        (value_of(text=None), "text"),
        (value_of(text=" "), "nothing to classify"),
        (value_of(text="x" * (MAX_TEXT_CHARACTERS + 1)), "ingest truncates"),
        (value_of(text="nul \x00"), "NUL"),
        (value_of(extra={"a": "\x00"}), "NUL"),
        (value_of(entities=[""]), "`entities`"),
        (value_of(entities=["x"] * 101), "`entities`"),
        (value_of(published_at="0000-01-01T00:00:00Z"), "published_at"),
        (value_of(published_at="2026-01-31T11:59:00"), "time zone"),
        (value_of(published_at="yesterday"), "published_at"),
        (value_of(surprise=1), "surprise"),
        (b'{"id":"' + b"x" * MAX_ENCODED_BYTES + b'"}', "bytes"),
        (b"[" * 100_000, "not a message"),
    ],
)
def test_what_cannot_be_processed_says_why(value: bytes | None, reason: str) -> None:
    with pytest.raises(UndecodableMessage, match=reason):
        decode(value)


@given(st.binary(max_size=400))
def test_any_bytes_decode_or_are_refused(value: bytes) -> None:
    try:
        message = decode(value)
    except UndecodableMessage:
        return
    assert decode(encode(message)) == message


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(make(title="", url="", entities=[], extra={}))), json_values)
def test_any_field_of_any_type_decodes_or_is_refused(name: str, value: object) -> None:
    try:
        message = decode(msgspec.json.encode(make(**{name: value})))
    except UndecodableMessage:
        return
    assert message.published_at <= message.received_at
    assert message.published_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("published", "expected", "mark"),
    [
        (None, NOW, TIME_ASSUMED),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), NOW, TIME_ASSUMED),
        (datetime(1971, 1, 1, tzinfo=UTC), NOW, TIME_ASSUMED),
        (datetime(9999, 12, 31, tzinfo=UTC), NOW, TIME_ASSUMED),
        (NOW + timedelta(days=2), NOW, TIME_CLAMPED),
        (NOW - timedelta(days=2), NOW - timedelta(days=2), None),
        (
            datetime(2014, 9, 19, 9, 30, tzinfo=timezone(timedelta(hours=-4))),
            datetime(2014, 9, 19, 13, 30, tzinfo=UTC),
            None,
        ),
    ],
)
def test_times_are_mended_and_marked(published: datetime | None, expected: datetime, mark: str | None) -> None:
    message = Message(id="1", source="s", kind="news", text="t", published_at=NOW, received_at=NOW)
    set_times(message, published, NOW)
    assert message.published_at == expected
    assert message.marks == ([mark] if mark else [])


def test_identity_is_source_and_id() -> None:
    one, same, other = (decode(value_of(**changes)) for changes in ({}, {"text": "other words"}, {"source": "desk"}))
    assert one.uid == same.uid != other.uid
    assert derived_id("a", "b", "c") != derived_id("a", "bc", "")


def test_the_title_stands_once_in_the_body() -> None:
    assert decode(value_of(title="Acme warns", text="Acme warns on profit")).body == "Acme warns on profit"
    assert decode(value_of(title="Profit warning", text="Acme fell")).body == "Profit warning. Acme fell"
