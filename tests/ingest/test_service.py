"""The parts of the ingest process beside each other."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from core.errors import InputError
from core.health import Beat
from core.settings import Settings
from ingest import service
from ingest.feeds import Feed
from ingest.feeds_file import FeedsFile


def test_a_part_that_fails_lets_the_others_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    delivered = []

    async def failing(*_: Any) -> None:
        raise InputError("the port is taken")

    async def failing_later(_settings: Any, _producer: Any, _sources: Any, stop: asyncio.Event) -> None:
        await stop.wait()
        raise InputError("gone, too")

    async def delivering(_settings: Any, _producer: Any, stop: asyncio.Event) -> None:
        await stop.wait()
        await asyncio.sleep(0.3)
        delivered.append("what was under way")

    monkeypatch.setattr(service, "poll_feeds", failing)
    monkeypatch.setattr(service, "run_sources", failing_later)
    monkeypatch.setattr(service, "serve_push", delivering)
    listed = FeedsFile([Feed("a", "https://e.example")], [object()])  # type: ignore[list-item]
    with pytest.raises(InputError, match="the port is taken"):
        asyncio.run(service._run(Settings(), None, listed, True, threading.Event(), Beat()))  # type: ignore[arg-type]
    assert delivered == ["what was under way"]
