"""The alerting process: follow the watermark, judge what became final, commit what changed. One runner at a time.

Whatever fails, what is in memory is thrown away and read back, so a kill at any moment neither loses nor doubles a
change.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg

from alerting.delivery.outbox import Outbox
from alerting.detection.detector import Reading, Series
from alerting.incidents.sentence import figures
from alerting.judging.clock import SteadyClock, utc_now
from alerting.judging.judge import Judge
from alerting.judging.judgement import Outcome, Stopped
from alerting.judging.sql import fetch
from alerting.judging.watermark import (
    Ends,
    Partition,
    SeenEnds,
    Watermark,
    assumed_watermark,
    event_watermark,
    read_partitions,
    read_replays,
    wall_watermark,
)
from alerting.rules.alert_rules import AlertRules
from core import metrics
from core.health import Beat
from core.settings import DEFAULT_LATENESS_S, Settings
from core.store.connection import connect
from core.store.faults import is_outage

log = logging.getLogger(__name__)

_LOCK = 0x6E657761  # any constant that all runners share
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
_REPORT_S = 10.0

Connection = psycopg.Connection[Any]


class Runner:
    """Judges the trends of one database until `stop` is set.

    `channels` names the outbox channels that each change goes to; `rules` add receivers. `clock` returns the
    wall clock, aware UTC. `ends` tells how far the brokers say the partitions reach, by the same clock, None while they
    do not answer; without it, the ledger is asked.
    `judging` notes whether judging succeeds; standing by while another runner judges counts as success.
    `leading` is set while this runner judges, from its first step that was committed on: a standby that answers while
    another server takes over gives the lock away, and could not note what was delivered.
    """

    def __init__(
        self,
        settings: Settings,
        channels: list[str],
        stop: threading.Event,
        clock: Callable[[], datetime] = utc_now,
        ends: Callable[[], Ends | None] | None = None,
        judging: Beat | None = None,
        rules: AlertRules | None = None,
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._wall = clock
        self._clock = SteadyClock(clock)
        self._begun = self._clock()
        self._ends = ends
        self._judging = judging or Beat()
        self._seen_ends = SeenEnds()
        self._told_ends: Ends | None = None  # the last of `ends`
        self._judge = Judge(settings, Outbox(channels, rules), stop.is_set, policy=rules.policy if rules else None)
        lateness = settings.alerting.allowed_lateness_s
        self._lateness = timedelta(seconds=DEFAULT_LATENESS_S if lateness is None else lateness)
        self._shown: set[Series] = set()
        self._reported = 0.0
        self._unjudged = 0  # since the last report
        self._beyond: datetime | None = None  # the last minute of trends that lie beyond a drained replay's event times
        self._warned_of: datetime | None = None
        self.leading = threading.Event()
        self.alerts = 0

    def run(self, until_drained: bool = False) -> bool:
        """Judge until `stop` is set, or until every replay is drained and judged; returns whether it came to that.

        Waits while another runner works. Survives an absent database: it tries again with growing pauses. Raises
        InputError or SettingsError for settings that can't work.
        """
        pause = _FIRST_PAUSE_S
        while not self._stop.is_set():
            try:
                with self._lead() as connection:
                    while not self._stop.is_set():
                        drained = self.advance(connection)
                        pause = _FIRST_PAUSE_S
                        if drained and until_drained:
                            return True
                        self._stop.wait(self._settings.alerting.poll_s)
            except Stopped:
                break
            except psycopg.Error as error:
                if not is_outage(error):
                    raise
                self.leading.clear()
                self._judging.bad("the database fails")
                log.warning("the database failed: %s; next try in %.1f s", str(error).strip().split("\n")[0], pause)
                self._stop.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
        return False

    def run_once(self) -> bool:
        """Judge what is final now; returns as `advance` does. Raises psycopg.Error if the database fails, Stopped."""
        with self._lead() as connection:
            return self.advance(connection)

    def advance(self, connection: Connection) -> bool:
        """Judge all that is final; returns whether every replay is drained and judged."""
        while True:
            with connection.transaction():
                # one snapshot for all: the ledger, the replays, the changes and the counts
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                now = self._now(connection)
                watermark = self._find_watermark(connection, now)
                outcome = self._judge.step(connection, watermark, now)
            self.leading.set()
            self._judging.good()
            self._show(outcome)
            if outcome.done or self._stop.is_set():
                self._report(connection, watermark, at_once=watermark.drained and outcome.moved)
                return watermark.drained and outcome.done

    @contextmanager
    def _lead(self) -> Iterator[Connection]:
        with connect(self._settings, autocommit=True) as connection:
            self._take_lead(connection)
            if not self._stop.is_set():
                self._judge.recall(connection)
                self._show_watermark()
            yield connection

    def _take_lead(self, connection: Connection) -> None:
        standing_by = False
        while not self._stop.is_set():
            (lock,) = fetch(connection, "try_lock", {"key": _LOCK})
            if lock.taken:
                return
            if not standing_by:
                log.info("another alerting process is at work; standing by")
                standing_by = True
            self._judging.good()
            self._stop.wait(self._settings.alerting.poll_s)

    def _now(self, connection: Connection) -> datetime:
        """The clock, or the database's where that is behind: a clock ahead would judge what is yet to come."""
        (theirs,) = fetch(connection, "clock")
        now: datetime = min(self._clock(), theirs.now)
        return now

    def _find_watermark(self, connection: Connection, now: datetime) -> Watermark:
        replays = read_replays(connection)
        partitions = read_partitions(connection, self._settings.topic("messages"))
        step = timedelta(minutes=self._settings.alerting.step_minutes)
        if self._settings.alerting.clock == "event":
            return self._beyond_event_times(
                connection, event_watermark(partitions, replays, self._lateness, step), step
            )
        self._see_ends(partitions, now)
        complete_at = self._seen_ends.complete_at(partitions)
        return wall_watermark(partitions, replays, complete_at, now, self._lateness, step)

    def _see_ends(self, partitions: list[Partition], now: datetime) -> None:
        """Take note of how far the partitions reach, as of a time that is reckoned as `now` is: where the wall clock is
        ahead of that, what the brokers said was said earlier than the wall clock had it."""
        if self._ends is None:
            self._seen_ends.add(_noted_ends(partitions, now))
            return
        told = self._ends()
        if told is None or told is self._told_ends:
            return
        self._told_ends = told
        ahead = self._wall() - now
        self._seen_ends.add(replace(told, at=min(told.at - ahead, now)))

    def _beyond_event_times(self, connection: Connection, found: Watermark, step: timedelta) -> Watermark:
        """The watermark of a replay, with what has no event time of its own in mind: assumed times move none."""
        if not found.drained:
            return found
        (trends,) = fetch(connection, "last_minute")
        watermark = assumed_watermark(found, trends.minute, step)
        self._beyond = None
        if watermark.at is not None and trends.minute is not None and trends.minute >= watermark.at:
            self._beyond = trends.minute
        return watermark

    def _show(self, outcome: Outcome) -> None:
        """Tell of a step that is committed, in the log and the metrics."""
        metrics.LATE.inc(outcome.late)
        self._unjudged += outcome.unjudged
        for change in outcome.changes:
            alert = change.alert
            metrics.ALERTS.labels(state=alert.state).inc()
            self.alerts += alert.state == "open"
            log.info(
                "%s %s at %s: %s, score %.1f",
                alert.series,
                alert.state,
                change.at.isoformat(),
                figures(alert, alert.evidence),
                alert.score,
            )
        if outcome.moved:
            self._show_watermark()
        judgement = self._judge.judgement
        if judgement is None:
            return
        progress, detector = judgement.progress, judgement.projection.detector
        metrics.UNJUDGED.set(progress.unjudged)
        if outcome.moved:
            followed, noted, refused = detector.sizes()
            metrics.SERIES_FOLLOWED.set(followed)
            metrics.SERIES_NOTED.set(noted)
            metrics.SERIES_REFUSED.set(refused)
            self._show_readings(detector.readings())

    def _show_watermark(self) -> None:
        """How far trends are judged; where none are, as if all before this process were, so that a standstill shows."""
        judgement = self._judge.judgement
        at = self._begun if judgement is None else judgement.progress.judged_until
        metrics.WATERMARK_SECONDS.labels(self._settings.alerting.clock).set(at.timestamp())

    def _show_readings(self, readings: list[Reading]) -> None:
        for series, score, observed, expected in readings:
            metrics.SERIES_SCORE.labels(*series).set(score)
            metrics.SERIES_OBSERVED.labels(*series).set(observed)
            metrics.SERIES_EXPECTED.labels(*series).set(expected)
        present = {reading.series for reading in readings}
        for series in self._shown - present:
            for gauge in (metrics.SERIES_SCORE, metrics.SERIES_OBSERVED, metrics.SERIES_EXPECTED):
                with suppress(KeyError):
                    gauge.remove(*series)
        self._shown = present

    def _report(self, connection: Connection, watermark: Watermark, at_once: bool) -> None:
        if not at_once and time.monotonic() - self._reported < _REPORT_S:
            return
        self._reported = time.monotonic()
        judgement = self._judge.judgement
        if judgement is not None:
            _show_pages(connection, judgement.progress.judged_until)
        log.info(
            "judged until %s, watermark %s, %d alerts opened%s",
            judgement.progress.judged_until.isoformat() if judgement is not None else "nothing",
            watermark.at.isoformat() if watermark.at else "not known yet",
            self.alerts,
            ", drained" if watermark.drained else "",
        )
        if self._beyond is not None and self._beyond != self._warned_of:
            self._warned_of = self._beyond
            log.warning(
                "the trends go on to %s, beyond all event times of the replay: those messages had no readable time of "
                "their own, so what they were given is assumed, and they are not judged",
                self._beyond.isoformat(),
            )
        if self._unjudged and judgement is not None:
            log.warning(
                "%d messages are counted but were not judged: they are of before %s",
                self._unjudged,
                self._judge.steps.start(judgement.projection.horizon).isoformat(),
            )
            self._unjudged = 0


def _show_pages(connection: Connection, until: datetime) -> None:
    """The pages of the week before `until`, beside the budget."""
    pages = {row.verdict: row.incidents for row in fetch(connection, "pages", {"until": until})}
    for verdict in ("none", "useful", "false"):
        metrics.PAGES.labels(verdict).set(pages.get(verdict, 0))


def _noted_ends(partitions: list[Partition], now: datetime) -> Ends:
    """The ends as the workers noted them, where no broker is known to ask."""
    return Ends(now, {partition.partition: partition.end_offset or 0 for partition in partitions})
