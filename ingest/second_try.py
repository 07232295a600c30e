"""Replay of dead letters by their stage: read again what ingest refused, send again what the workers refused.

A letter is marked as replayed once Kafka acknowledged what became of it. A kill in between leaves it unmarked, and the
next replay sends it again: the same message, known by its id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Engine

from core.dead_letters import UNKNOWN
from core.errors import UndecodableMessage
from core.settings import Settings
from core.store.dead_letters import ArchivedLetter, mark_replayed, note_failure, read_dead_letters
from ingest.producer import MessageProducer
from ingest.reread import reread

_ACKNOWLEDGE_S = 30.0


@dataclass
class Replayed:
    """How many letters were sent again, and how many still can't be read."""

    replayed: int = 0
    still_dead: int = 0


def replay_letters(settings: Settings, engine: Engine, ids: Sequence[UUID]) -> Replayed:
    """Try the letters of `ids` again. Raises DeliveryFailed if Kafka does not acknowledge; those before are marked."""
    done = Replayed()
    producer = MessageProducer(settings, delivery_timeout_s=_ACKNOWLEDGE_S)
    try:
        for letters in read_dead_letters(engine, ids):
            sent: list[tuple[UUID, Any]] = []
            for letter in letters:
                try:
                    sent.append((letter.id, _send(producer, letter)))
                except UndecodableMessage as error:
                    note_failure(engine, letter.id, str(error))
                    done.still_dead += 1
            for _, future in sent:
                producer.wait(future)
            mark_replayed(engine, [letter for letter, _ in sent])
            done.replayed += len(sent)
    finally:
        producer.close()
    return done


def _send(producer: MessageProducer, letter: ArchivedLetter) -> Any:
    """Queue what `letter` becomes. Raises UndecodableMessage if it still can't be read."""
    value = letter.value or b""
    bridged = not letter.context and letter.topic not in (UNKNOWN, producer.messages_topic)
    if letter.stage == "ingest" and not bridged:
        return producer.send(reread(value, letter.context, letter.failed_at))
    topic = producer.messages_topic if letter.topic == UNKNOWN else letter.topic
    return producer.send_raw(topic, letter.key, value)
