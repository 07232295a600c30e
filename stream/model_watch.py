"""Follows the registry: notified and polling, it makes new models ready in the background and hands them over.

The pipeline switches between two batches. A model that can't be used is refused loudly and the old one goes on; it is
tried again when the registry changes, or after a pause where the shelf did not answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from core import metrics
from core.errors import NewstideError, ShelfUnreachable
from core.store.models import CHANNEL, ModelRow, find_model, read_version, report_worker
from stream.models import ModelLoader, choose_start
from stream.pipeline import TextClassifier
from stream.shadow import Shadow

log = logging.getLogger(__name__)

Role = Literal["live", "shadow"]
Identity = tuple[str, str]  # name, checksum

_LISTEN_S = 0.5
_REPORT_EVERY_S = 10
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 300.0


@dataclass(slots=True)
class _Refusal:
    """A model that was not taken, at which version of the registry, and when to try again if time may mend it."""

    identity: Identity
    version: int
    reason: str
    pause_s: float | None = None
    again_at: float = 0.0


class ModelWatch:
    """One worker's models. Call `begin` once for the first one, then `follow`; all changes happen in its thread."""

    def __init__(
        self,
        engine: Engine,
        connect: Callable[[], psycopg.Connection[Any]],
        loader: ModelLoader,
        shadow: Shadow,
        worker: str,
        poll_s: float,
    ) -> None:
        self._engine = engine
        self._connect = connect
        self._loader = loader
        self._shadow = shadow
        self._worker = worker
        self._poll_s = poll_s
        self._use: Callable[[TextClassifier], None] = lambda _: None
        self._model = ""
        self._current: dict[Role, Identity | None] = {"live": None, "shadow": None}
        self._refused: dict[Role, _Refusal] = {}
        self._reported: tuple[Any, ...] | None = None
        self._report_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)

    def begin(self) -> TextClassifier:
        """The classifier to start with; see `choose_start`. Raises BundleError if there is none."""
        version = read_version(self._engine)
        start = choose_start(self._engine, self._loader)
        self._current["live"] = start.classifier.name, start.checksum
        live = find_model(self._engine, state="live")
        if start.refused is not None and live is not None:
            self._refuse("live", live, version, start.refused)
        self._name(start.classifier)
        return start.classifier

    def follow(self, use: Callable[[TextClassifier], None]) -> None:
        """From now on hand each new live model to `use`, in a thread of its own, until `close`."""
        self._use = use
        self._thread.start()

    def close(self, timeout_s: float = 10) -> None:
        """End the thread; a model that it is loading is left."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def look(self) -> None:
        """Read the registry once and act on what changed. Raises database errors."""
        version = read_version(self._engine)
        failure = self._shadow.take_failure()
        shadow = self._current["shadow"]
        if failure is not None and shadow is not None:
            self._current["shadow"] = None
            self._refused["shadow"] = _Refusal(shadow, version, failure)
        live = find_model(self._engine, state="live")
        self._adopt("live", live, version)
        self._adopt("shadow", find_model(self._engine, state="shadow"), version)
        for role in get_args(Role):
            metrics.MODEL_REFUSED.labels(role).set(role in self._refused)
        if live is not None and live.name == self._model:
            metrics.MODEL_REGISTERED_AT.labels(live.name).set(live.created_at.timestamp())
        self._report()

    def _run(self) -> None:
        connection: psycopg.Connection[Any] | None = None
        next_look = 0.0
        while not self._stopping.is_set():
            try:
                if connection is None or connection.closed:
                    connection = self._connect()
                    connection.execute(f"LISTEN {CHANNEL}")
                    next_look = 0.0  # what was announced before nobody heard
                if time.monotonic() >= next_look:
                    self.look()
                    next_look = time.monotonic() + self._poll_s
                if list(connection.notifies(timeout=_LISTEN_S, stop_after=1)):
                    next_look = 0.0
            except (psycopg.Error, SQLAlchemyError) as error:
                log.debug("the registry of models can't be read: %s", error)
                if connection is not None:
                    connection.close()
                self._stopping.wait(_LISTEN_S)
            except Exception:
                log.exception("following the registry of models failed; trying again")
                self._stopping.wait(self._poll_s)
        if connection is not None:
            connection.close()

    def _adopt(self, role: Role, row: ModelRow | None, version: int) -> None:
        if row is None:
            self._refused.pop(role, None)
            if role == "shadow" and self._current["shadow"] is not None:
                log.info("the shadow %s ends", self._current["shadow"][0])
                self._current["shadow"] = None
                self._shadow.use(None)
            return
        if self._current[role] == _identity(row):
            self._refused.pop(role, None)
            return
        if self._stays_refused(role, row, version):
            return
        if role == "shadow":
            self._shadow.use(None)  # the one before is no longer asked for
            self._current["shadow"] = None
        try:
            classifier = self._loader.load(row)
        except Exception as error:
            self._refuse(role, row, version, error)
            return
        self._refused.pop(role, None)
        self._current[role] = _identity(row)
        metrics.MODEL_CHANGES.labels(role, "loaded").inc()
        if role == "live":
            log.info("the model %s replaces %s from the next batch on", row.name, self._model)
            self._use(classifier)
            self._name(classifier)
        else:
            log.info("%s shadows the live model", row.name)
            self._shadow.use(classifier)

    def _stays_refused(self, role: Role, row: ModelRow, version: int) -> bool:
        refusal = self._refused.get(role)
        if refusal is None or (refusal.identity, refusal.version) != (_identity(row), version):
            return False
        return refusal.pause_s is None or time.monotonic() < refusal.again_at

    def _refuse(self, role: Role, row: ModelRow, version: int, error: Exception) -> None:
        before = self._refused.get(role)
        reason = str(error) if isinstance(error, NewstideError) else f"{type(error).__name__}: {error}"
        refusal = _Refusal(_identity(row), version, reason)
        if isinstance(error, ShelfUnreachable):
            waited = before.pause_s if before is not None and before.identity == refusal.identity else None
            refusal.pause_s = min(waited * 2, _LONGEST_PAUSE_S) if waited else _FIRST_PAUSE_S
            refusal.again_at = time.monotonic() + refusal.pause_s
        self._refused[role] = refusal
        metrics.MODEL_CHANGES.labels(role, "unreachable" if refusal.pause_s else "refused").inc()
        log.error(
            "the %s model %s is refused%s: %s",
            role,
            row.name,
            f", {self._model} goes on" if role == "live" and self._model else "",
            reason,
        )

    def _name(self, classifier: TextClassifier) -> None:
        before, self._model = self._model, classifier.name
        metrics.MODEL_IN_USE.labels(self._model).set(1)
        if before and before != self._model:
            metrics.MODEL_IN_USE.remove(before)
            metrics.MODEL_REGISTERED_AT.clear()

    def _report(self) -> None:
        refusal = self._refused.get("live") or self._refused.get("shadow")
        now = (
            self._model,
            self._shadow.name,
            refusal.identity[0] if refusal else None,
            refusal.reason[:2000] if refusal else None,
        )
        if now != self._reported or time.monotonic() >= self._report_at:
            report_worker(self._engine, self._worker, *now)
            self._reported, self._report_at = now, time.monotonic() + _REPORT_EVERY_S


def _identity(row: ModelRow) -> Identity:
    return row.name, row.checksum
