"""How far trends are judged, and what changed in them since, as it stands in Postgres."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from alerting.judging.sql import QUERIES, fetch

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Progress:
    """Event time from which and up to which trends were judged, and whether all replays were read and judged.

    `stale_from`: the earliest change of what was judged that was not judged again yet. `unjudged`: messages that came
    too late to be judged.
    """

    since: datetime
    judged_until: datetime
    drained: bool = False
    stale_from: datetime | None = None
    unjudged: int = 0


def read_progress(connection: Connection) -> Progress | None:
    """None: nothing was judged in this database."""
    with connection.cursor(row_factory=class_row(Progress)) as cursor:
        return cursor.execute(QUERIES["progress"]).fetchone()


def save_progress(connection: Connection, progress: Progress) -> None:
    connection.execute(QUERIES["save_progress"], vars(progress))


def forget_progress(connection: Connection) -> None:
    """As if nothing had been judged."""
    connection.execute(QUERIES["forget_progress"])
    save_checkpoints(connection, {}, [])


def read_checkpoints(connection: Connection) -> dict[datetime, bytes]:
    """States of the detector by the event time at which they were taken, the oldest first."""
    return {row.at: bytes(row.body) for row in fetch(connection, "checkpoints")}


def save_checkpoints(connection: Connection, changed: Mapping[datetime, bytes], kept: list[datetime]) -> None:
    """Write those that `changed`, and delete all but those `kept`."""
    for at, body in changed.items():
        connection.execute(QUERIES["save_checkpoint"], {"at": at, "body": body})
    connection.execute(QUERIES["keep_checkpoints"], {"kept": kept})


def take_changes(connection: Connection) -> Counter[datetime]:
    """The minutes of the trends that changed since the last call, with the number of messages added to each.

    In a transaction of level REPEATABLE READ these are just the changes that its other queries see for the first time.
    """
    changed: Counter[datetime] = Counter()
    for row in fetch(connection, "take_changes"):
        changed.update(dict(zip(row.minutes, row.messages, strict=True)))
    return changed


def read_merged_until(connection: Connection) -> datetime | None:
    """Event time before which the trends are kept by the hour, too coarse to be judged; None: nowhere."""
    (rollup,) = fetch(connection, "merged_until")
    at: datetime | None = rollup.at
    return at


def read_first_minute(connection: Connection) -> datetime | None:
    """The earliest minute of any trend."""
    (first,) = fetch(connection, "first_minute")
    minute: datetime | None = first.minute
    return minute
