from __future__ import annotations

import pytest

from core.errors import InputError, UndecodableMessage
from ingest.mapping import IDENTITY, parse_map
from ingest.transform import transform


def test_columns_paths_constants_and_the_rest() -> None:
    fields = parse_map(["id=id,text=payload.body", "source=@reuters,extra.lang=meta.0.lang,extra=*"])
    record = {"id": 1, "payload": {"body": "b"}, "meta": [{"lang": "en"}], "likes": 3}
    assert fields.apply(record) == {"id": 1, "text": "b", "source": "reuters", "extra": {"lang": "en", "likes": 3}}


def test_unmapped_columns_are_dropped_unless_asked_for() -> None:
    assert parse_map("text=t").apply({"t": "x", "other": 1}) == {"text": "x"}


def test_a_column_with_a_dot_in_its_own_name_wins() -> None:
    assert parse_map("text=a.b").apply({"a.b": "own", "a": {"b": "nested"}}) == {"text": "own"}


def test_no_map_takes_newstides_own_names() -> None:
    assert parse_map(()) is IDENTITY
    assert IDENTITY.apply({"id": "1", "text": "x", "extra": {"a": 1}, "foo": 2}) == {
        "id": "1",
        "text": "x",
        "extra": {"a": 1},
    }


@pytest.mark.parametrize(
    ("specification", "said"),
    [
        ("txt=body", "did you mean `text`"),
        ("text", "field=column"),
        ("=x", "field=column"),
        ("text=", "field=column"),
        ("text=a,text=b", "twice"),
        ("extra.=a", "no field"),
    ],
)
def test_bad_maps_are_refused(specification: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_map(specification)


def test_a_missing_column_is_named_with_the_nearest() -> None:
    fields = parse_map("text=text,published_at=tss")
    with pytest.raises(InputError, match=r"no column `tss`.*did you mean `ts`.*columns seen: `text`, `ts`"):
        fields.check([{"text": "x", "ts": 1}], "f.jsonl")
    with pytest.raises(InputError, match=r"did you mean `payload.body`"):
        parse_map("text=payload.bodi").check([{"payload": {"body": 1}}], "f.jsonl")


def test_a_column_may_be_missing_if_marked_or_in_some_records() -> None:
    parse_map("text=text,author=user?").check([{"text": "x"}], "f")
    parse_map("text=text,author=user").check([{"text": "x"}, {"text": "y", "user": "u"}], "f")
    parse_map("text=anything").check([], "f")


def test_a_map_without_text_is_refused() -> None:
    with pytest.raises(InputError, match="neither `text` nor `title`"):
        IDENTITY.check([{"body": "x"}], "f.jsonl")


def test_a_record_without_the_mapped_column_says_what_it_has() -> None:
    with pytest.raises(UndecodableMessage, match=r"no column `payload.body` in this record, which has `headline`"):
        transform({"headline": "x"}, parse_map("text=payload.body"), source="wire")
