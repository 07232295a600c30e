"""Values of foreign Kafka records."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UndecodableMessage
from ingest.record_values import read_record

RECORD = {"id": "7", "text": "The mill is up"}
JSON = json.dumps(RECORD).encode()


@pytest.mark.parametrize(
    "value",
    [
        JSON,
        b"\xef\xbb\xbf" + JSON,
        JSON.decode().encode("utf-16"),
        b"\x00\x00\x00\x00\x03" + JSON,
        b"\x00\x00\x00\x00\x03 \n" + JSON,
        b"\x00" + bytes(8) + JSON,
        b"\x01" + bytes(range(16)) + JSON,
        b"\x03\x00" + bytes(range(16)) + JSON,
        gzip.compress(JSON),
        b"\x00\x00\x00\x00\x03" + JSON.replace(b"}", b', "n": NaN}'),
    ],
)
def test_frames_marks_and_packing_are_taken_off(value: bytes) -> None:
    assert {name: text for name, text in read_record(value).items() if name != "n"} == RECORD


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"", "empty"),
        (b"\x00\x00\x00\x01\x02\x0e7\x1cThe mill is up", r"schema-registry frame \(schema id 258\).*Avro or Protobuf"),
        (b"\x01" + bytes(20), "schema GUID"),
        (b"\x03\x00" + bytes(20), "Glue"),
        (b"[1]", "JSON list"),
        (b"{oops", "not readable as JSON"),
        (b"null", "JSON NoneType"),
        (gzip.compress(b"0" * 2_000_000), "unpacks to more than"),
        (b"\x1f\x8bnonsense", "gzip"),
    ],
)
def test_what_is_no_object_is_named(value: bytes, said: str) -> None:
    with pytest.raises(UndecodableMessage, match=said):
        read_record(value)


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=40).map(lambda tail: b"\x00\x00\x00\x00\x01{" + tail)))
def test_any_bytes_are_an_object_or_named(value: bytes) -> None:
    with suppress(UndecodableMessage):
        assert isinstance(read_record(value), dict)
