"""The alerting process: follow the watermark, judge what became final, commit what changed. One runner at a time.

A block of steps is judged in memory and committed in one transaction with the detector's state. Whatever fails, the
detector in memory is thrown away and read back, so a kill at any moment neither loses nor doubles a change.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from alerting.detector import Reading, Series
from alerting.journal import Journal, Progress
from alerting.sql import QUERIES
from alerting.surges import SurgeDetector
from alerting.watermark import Watermark, find_watermark, read_partitions, read_replays
from core import metrics
from core.errors import InputError
from core.health import Beat
from core.settings import Settings
from core.store.connection import connect

log = logging.getLogger(__name__)

_LOCK = 0x6E657761  # any constant that all runners share
_BLOCK_DAYS = 7  # judged in one transaction: bounds memory in a replay of years
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
_REPORT_S = 10.0

Connection = psycopg.Connection[Any]


class Runner:
    """Judges the trends of one database until `stop` is set.

    `channels` names the outbox channels that each change goes to. `clock` returns the wall clock, aware UTC.
    `judging` is told how it goes; to stand by while another runner judges is well too.
    """

    def __init__(
        self,
        settings: Settings,
        channels: list[str],
        stop: threading.Event,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        judging: Beat | None = None,
    ) -> None:
        self._settings = settings
        self._journal = Journal(settings.alerting.step_minutes, channels)
        self._stop = stop
        self._clock = clock
        self._judging = judging or Beat()
        self._detector: SurgeDetector | None = None
        self._since: datetime | None = None
        self._saved: dict[str, bytes] = {}
        self._shown: set[Series] = set()
        self._reported = 0.0
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
                        self._judging.good()
                        pause = _FIRST_PAUSE_S
                        if drained and until_drained:
                            return True
                        self._stop.wait(self._settings.alerting.poll_s)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self.leading.clear()
                self._judging.bad("the database fails")
                log.warning("the database failed: %s; next try in %.1f s", str(error).strip().split("\n")[0], pause)
                self._stop.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
        return False

    def run_once(self) -> bool:
        """Judge what is final now; returns as `advance` does. Raises psycopg.Error if the database fails."""
        with self._lead() as connection:
            return self.advance(connection)

    @contextmanager
    def _lead(self) -> Iterator[Connection]:
        with connect(self._settings, autocommit=True) as connection:
            self._take_lead(connection)
            self._recall(connection)
            yield connection

    def _take_lead(self, connection: Connection) -> None:
        told = False
        while not self._stop.is_set():
            row = connection.execute(QUERIES["try_lock"], {"key": _LOCK}).fetchone()
            if row and row[0]:
                self.leading.set()
                return
            if not told:
                log.info("another alerting process is at work; standing by")
                told = True
            self._judging.good()
            self._stop.wait(self._settings.alerting.poll_s)

    def _recall(self, connection: Connection) -> None:
        """Read the detector back, or let it learn again from the trends if its state does not fit the settings."""
        self._detector, self._saved, self._since = None, {}, None
        progress = self._journal.read_progress(connection)
        if progress is None:
            return
        self._since = progress.since
        parts = self._journal.read_state(connection)
        try:
            self._detector = SurgeDetector.restored(self._settings.alerting, parts)
            self._saved = parts
            log.info("resumed at %s", self._journal.time_of(self._detector.position).isoformat())
        except InputError as error:
            log.warning("%s; learning again from the trends since %s", error, progress.since.isoformat())
            self._relearn(connection, progress)

    def _relearn(self, connection: Connection, progress: Progress) -> None:
        detector = SurgeDetector(self._settings.alerting, self._journal.step_of(progress.since))
        target = self._journal.step_of(progress.judged_until)
        while detector.position < target and not self._stop.is_set():
            detector.judge(self._journal.read_counts(connection, detector.position, self._block_end(detector, target)))
        self._detector = detector

    def advance(self, connection: Connection) -> bool:
        """Judge all that is final; returns whether every replay is drained and judged."""
        watermark = self._find_watermark(connection)
        if watermark.at is None:
            self._report(watermark, final=False)
            return watermark.drained
        detector = self._detector or self._begin(connection, watermark.at)
        if detector is None:
            return watermark.drained
        self._detector = detector
        target = self._journal.step_of(watermark.at)
        moved = False
        while detector.position < target and not self._stop.is_set():
            end = self._block_end(detector, target)
            self._judge(connection, detector, end, watermark.drained and end == target)
            moved = True
        judged = detector.position >= target
        if judged and not moved:
            self._note_drained(connection, detector, watermark.drained)
        if moved:
            self._show(detector.readings(), self._journal.time_of(detector.position))
        self._report(watermark, final=watermark.drained and moved)
        return watermark.drained and judged

    def _judge(self, connection: Connection, detector: SurgeDetector, end: int, drained: bool) -> None:
        counts = self._journal.read_counts(connection, detector.position, end)
        changes = detector.judge(counts)
        parts = detector.dump()
        changed = {name: body for name, body in parts.items() if self._saved.get(name) != body}
        assert self._since is not None  # set when the detector began
        progress = Progress(self._since, self._journal.time_of(end), drained)
        with connection.transaction():
            opened = self._journal.record(connection, changes)
            self._journal.refresh(connection, detector)
            self._journal.save(connection, changed, progress)
        self._saved = parts
        self.alerts += opened
        for change in changes:
            if change.kind != "peaked":
                metrics.ALERTS.labels(state="open" if change.kind == "opened" else "closed").inc()
                surge = change.surge
                log.info(
                    "%s %s at %s: %g negative stories in %d min, %.1f expected, score %.1f",
                    change.series,
                    change.kind,
                    self._journal.time_of(change.step + 1).isoformat(),
                    surge.observed,
                    surge.window * self._settings.alerting.step_minutes,
                    surge.expected,
                    surge.score,
                )

    def _note_drained(self, connection: Connection, detector: SurgeDetector, drained: bool) -> None:
        progress = self._journal.read_progress(connection)
        if progress is not None and progress.drained != drained:
            until = self._journal.time_of(detector.position)
            self._journal.save(connection, {}, Progress(progress.since, until, drained))

    def _begin(self, connection: Connection, watermark: datetime) -> SurgeDetector | None:
        """A detector for a database that was never judged, or None while there is nothing to judge.

        On live feeds it begins now: what feeds still list of the past is thinned out, and what comes next would look
        like a surge against it. A replay brings its own history.
        """
        if self._settings.alerting.clock == "wall" and not read_replays(connection):
            self._since = watermark
        else:
            first = self._journal.first_minute(connection)
            if first is None:
                return None
            self._since = min(first, watermark).replace(hour=0, minute=0)
        detector = SurgeDetector(self._settings.alerting, self._journal.step_of(self._since))
        self._since = self._journal.time_of(detector.position)
        self._saved = detector.dump()
        with connection.transaction():
            self._journal.save(connection, self._saved, Progress(self._since, self._since, False))
        log.info("judging from %s", self._since.isoformat())
        return detector

    def _block_end(self, detector: SurgeDetector, target: int) -> int:
        """The step a block ends with: a midnight where it can, since whole days are judged at once."""
        per_day = detector.shape.steps_per_day
        return min(target, (detector.position // per_day + _BLOCK_DAYS) * per_day)

    def _find_watermark(self, connection: Connection) -> Watermark:
        alerting = self._settings.alerting
        with connection.transaction():
            # one snapshot: a replay that begins in between must not be taken for part of a drained ledger
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            replays = read_replays(connection)
            partitions = read_partitions(connection, self._settings.topic("messages"))
        return find_watermark(
            partitions,
            replays,
            clock=alerting.clock,
            now=self._clock(),
            lateness=timedelta(seconds=alerting.allowed_lateness_s),
            step=timedelta(minutes=alerting.step_minutes),
        )

    def _show(self, readings: list[Reading], judged_until: datetime) -> None:
        metrics.WATERMARK_SECONDS.set(judged_until.timestamp())
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

    def _report(self, watermark: Watermark, final: bool) -> None:
        if not final and time.monotonic() - self._reported < _REPORT_S:
            return
        self._reported = time.monotonic()
        judged = "nothing" if self._detector is None else self._journal.time_of(self._detector.position).isoformat()
        log.info(
            "judged until %s, watermark %s, %d alerts opened%s",
            judged,
            watermark.at.isoformat() if watermark.at else "not known yet",
            self.alerts,
            ", drained" if watermark.drained else "",
        )
