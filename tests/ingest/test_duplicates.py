from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.records import Message
from ingest import duplicates
from ingest.cleaning import clean_message
from ingest.duplicates import Duplicates

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def message(number: int, text: str = "the mill") -> Message:
    return clean_message({"id": number, "text": text}, source="desk", received_at=NOW)


def test_repeated_ids_are_counted_by_their_content() -> None:
    seen = Duplicates()
    for number in range(10_000):
        seen.see(message(number))
    assert (seen.same, seen.changed) == (0, 0)
    for number in (3, 9_999, 3):
        seen.see(message(number))
    seen.see(message(4, "the quarry"))
    assert (seen.same, seen.changed) == (3, 1)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST_REMEMBERED", 2_048)
    seen = Duplicates()
    for number in range(20_000):
        seen.see(message(number))
    assert len(seen._ids) == 4_096
    seen.see(message(19_999))
    assert (seen.same, seen.changed) == (1, 0)
