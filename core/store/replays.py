"""Replays that declare themselves and give signs of life, so that several may run and a dead one holds nothing back.

The watermark of an event clock waits for every declared replay until it has ended (`core.store.ledger.end_replay`), was
abandoned, or gave no sign of life for a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event
from uuid import UUID, uuid4

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from core.store.sql import load_queries

_SIGN_OF_LIFE_EVERY_S = 10.0

_SQL = {name: text(body) for name, body in load_queries(Path(__file__).with_suffix(".sql")).items()}


def begin_replay(engine: Engine, name: str) -> UUID:
    """Declare the replay of a stack: the watermark waits until it has ended.

    Those of former stacks no longer hold anything back; those declared beside it that give signs of life do.
    """
    replay = uuid4()
    with engine.begin() as connection:
        connection.execute(_SQL["forget_former"])
        connection.execute(_SQL["begin"], {"id": replay, "name": name})
    return replay


def forget_replays(engine: Engine) -> None:
    """Let go of all replays: none of them runs, and what they wrote went with its broker."""
    with engine.begin() as connection:
        connection.execute(_SQL["forget_all"])


def declare_replay(engine: Engine, name: str) -> UUID:
    """Declare a replay beside others; those that ended or were last seen a day ago are forgotten."""
    replay = uuid4()
    with engine.begin() as connection:
        connection.execute(_SQL["forget_old"])
        connection.execute(_SQL["declare"], {"id": replay, "name": name})
    return replay


def note_alive(engine: Engine, replay: UUID) -> None:
    """A sign of life: due every few seconds."""
    with engine.begin() as connection:
        connection.execute(_SQL["note_alive"], {"id": replay})


def abandon_replay(engine: Engine, replay: UUID) -> None:
    """The replay failed: what it has written is all that will come."""
    with engine.begin() as connection:
        connection.execute(_SQL["abandon"], {"id": replay})


def give_signs_of_life(engine: Callable[[], Engine], replay: Callable[[], UUID | None], ended: Event) -> None:
    """Say every few seconds that the `replay` of that moment is alive, until it has `ended`; to run in a thread."""
    while not ended.wait(_SIGN_OF_LIFE_EVERY_S):
        alive = replay()
        if alive is not None:
            with suppress(SQLAlchemyError):  # a database that is away judges nothing either
                note_alive(engine(), alive)
