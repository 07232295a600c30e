from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UndecodableMessage
from core.records import MAX_ENTITIES
from ingest.entity_names import clean_entities

members = st.sampled_from(["ticker", "name", "code", "exchange", "x", "AAPL"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(members, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize(
    ("given_value", "names"),
    [
        ("$KO, pep;V|ko", ["KO", "PEP", "V"]),
        ("$KO $PEP", ["KO", "PEP"]),
        ("600519.SH 0700.HK", ["600519.SH", "0700.HK"]),
        ("Apple Inc", ["APPLE INC"]),
        ("Apple Inc, Ford Motor Co", ["APPLE INC", "FORD MOTOR CO"]),
        ("Amazon.com, Inc.", ["AMAZON.COM"]),
        ("Lowe's, Macy's", ["LOWE'S", "MACY'S"]),
        ("贵州茅台、腾讯控股，京东", ["贵州茅台", "腾讯控股", "京东"]),
        ("NASDAQ:KO,NYSE: V", ["NASDAQ:KO", "NYSE: V"]),
        ('["KO", "BRK.B"]', ["KO", "BRK.B"]),
        ("['KO', 'BRK.B']", ["KO", "BRK.B"]),
        ("{KO,V}", ["KO", "V"]),
        ('[{"ticker": "KO"}]', ["KO"]),
        ("N/A", []),
        ("", []),
        ({"ticker": "KO", "name": "Coca-Cola"}, ["KO"]),
        ({"Ticker": "ko"}, ["KO"]),
        ([{"symbol": "BRK.B"}, "V", {"name": "Apple Inc"}, None, 7], ["BRK.B", "V", "APPLE INC"]),
        ({"code": "700", "exchange": "HKEX"}, ["HKEX:700"]),
        ({"code": 600519, "exchange": "SSE"}, ["SSE:600519"]),
        ({"code": "0700.HK", "exchange": "HKEX"}, ["0700.HK"]),
        ({"name": "V", "exchange": "NYSE"}, ["NYSE:V"]),
        ({"ticker": None, "name": "Visa Inc."}, ["VISA INC."]),
        ({"symbol": "N/A", "company_name": "Visa Inc."}, ["VISA INC."]),
        ({"text": "Boeing", "type": "ORG"}, ["BOEING"]),
        ({"entity": {"ticker": "KO"}}, ["KO"]),
        ({"tickers": ["KO", {"symbol": "V"}]}, ["KO", "V"]),
        ({"KO": 0.9, "V": {"score": 0.1}}, ["KO", "V"]),
        ({"score": 0.9}, []),
        ([], []),
    ],
)
def test_entities_in_any_shape(given_value: Any, names: list[str]) -> None:
    assert clean_entities(given_value) == names


@pytest.mark.parametrize("wrong", [7, True, 1.5, [1, 2], [[1]]])
def test_what_names_nothing_is_refused(wrong: Any) -> None:
    with pytest.raises(UndecodableMessage, match="entities"):
        clean_entities(wrong)


@given(json_values)
def test_any_value_gives_bounded_names_or_is_refused(value: Any) -> None:
    try:
        names = clean_entities(value)
    except UndecodableMessage:
        return
    assert len(names) <= MAX_ENTITIES
    assert all(0 < len(name) <= 64 and name == name.upper() for name in names)


def test_deep_and_long_values_are_bounded() -> None:
    deep: Any = "KO"
    for _ in range(500):
        deep = [deep]
    with pytest.raises(UndecodableMessage):
        clean_entities(deep)
    assert len(clean_entities([{"ticker": f"T{i}"} for i in range(5_000)])) == MAX_ENTITIES
    assert clean_entities("[" * 100_000) == []
