"""Retention of every table that grows, in small transactions that hold no worker up.

It may be killed at any moment and run anywhere: each batch stands for itself, a partition half dropped is finished by
the next run, and an advisory lock lets one process do it at a time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg

from core.settings import Settings
from core.store.connection import connect
from core.store.partitions import drop_partition, old_partitions
from core.store.sql import fetch_rows, load_queries
from core.store.trend_changes import compact_trend_changes

log = logging.getLogger(__name__)

_SQL = load_queries(Path(__file__).with_suffix(".sql"))
_LOCK = 0x72657465  # any constant that all newstide processes share
_TRIES = 5
_CLOCKS_APART = timedelta(minutes=5)  # more is worth a word
_RELEARN_DAYS = 7  # of trends before the detector's history that stay by the minute: it may learn them again
_GIVE_WAY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.QueryCanceled,
)

Connection = psycopg.Connection[Any]

NOT_GROWING = {
    "account": "one row a person of the desk",
    "alembic_version": "one row",
    "alerting_progress": "one row",
    "api_token": "one row a program that uses the desk",
    "audit_event": "who did what: append-only, and kept for good",
    "desk_session": "each login deletes those that have ended",
    "detector_checkpoint": "alerting keeps the last few",
    "dropped_day": "one short row a day",
    "feedback": "the analysts' work: append-only, and kept for good",
    "incident_handling": "the analysts' work: append-only, and kept for good",
    "label": "the analysts' work: append-only, and kept for good",
    "label_lease": "the desk deletes those that have ended",
    "label_step": "the analysts' work: one short row a step",
    "login_link": "each login deletes those that have ended",
    "message": "dropped by the day, partition by partition",
    "model": "one row a model",
    "judged_day": "one row a day of `retention.trend_minute_days`; older ones are deleted",
    "model_event": "one row a change of a model's state",
    "oidc_login": "each login deletes those that have ended",
    "offset_history": "one row a partition and life of a topic; the audit needs them",
    "offset_ledger": "one row a partition",
    "replay": "each replay deletes those before it",
    "source": "one row a source",
    "training_run": "one row a scheduled training",
    "trend_change": "alerting deletes what it has seen; without it, a row a day of event time is left",
    "trend_hour": "the long memory: hours are kept for good",
    "trend_rolled": "the desk deletes what was merged into `trend_hour`",
    "trend_rolled_day": "as `trend_rolled`, of which it is the sum",
    "trend_rolling": "one row",
    "trend_rollup": "one row",
    "trend_unrolled": "the desk deletes what it has added up; without it, rows come of late messages alone",
    "worker_model": "one row for each worker and language; those not heard of are deleted",
}
"""Tables without an entry in `Retention`, and why."""


@dataclass
class Report:
    """What a run did: partitions dropped, and by table the rows deleted (of `trend`: merged into hours).

    `unfinished`: what had to give way to others for too long, and is left for the next run. `at_work`: another process
    runs retention now, and this one did nothing.
    """

    days_dropped: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    at_work: bool = False
    seconds: float = 0.0


def run_retention(settings: Settings, stopping: Callable[[], bool] = lambda: False) -> Report:
    """Drop, delete and merge what is older than the settings say, until done or `stopping()`."""
    began = time.monotonic()
    with connect(settings, autocommit=True, application_name="newstide retention") as connection:
        report = Retention(settings, connection, stopping).run()
    report.seconds = round(time.monotonic() - began, 3)
    return report


class Retention:
    """One run on one connection, which is in autocommit mode and its own.

    It goes by `now`, by default by the clock of this host or the database, whichever is behind: what one that is ahead
    takes for old is gone for good.
    """

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        stopping: Callable[[], bool] = lambda: False,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._settings = settings
        self._rules = settings.retention
        self._connection = connection
        self._stopping = stopping
        self._clock = now or self._earlier_clock
        self._report = Report()

    def run(self) -> Report:
        """Do all that is due."""
        connection = self._connection
        connection.execute(
            "SELECT set_config('lock_timeout', %s, false)", (f"{int(self._rules.lock_timeout_s * 1000)}ms",)
        )
        if not self._one("try_lock", key=_LOCK).taken:
            self._report.at_work = True
            return self._report
        database = self._settings.database
        self._drop_days(self._day(database.retention_days))
        self._delete("story", "delete_stories", self._day(database.retention_days))
        self._delete("story_band", "delete_bands", self._day(database.retention_days))
        # A key that goes before its message would let the message in again.
        self._delete("message_key", "delete_keys", self._day(max(self._rules.key_days, database.retention_days)))
        self._delete("shadow_message", "delete_shadow_messages", self._moment(self._rules.shadow_days))
        self._delete("dead_letter", "delete_letters", self._moment(self._rules.dead_letter_days))
        self._delete("outbox", "delete_deliveries", self._moment(self._rules.delivery_days))
        self._delete("alert", "delete_alerts", self._moment(self._rules.alert_days))
        self._delete("incident", "delete_incidents", self._moment(self._rules.alert_days))
        self._merge_minutes()
        self._patiently("trend_change", self._compact_changes)
        return self._report

    @cached_property
    def _now(self) -> datetime:
        return self._clock()

    def _earlier_clock(self) -> datetime:
        ours, theirs = datetime.now(UTC), self._one("clock").now
        if abs(ours - theirs) > _CLOCKS_APART:
            log.warning("this host's clock says %s, the database's %s; retention goes by the earlier one", ours, theirs)
        return min(ours, theirs)

    def _compact_changes(self) -> int:
        compact_trend_changes(self._connection)
        return 0

    def _day(self, days: int) -> date:
        return self._now.date() - timedelta(days=days)

    def _moment(self, days: int) -> datetime:
        return self._now - timedelta(days=days)

    def _one(self, query: str, **parameters: Any) -> Any:
        return next(iter(fetch_rows(self._connection, _SQL[query], parameters)), None)

    def _drop_days(self, before: date) -> None:
        for partition in old_partitions(self._connection, before):
            if self._stopping():
                return
            name = partition.name

            def drop(name: str = name) -> int:
                # Looked at anew at each try: the one before may have come half the way.
                for each in old_partitions(self._connection, before):
                    if each.name == name:
                        drop_partition(self._connection, each)
                return 0

            if self._patiently(name, drop) is None:
                return  # Postgres detaches one partition at a time: those after it wait for it
            self._report.days_dropped += 1

    def _merge_minutes(self) -> None:
        """Merge minutes into hours that were judged so many days ago, and can't be judged again."""
        self._connection.execute(_SQL["note_judged"], {"today": self._now.date()})
        if not self._rules.trend_minute_days:
            return
        judged_by = self._day(self._rules.trend_minute_days)
        row = self._one("merge_boundary", judged_by=judged_by)
        if row is None:
            return
        needed = timedelta(days=self._settings.alerting.history_days + _RELEARN_DAYS)
        until = min(row.judged_then, row.judged_now - needed).replace(minute=0, second=0, microsecond=0)
        until = self._one("set_merged_until", until=until).merged_until
        self._one("forget_judged", judged_by=judged_by)
        self._delete("trend", "merge_minutes", until)

    def _delete(self, table: str, query: str, before: date | datetime) -> None:
        """Batch by batch until nothing of `table` is left before `before`."""
        self._report.rows.setdefault(table, 0)

        def batch() -> int:
            return int(self._one(query, before=before, limit=self._rules.batch_rows).rows)

        while not self._stopping():
            done = self._patiently(table, batch)
            if not done:
                return
            self._report.rows[table] += done
            time.sleep(self._rules.pause_s)

    def _patiently(self, what: str, work: Callable[[], int]) -> int | None:
        """The result of `work`, tried again while it has to give way; None if that was too often."""
        for attempt in range(1, _TRIES + 1):
            try:
                return work()
            except _GIVE_WAY as error:
                log.info("retention of %s gives way: %s", what, str(error).splitlines()[0])
                if self._stopping():
                    break
                time.sleep(self._rules.pause_s * 2**attempt)
        self._report.unfinished.append(what)
        return None
