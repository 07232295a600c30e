"""The audit: trends counted again from the stored messages, and messages from the offsets that were read.

Message counts and summed probabilities follow from the messages alone; story counts from the stored assignment of
messages to stories. An exact pipeline gives no differences, whatever was killed while it ran. What retention dropped
can't be counted again: minutes between the first and last event time of a dropped day are left out. Minutes that were
merged into hours are compared by the hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from core.store.ledger import Epoch, epochs_of
from core.store.sql import load_queries, records

_SQL = {name: text(body) for name, body in load_queries(Path(__file__).with_name("recount.sql")).items()}

# Topics whose ledger counts letters, not messages: whatever their prefix, which a setting may have changed.
_LETTERS = "dead-letters"


@dataclass(frozen=True, slots=True)
class Difference:
    """A trend row that is not what the messages say. Either side is None where there is no such row.

    `minute` begins an hour where retention merges minutes into hours.
    """

    kind: str
    name: str
    minute: datetime
    stored: dict[str, Any] | None
    counted: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Audit:
    """What a store says of itself, all at one moment.

    `stored` and `dropped` (by retention) are messages, `unread` those of the stored ones that have no labels; `counted`
    how many the ledger has stored, over all epochs, None where some of it was counted before ledgers accounted for
    every offset. `unchecked`: trend rows that messages dropped by retention may be part of.
    """

    differences: Sequence[Difference]
    epochs: Sequence[Epoch]
    stored: int
    unread: int
    dropped: int
    counted: int | None
    unchecked: int

    @property
    def unbalanced(self) -> list[Epoch]:
        """Epochs in which offsets read are not the sum of messages, duplicates, dead letters and gaps."""
        return [epoch for epoch in self.epochs if epoch.unaccounted]

    @property
    def unknown(self) -> list[Epoch]:
        """Epochs of which that can't be said."""
        return [epoch for epoch in self.epochs if epoch.unaccounted is None and epoch.next_offset is not None]

    @property
    def exact(self) -> bool:
        """True if nothing that can be checked is wrong."""
        complete = self.counted is None or self.counted == self.stored + self.dropped
        return complete and not self.differences and not self.unbalanced


def audit_store(engine: Engine, *, limit: int = 100) -> Audit:
    """Check trends, messages and ledger against each other; at most `limit` differences of trends are listed."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        epochs = epochs_of(connection)
        counts = connection.execute(_SQL["stored_messages"]).one()
        read = [epoch for epoch in epochs if not epoch.topic.endswith(_LETTERS)]
        known = bool(read) and all(epoch.epoch > 0 for epoch in read)
        return Audit(
            differences=_differences(connection, limit),
            epochs=epochs,
            stored=counts.stored,
            unread=counts.unread,
            dropped=counts.dropped,
            counted=sum(epoch.messages for epoch in read) if known else None,
            unchecked=connection.execute(_SQL["unchecked"]).one().rows,
        )


def differences(engine: Engine, limit: int = 100) -> list[Difference]:
    """Up to `limit` differences between the trends and a recount; none if the store is exact."""
    with engine.connect() as connection:
        return _differences(connection, limit)


def totals(engine: Engine) -> dict[str, int]:
    """Number of `messages` and `stories` ever counted, and of `dead_letters` not yet replayed."""
    with engine.connect() as connection:
        row = connection.execute(_SQL["totals"]).one()
        return dict(row._mapping)


def _differences(connection: Connection, limit: int) -> list[Difference]:
    return records(Difference, connection.execute(_SQL["differences"], {"limit": limit}))
