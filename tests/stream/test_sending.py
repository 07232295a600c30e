"""Records that a broker finds too large are sent again, shorter, until it takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from core.dead_letters import dead_letter
from core.errors import NewstideError
from stream.sending import Outgoing, Sender
from tests.stream.harness import make_settings


class Broker:
    """Takes records of up to `limit` bytes; refuses others at once, or, like a real one, with its answer."""

    def __init__(self, limit: int, answers: bool) -> None:
        self.limit = limit
        self.answers = answers
        self.taken: list[Outgoing] = []

    async def send(self, record: Outgoing) -> Awaitable[Any]:
        answer = asyncio.get_running_loop().create_future()
        if len(record[2]) > self.limit:
            if not self.answers:
                raise MessageSizeTooLargeError
            answer.set_exception(MessageSizeTooLargeError())
        else:
            self.taken.append(record)
            answer.set_result(None)
        return answer


def letter(value: bytes) -> Any:
    return dead_letter(value, "no message", origin=str(uuid4()), stage="stream", topic="t", key=b"k")


@pytest.mark.parametrize("answers", [True, False])
def test_a_letter_is_cut_until_it_fits(answers: bool) -> None:
    broker = Broker(10_000, answers)
    sender = Sender(make_settings("x:1", "", Path()), broker.send)
    asyncio.run(sender.send_letters([letter(b"a" * 5), letter(b"b" * 70_000), letter(b"c" * 9_000)]))
    assert sorted(len(value) for _, _, value, _ in broker.taken) == [5, 8_750, 9_000]
    reasons = [dict(headers)["newstide-reason"] for _, _, value, headers in broker.taken if value[:1] == b"b"]
    assert reasons == [b"no message (the broker takes the first 8750 of 70000 bytes)"]


def test_a_broker_that_takes_nothing_is_named() -> None:
    sender = Sender(make_settings("x:1", "", Path()), Broker(-1, True).send)
    with pytest.raises(NewstideError, match=r"max\.message\.bytes"):
        asyncio.run(sender.send_letters([letter(b"b" * 70_000)]))


def test_other_errors_are_raised() -> None:
    async def lose(record: Outgoing) -> Awaitable[Any]:
        answer = asyncio.get_running_loop().create_future()
        answer.set_exception(KafkaConnectionError(datetime.now(UTC)))
        return answer

    sender = Sender(make_settings("x:1", "", Path()), lose)
    with pytest.raises(KafkaConnectionError):
        asyncio.run(sender.send_letters([letter(b"b")]))
