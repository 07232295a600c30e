"""What a worker sends to Kafka: dead letters and `classified` records, cut where the broker finds them too large."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError

from core.dead_letters import DeadLetter
from core.errors import NewstideError
from core.settings import Settings
from stream.batch import Classified
from stream.publication import classified_record

log = logging.getLogger(__name__)

_LEAST_BYTES = 1_000  # a broker that takes no record of this size takes none

Outgoing = tuple[str, bytes | None, bytes, list[tuple[str, bytes]]]
"""Topic, key, value and headers of a record."""


class Sender:
    """Sends through `send`, which queues a record and returns what completes once Kafka has it.

    Either may raise MessageSizeTooLargeError.
    """

    def __init__(self, settings: Settings, send: Callable[[Outgoing], Awaitable[Awaitable[Any]]]) -> None:
        self._classified = settings.topic("classified")
        self._letters = settings.topic("dead-letters")
        self._queue = send

    async def publish(self, classified: Sequence[Classified]) -> None:
        """Return once Kafka has the records of `classified`; one that it takes in no length is left out."""
        refused = await self._send([(self._classified, *classified_record(item)) for item in classified])
        for index, limit in refused:
            message = classified[index].item.message
            while limit > _LEAST_BYTES:
                limit //= 2
                if not await self._send([(self._classified, *classified_record(classified[index], limit))]):
                    break
            else:
                log.error("%s takes no record of %s of %s, however short", self._classified, message.id, message.source)

    async def send_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Return once Kafka has all `letters`. Raises NewstideError if it takes one in no length."""
        for index, _ in await self._send([self._outgoing(letter) for letter in letters]):
            letter, whole = letters[index], letters[index].value or b""
            kept = len(whole)
            while kept:
                kept = kept // 2 if kept > _LEAST_BYTES else 0
                reason = f"{letter.reason[:1000]} (the broker takes the first {kept} of {len(whole)} bytes)"
                if not await self._send([self._outgoing(replace(letter, value=whole[:kept], reason=reason))]):
                    break
            else:
                raise NewstideError(
                    f"the broker takes no dead letter of {letter.origin}, however short; raise `max.message.bytes` of "
                    f"the topic {self._letters}"
                )

    async def _send(self, records: Sequence[Outgoing]) -> list[tuple[int, int]]:
        """Return once Kafka has the records; index and size in bytes of those that it finds too large."""
        refused = []
        sent: list[tuple[int, Awaitable[Any]]] = []
        for index, record in enumerate(records):
            try:
                sent.append((index, await self._queue(record)))
            except MessageSizeTooLargeError:
                refused.append((index, len(record[2])))
        outcomes = await asyncio.gather(*(pending for _, pending in sent), return_exceptions=True)
        for (index, _), outcome in zip(sent, outcomes, strict=True):
            if isinstance(outcome, MessageSizeTooLargeError):
                refused.append((index, len(records[index][2])))
            elif isinstance(outcome, BaseException):
                raise outcome
        return refused

    def _outgoing(self, letter: DeadLetter) -> Outgoing:
        return self._letters, letter.key, letter.value or b"", letter.headers()
