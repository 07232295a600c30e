"""How much a worker holds in memory: bounded in bytes, since records are from a hundred bytes to a megabyte."""

from __future__ import annotations

import asyncio

MAX_WAITING_BYTES = 32_000_000  # read from Kafka, and not yet taken by a batch
MAX_UNDER_WAY_BYTES = 32_000_000  # in a batch that is filling, is being processed or waits for the database


class Backlog:
    """Records taken and not yet acknowledged, in number and bytes. For one event loop."""

    def __init__(self, max_bytes: int = MAX_UNDER_WAY_BYTES) -> None:
        self._max_bytes = max_bytes
        self._changed = asyncio.Event()
        self.records = 0
        self.bytes = 0

    async def take(self, size: int) -> None:
        """Add a record of `size` bytes; waits while there are others and they leave no room for it."""
        while self.records and self.bytes + size > self._max_bytes:
            self._changed.clear()
            await self._changed.wait()
        self.records += 1
        self.bytes += size

    def release(self, records: int, size: int) -> None:
        """Take away `records` of `size` bytes together."""
        self.records -= records
        self.bytes -= size
        self._changed.set()
