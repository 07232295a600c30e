from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError, UndecodableMessage
from core.language import language_of
from core.records import (
    ID_DERIVED,
    MAX_ENCODED_BYTES,
    MAX_TEXT_CHARACTERS,
    MAX_TITLE_CHARACTERS,
    TIME_ASSUMED,
    TIME_CLAMPED,
    TRUNCATED,
    Message,
    decode,
    encode,
)
from ingest.batches import read_batch
from ingest.cleaning import clean_entities, clean_message
from ingest.mapping import IDENTITY, TARGETS, parse_map
from ingest.times import parse_time
from ingest.transform import transform

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)

TEXTS = st.text(st.characters(codec=None), max_size=80)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(10**400), max_value=10**400),
    st.floats(),
    TEXTS,
    st.sampled_from(["\x00", "\ud800", "<b>x</b>", "&amp;lt;", "0000-01-01", "9999-12-31T23:59:59Z", "a" * 30_000]),
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)
FIELDS = st.dictionaries(st.sampled_from([*TARGETS, "extra"]), JSON, max_size=8)


def cleaned(**fields: Any) -> Message:
    return clean_message({"id": "1", "text": "Shares of Acme fell", **fields}, source="wire", received_at=NOW)


@settings(max_examples=200, deadline=None)
@given(FIELDS)
def test_any_fields_give_a_storable_message_or_a_reason(fields: dict[str, Any]) -> None:
    try:
        message = clean_message(fields, source="wire")
    except UndecodableMessage:
        return
    value = encode(message)
    assert len(value) <= MAX_ENCODED_BYTES
    assert decode(value) == message


@settings(max_examples=100, deadline=None)
@given(JSON.filter(lambda value: isinstance(value, dict)))
def test_any_record_goes_through_any_map(record: dict[str, Any]) -> None:
    for fields in (IDENTITY, parse_map("text=a.b,title=0,extra=*,extra.x=c")):
        try:
            message = transform(record, fields, source="wire")
        except UndecodableMessage:
            continue
        assert decode(encode(message)) == message


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_body_is_read_or_refused_with_a_reason(body: bytes, lines: bool) -> None:
    try:
        messages, rejected = read_batch(body, lines=lines)
    except InputError:
        return
    assert messages or rejected
    assert all(item.reason for item in rejected)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_times_are_utc_or_none(value: Any) -> None:
    moment = parse_time(value)
    assert moment is None or moment.utcoffset() == timedelta(0)


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_language_is_a_code_or_empty(text: str) -> None:
    assert len(language_of(text)) in (0, 2)


def test_html_is_unescaped_and_stripped() -> None:
    body = "<p>Profit&nbsp;fell</p><script>alert(1)</script> <b>sharply</b>\x00\u200b"
    message = cleaned(title="A &amp;amp; B", text=body)
    assert message.title == "A & B"
    assert message.text == "Profit fell sharply"


def test_urls_are_normalised_and_only_web_addresses_are_kept() -> None:
    message = cleaned(text="See HTTPS://Example.COM/Path.", url="HTTPS://Example.COM/A")
    assert message.text == "See https://example.com/Path."
    assert message.url == "https://example.com/A"
    for hostile in (
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "https://x y",
        "http://" + "a" * 3000,
    ):
        assert cleaned(url=hostile).url == ""


def test_over_long_text_is_truncated_and_marked() -> None:
    message = cleaned(text="word " * 2_000_000, title="t" * 5_000)
    assert len(message.text) <= MAX_TEXT_CHARACTERS
    assert len(message.title) == MAX_TITLE_CHARACTERS
    assert message.marks == [TRUNCATED, TIME_ASSUMED]


@pytest.mark.parametrize(
    "absurd", [None, "", "soon", "0000-01-01", "9999-12-31T23:59:59Z", -(10**30), True, [], "1970-01-01"]
)
def test_absurd_times_fall_back_to_receipt(absurd: Any) -> None:
    message = cleaned(published_at=absurd)
    assert message.published_at == message.received_at == NOW
    assert message.marks[-1] in (TIME_ASSUMED, TIME_CLAMPED)


def test_a_time_ahead_of_receipt_is_clamped() -> None:
    message = cleaned(published_at="2024-05-01T13:00:00Z")
    assert message.published_at == NOW
    assert message.marks == [TIME_CLAMPED]


