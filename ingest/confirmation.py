"""Waiting until records that Kafka acknowledged are committed to Postgres as well."""

from __future__ import annotations

import time
from collections.abc import Mapping

from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError

from core.errors import NewstideError
from core.settings import Settings
from core.store.connection import open_engine
from core.store.ledger import read_ledger

_LOOK_EVERY_S = 0.1
_CONNECTIONS = 8


class NotCommitted(NewstideError):
    """The workers did not commit the records in time: they are behind or stopped, or the database is away."""


class Confirmation:
    """Asks the ledger how far the workers have committed; thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._engine = open_engine(settings, pool_size=_CONNECTIONS)

    def wait(self, end_offsets: Mapping[tuple[str, int], int], timeout_s: float) -> None:
        """Return once every partition, each after its topic, is committed up to its end offset.

        Raises NotCommitted after `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while not self._reached(end_offsets):
            if time.monotonic() > deadline:
                raise NotCommitted(
                    f"the messages were not committed within {timeout_s:.0f} s; look at the workers' lag"
                )
            time.sleep(_LOOK_EVERY_S)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _reached(self, end_offsets: Mapping[tuple[str, int], int]) -> bool:
        try:
            committed = {
                (topic, row.partition): row.next_offset or 0
                for topic in {topic for topic, _ in end_offsets}
                for row in read_ledger(self._engine, topic)
            }
        except (OperationalError, InterfaceError, TimeoutError):
            return False
        return all(committed.get(place, 0) >= end for place, end in end_offsets.items())
