"""Server-sent events by the letter of the standard, streams in lists, and requests at a distance."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from core.errors import InputError
from ingest.rate_limits import Pacer
from ingest.sources.events import Event, read_events
from ingest.sources.gathering import gathered


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def read(*parts: bytes, most: int = 1000) -> list[Event]:
    async def scene() -> list[Event]:
        return [event async for event in read_events(chunks(*parts), most)]

    return asyncio.run(scene())


STREAM = (
    b'\xef\xbb\xbf:thump\n\nevent: update\ndata: {"a":\ndata:1}\nid: 7\nretry: 5\n\n'
    b"data\r\n\r\nid: \x00\rdata: x\r\runknown: y\n\nevent: lost\n\ndata: unfinished"
)
EVENTS = [Event("update", b'{"a":\n1}', "7"), Event("message", b"", "7"), Event("message", b"x", "7")]


def test_lines_end_in_any_way_wherever_a_chunk_ends() -> None:
    assert read(STREAM) == EVENTS
    for size in (1, 2, 3, 5, 7):
        assert read(*(STREAM[start : start + size] for start in range(0, len(STREAM), size))) == EVENTS, size


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 2_000, b"data: x\n" * 2_000])
def test_an_endless_event_is_refused(stream: bytes) -> None:
    with pytest.raises(InputError, match="more than 1000 bytes"):
        read(*(stream[start : start + 100] for start in range(0, len(stream), 100)))


def test_what_came_before_an_error_is_given_first() -> None:
    async def frames() -> AsyncIterator[bytes]:
        for number in range(5):
            yield b"%d" % number
        raise ValueError("broke off")

    async def scene() -> list[list[bytes]]:
        groups = gathered(frames(), most=3)
        found = [await anext(groups), await anext(groups)]
        with pytest.raises(ValueError, match="broke off"):
            await anext(groups)
        return found

    assert asyncio.run(scene()) == [[b"0", b"1", b"2"], [b"3", b"4"]]


def test_a_lone_frame_does_not_wait_for_others() -> None:
    async def frames() -> AsyncIterator[bytes]:
        yield b"1"
        await asyncio.Event().wait()

    async def scene() -> list[bytes]:
        async with asyncio.timeout(5):
            groups = gathered(frames(), within_s=0.05)
            first = await anext(groups)
            await groups.aclose()
            return first

    assert asyncio.run(scene()) == [b"1"]


def test_requests_to_one_host_keep_their_distance_whoever_sends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    own, wait = threading.get_ident(), asyncio.sleep

    async def sleep(seconds: float, result: object = None) -> object:
        if threading.get_ident() != own:  # a thread that other tests left has a loop of its own
            return await wait(seconds, result)
        slept.append(seconds)
        return result

    async def scene() -> None:
        pacer = Pacer()
        for _ in range(3):
            await pacer.wait("www.sec.gov", 10.0)
        await pacer.wait("other.example", 10.0)
        pacer.hold("other.example", 500.0)
        assert 29 < pacer.held("www.sec.gov") <= 30
        assert 499 < pacer.held("other.example") <= 500
        assert pacer.held("third.example") == 0

    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(scene())
    assert [round(seconds) for seconds in slept] == [10, 20]
