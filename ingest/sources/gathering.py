"""What a stream sends one by one, in lists that are worth a round trip to Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol, TypeVar


class Sized(Protocol):
    def __len__(self) -> int: ...


T = TypeVar("T", bound=Sized)

MOST = 500
MOST_BYTES = 4_000_000
WITHIN_S = 0.5
_QUEUED = 50  # the rest waits in the socket, so that a slow Kafka slows the sender down and not this process


class _End:
    def __init__(self, error: Exception | None) -> None:
        self.error = error


async def gathered(
    frames: AsyncIterator[T], *, most: int = MOST, within_s: float = WITHIN_S
) -> AsyncGenerator[list[T], None]:
    """Lists of at most `most` frames (and about MOST_BYTES), each given at most `within_s` seconds after its first.

    To be closed (`contextlib.aclosing`) by who does not read it to its end. An error of `frames` is raised once all
    that came before it was given.
    """
    queue: asyncio.Queue[T | _End] = asyncio.Queue(_QUEUED)
    pump = asyncio.create_task(_pump(frames, queue))
    loop = asyncio.get_running_loop()
    try:
        end: _End | None = None
        while end is None:
            found: list[T] = []
            size = 0
            deadline: float | None = None
            while len(found) < most and size < MOST_BYTES:
                try:
                    async with asyncio.timeout_at(deadline):
                        frame = await queue.get()
                except TimeoutError:
                    break
                if isinstance(frame, _End):
                    end = frame
                    break
                found.append(frame)
                size += len(frame)
                deadline = deadline or loop.time() + within_s
            if found:
                yield found
        if end.error is not None:
            raise end.error
    finally:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


async def _pump(frames: AsyncIterator[T], queue: asyncio.Queue[T | _End]) -> None:
    error: Exception | None = None
    try:
        async for frame in frames:
            await queue.put(frame)
    except Exception as raised:
        error = raised
    await queue.put(_End(error))