@pytest.mark.parametrize(
    "written",
    [
        "2014-01-02T03:04:05Z",
        "2014-01-02 03:04:05",
        "2014-01-02T05:04:05+02:00",
        "Thu, 02 Jan 2014 03:04:05 GMT",
        "Wed, 01 Jan 2014 22:04:05 EST",
        "02 Jan 2014 03:04:05 +0000",
        "Jan 2, 2014 3:04:05 AM",
        1388631845,
        "1388631845",
        1388631845000,
        "1388631845000",
        1388631845000000,
        1388631845.0,
        datetime(2014, 1, 2, 3, 4, 5),
    ],
)
def test_times_as_feeds_write_them(written: Any) -> None:
    assert parse_time(written) == datetime(2014, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("vague", ["May", "12:30", "Thursday", "2 January", "x" * 1000])
def test_half_a_date_is_no_date(vague: str) -> None:
    assert parse_time(vague) is None


def test_entities_from_a_list_or_a_text() -> None:
    assert clean_entities("$AAPL, msft;GOOG|aapl") == ["AAPL", "MSFT", "GOOG"]
    assert clean_entities('["AAPL", "BRK.B"]') == ["AAPL", "BRK.B"]
    assert clean_entities(["$aapl", "Deutsche Bank", "", "x" * 65, None]) == ["AAPL", "DEUTSCHE BANK"]
    assert len(clean_entities([f"T{i}" for i in range(500)])) == 100
    with pytest.raises(UndecodableMessage, match="entities"):
        clean_entities(7)


def test_identity_is_the_sources_own_or_derived() -> None:
    assert cleaned(id=12).id == "12"
    assert cleaned(id=" a ").id == "a"
    assert len(cleaned(id="x" * 600).id) == 32
    bare = cleaned(id="", text="lol")
    assert (len(bare.id), bare.marks) == (32, [ID_DERIVED, TIME_ASSUMED])
    assert cleaned(id=None, text="lol").id == bare.id
    others = [{"text": "lol!"}, {"title": "So"}, {"published_at": 1388631845}, {"url": "https://e.com/1"}]
    assert len({cleaned(**({"id": "", "text": "lol"} | other)).id for other in others} | {bare.id}) == 5


@pytest.mark.parametrize(
    "junk",
    [
        *(None, "", "  ", "N/A", "#N/A", "nan", "NaN", "null", "None", "undefined", "-", "#REF!"),
        *("1.24E+18", "1,24E+18", "1.24e18", 1.24e18, 1240000000000000000.0, float("nan"), float("inf")),
        *("1240000000000000000.0", "00000000-0000-0000-0000-000000000000"),
    ],
)
def test_values_that_are_no_ids_are_not_believed(junk: Any) -> None:
    one, other = cleaned(id=junk), cleaned(id=junk, text="Shares of Beta rose")
    assert one.id != other.id
    assert ID_DERIVED in one.marks


@pytest.mark.parametrize("id", ["7e12", "12e45678", "0", "1", 10**18, 2**60 + 1, 123.0, "none-such", "a/", "A"])
def test_odd_ids_are_ids(id: Any) -> None:
    assert cleaned(id=id).id == str(int(id) if isinstance(id, float) else id)
    assert ID_DERIVED not in cleaned(id=id).marks


def test_sources_are_checked() -> None:
    assert cleaned(source=" Wall  Street ").source == "Wall Street"
    assert cleaned(source="新闻社").source == "新闻社"
    for bad in ("", " ", "\x00", "x" * 65, 7):
        with pytest.raises(UndecodableMessage, match="source"):
            clean_message({"text": "x", "source": bad})


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"text": 7}, "text"),
        ({"text": None}, "text"),
        ({"text": "<b></b>"}, "text"),
        ({"title": ["x"]}, "title"),
        ({"text": "x", "kind": "rumour"}, "kind"),
        ({"text": "x", "id": {}}, "id"),
        ({"text": "x", "url": 1}, "url"),
        ({"text": "x", "extra": "x"}, "extra"),
        ({"text": "x", "entities": [1]}, "entities"),
    ],
)
def test_what_cannot_be_mended_names_its_field(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(UndecodableMessage, match=named):
        clean_message(fields, source="wire")


def test_extra_is_bounded_and_plain() -> None:
    deep: dict[str, Any] = {}
    deep["deep"] = deep
    message = cleaned(
        extra={"a\x00": "b\x00", "n": float("nan"), "deep": deep, "big": 10**400, "many": list(range(10**4))}
    )
    assert message.extra["a "] == "b "
    assert message.extra["n"] is None
    assert isinstance(message.extra["big"], str)
    assert len(message.extra["many"]) == 100
    wide = cleaned(extra={str(i): "x" * 2_000 for i in range(100)})
    assert len(msgspec.json.encode(wide.extra)) <= 64_000
    assert TRUNCATED in wide.marks


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Shares of the bank fell sharply after the earnings report", "en"),
        ("Die Aktien der Bank sind nach dem Bericht deutlich gefallen", "de"),
        ("Les actions de la banque ont fortement chuté aujourd'hui", "fr"),
        ("Акции банка резко упали после отчёта", "ru"),
        ("ソフトバンク株が急落した", "ja"),
        ("$AAPL $MSFT https://example.com/some/long/path", ""),
        ("ok", ""),
    ],
)
def test_languages(text: str, language: str) -> None:
    assert language_of(text) == language


def test_a_given_language_is_believed() -> None:
    assert cleaned(language="de-AT").language == "de"
    assert cleaned(language="und").language == "en"
