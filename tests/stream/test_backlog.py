"""A worker's memory is bounded in bytes, whatever the size of the records."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from mode.utils.queues import FlowControlEvent

from stream.backlog import MAX_WAITING_BYTES, Backlog
from stream.faust_app import ByteQueue


def event(size: int) -> Any:
    return SimpleNamespace(message=SimpleNamespace(key=None, value=b"x" * size))


def test_records_wait_for_room() -> None:
    async def scenario() -> None:
        backlog = Backlog(max_bytes=100)
        await backlog.take(60)
        await backlog.take(40)
        third = asyncio.create_task(backlog.take(10))
        await asyncio.sleep(0.01)
        assert not third.done()
        backlog.release(1, 60)
        await third
        assert (backlog.records, backlog.bytes) == (2, 50)

    asyncio.run(scenario())


def test_a_record_larger_than_the_bound_passes_alone() -> None:
    async def scenario() -> None:
        backlog = Backlog(max_bytes=100)
        await backlog.take(1_000)
        second = asyncio.create_task(backlog.take(1))
        await asyncio.sleep(0.01)
        assert not second.done()
        backlog.release(1, 1_000)
        await second

    asyncio.run(scenario())


def test_a_queue_is_full_by_bytes_and_empty_again() -> None:
    async def scenario() -> None:
        flow = FlowControlEvent(initially_suspended=False)
        flow.resume()
        queue = ByteQueue(maxsize=4096, flow_control=flow, clear_on_resume=True)
        size = 900_000
        count = -(-MAX_WAITING_BYTES // size)
        for number in range(count):
            assert not queue.full(), number
            await queue.put(event(size))
        assert queue.full()
        put = asyncio.create_task(queue.put(event(size)))
        await asyncio.sleep(0.01)
        assert not put.done()
        await queue.get()
        await put
        assert queue.qsize() == count
        queue.clear()
        assert not queue.full()
        await queue.put(event(1))
        assert (await queue.get()).message.value == b"x"

    asyncio.run(scenario())
