from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.dead_letters import MAX_KEY_BYTES, ORIGIN, REASON, UNKNOWN, dead_letter, read_dead_letter
from core.records import MAX_ENCODED_BYTES
from ingest.producer import MessageProducer
from tests.ingest.ingest_helpers import Topics


def test_a_letter_travels_through_kafka_unchanged(producer: MessageProducer, topics: Topics) -> None:
    letter = dead_letter(b"\x00\xff{", "not ü JSON", origin="feed:x:1", stage="ingest", topic="messages", key=b"\xfe")
    producer.deliver([], [letter], timeout_s=20)
    assert topics.dead_letters(1) == [letter]


def test_a_value_too_large_is_cut_and_says_so() -> None:
    letter = dead_letter(b"x" * 2_000_000, "reason", origin="o", stage="ingest", topic="t")
    assert len(letter.value or b"") == MAX_ENCODED_BYTES
    assert "first 900000 of 2000000 bytes" in letter.reason


def test_a_letter_always_fits_into_a_record(producer: MessageProducer, topics: Topics) -> None:
    big = "\N{GRINNING FACE}" * 100_000
    letters = [
        dead_letter(
            b"v" * 5_000_000, big, origin=big + str(number), stage="ingest", topic=big, key=b"\xff" * 2_000_000,
            context={"map": big, "form": "record"},
        )
        for number in range(2)
    ]  # fmt: skip
    producer.deliver([], letters, timeout_s=20)
    first, second = topics.dead_letters(2)
    assert first.origin != second.origin
    assert first.key == second.key
    assert len(first.key or b"") == MAX_KEY_BYTES
    assert first.reason.strip("\N{GRINNING FACE}").startswith(" (the first 900000")


def test_keys_and_origins_that_begin_alike_stay_apart() -> None:
    keys = {
        dead_letter(b"", "r", origin="o", stage="ingest", topic="t", key=b"k" * 5_000 + end).key for end in (b"1", b"2")
    }
    assert len(keys) == 2


def test_a_foreign_record_can_still_be_listed() -> None:
    letter = read_dead_letter(None, b"x", [])
    assert (letter.origin, letter.reason, letter.stage, letter.topic, letter.at) == (*[UNKNOWN] * 4, None)
    assert read_dead_letter(None, None, [(ORIGIN, b"\xff"), (REASON, b"r" * 10_000)]).reason == "r" * 2_000


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from([ORIGIN, REASON, "newstide-at", "x"]), st.one_of(st.none(), st.binary())),
            st.integers(),
            st.tuples(st.binary(), st.binary()),
        )
    ),
    st.binary(),
)
def test_hostile_headers_never_break_the_reading(headers: list[Any], value: bytes) -> None:
    letter = read_dead_letter(None, value, headers)
    assert letter.origin
    assert letter.reason
    assert read_dead_letter(None, value, letter.headers()).origin == letter.origin
