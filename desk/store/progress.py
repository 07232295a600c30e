"""How far the news is stored, complete and judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from core.store.sql import records
from desk.store.sql import queries_beside

_QUERIES = queries_beside(__file__)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Progress:
    """Event times, but for `now` and `committed_at`, which are the database's clock. None: nothing yet.

    `watermark`: the least of the highest event times of the partitions. `stale_from`: trends changed from there on and
    were not judged again yet. `unjudged`: messages that came too late to be judged. Minutes before `merged_until` may
    have been merged into hours.
    """

    now: datetime
    judged_since: datetime | None
    judged_until: datetime | None
    stale_from: datetime | None
    unjudged: int
    watermark: datetime | None
    committed_at: datetime | None
    merged_until: datetime | None
    last_minute: datetime | None
    first_minute: datetime | None

    @property
    def present(self) -> datetime:
        """Where the news ends: in the past while an old file is replayed, the clock's time before there is any."""
        known = [self.judged_until] if self.judged_until else []
        known += [self.last_minute + _MINUTE] if self.last_minute else []
        return max(known, default=self.now.replace(second=0, microsecond=0))

    @property
    def complete_until(self) -> datetime | None:
        """Event time before which no more messages are to be expected."""
        return self.judged_until or self.watermark


def read_progress(connection: Connection) -> Progress:
    return records(Progress, connection.execute(_QUERIES["progress"]))[0]
