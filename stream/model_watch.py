"""Follows the registry: notified and polling, it makes new models ready in the background and hands them over.

The pipeline switches between two batches, and models of other languages go on as they were. A model that can't be used
is refused loudly and the old one goes on; it is tried again when the registry changes, or after a pause where the shelf
did not answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from core import metrics
from core.errors import NewstideError, ShelfUnreachable
from core.fitting import in_order
from core.serving import Served, in_service, registered
from core.store.models import CHANNEL, list_models, read_version
from core.store.worker_models import RunningModel, report_worker
from stream.models import ModelLoader, choose_start
from stream.pipeline import TextClassifier
from stream.shadow import Shadow

log = logging.getLogger(__name__)

Role = Literal["live", "shadow"]
Slot = tuple[Role, str]  # the language that the model is for
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
        self._use: Callable[..., None] = lambda *_: None
        self._running: dict[Slot, tuple[Identity, TextClassifier]] = {}
        self._refused: dict[Slot, _Refusal] = {}
        self._reported: list[RunningModel] | None = None
        self._report_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)

    def begin(self) -> list[TextClassifier]:
        """The classifiers to start with, in order; see `choose_start`. Raises BundleError if there is none."""
        version = read_version(self._engine)
        start = choose_start(self._engine, self._loader)
        for language, (model, classifier) in start.running.items():
            self._running["live", language] = _identity(model), classifier
        for model, error in start.refused:
            self._refuse(("live", model.language), model, version, error)
        self._show()
        return self._classifiers("live")

    def follow(self, use: Callable[..., None]) -> None:
        """From now on hand the live models to `use` whenever one of them is another, in a thread of its own, until
        `close`."""
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
        failures = self._shadow.take_failures()
        for slot, (identity, _) in list(self._running.items()):
            if slot[0] == "shadow" and identity[0] in failures:
                del self._running[slot]
                self._refused[slot] = _Refusal(identity, version, failures[identity[0]])
        live = list_models(self._engine, "live")
        self._adopt("live", in_service(live, self._loader.configured), version)
        self._adopt("shadow", [registered(row) for row in list_models(self._engine, "shadow")], version)
        for role in get_args(Role):
            metrics.MODEL_REFUSED.labels(role).set(any(slot[0] == role for slot in self._refused))
        for row in live:
            if self._runs(("live", row.language), registered(row)):
                metrics.MODEL_REGISTERED_AT.labels(row.name).set(row.created_at.timestamp())
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

    def _classifiers(self, role: Role) -> list[TextClassifier]:
        return in_order(classifier for slot, (_, classifier) in self._running.items() if slot[0] == role)

    def _runs(self, slot: Slot, model: Served) -> bool:
        return slot in self._running and self._running[slot][0] == _identity(model)

    def _adopt(self, role: Role, wanted: Sequence[Served], version: int) -> None:
        """Run the `wanted` models in `role`, and no others, as far as they can be used."""
        before = self._classifiers(role)
        for model in wanted:
            slot = role, model.language
            if self._runs(slot, model):
                self._refused.pop(slot, None)
            elif not self._stays_refused(slot, model, version):
                self._load(slot, model, version)
        self._drop(role, wanted)
        after = self._classifiers(role)
        if after != before:
            self._hand_over(role, after)

    def _load(self, slot: Slot, model: Served, version: int) -> None:
        role = slot[0]
        if role == "shadow" and self._running.pop(slot, None) is not None:
            self._shadow.use(*self._classifiers(role))  # the one before is no longer asked for
        try:
            classifier = self._loader.load(model, strict=model.row is not None)
        except Exception as error:
            self._refuse(slot, model, version, error)
            return
        self._refused.pop(slot, None)
        metrics.MODEL_CHANGES.labels(role, "loaded").inc()
        if role == "live":
            log.info("the model %s replaces %s from the next batch on", model.name, self._name(slot) or "nothing")
        else:
            log.info("%s shadows the live model", model.name)
        self._running[slot] = _identity(model), classifier

    def _drop(self, role: Role, wanted: Sequence[Served]) -> None:
        """Forget what is not wanted, but for models of languages that a refused one was to read."""
        kept = {language for model in wanted if (role, model.language) in self._refused for language in model.languages}
        kept.update(model.language for model in wanted)
        for slot in [slot for slot in (*self._running, *self._refused) if slot[0] == role and slot[1] not in kept]:
            self._refused.pop(slot, None)
            gone = self._running.pop(slot, None)
            if gone is not None:
                log.info("the %s model %s ends", role, gone[0][0])

    def _hand_over(self, role: Role, classifiers: Sequence[TextClassifier]) -> None:
        if role == "shadow":
            self._shadow.use(*classifiers)
            return
        self._use(*classifiers)
        self._show()

    def _stays_refused(self, slot: Slot, model: Served, version: int) -> bool:
        refusal = self._refused.get(slot)
        if refusal is None or (refusal.identity, refusal.version) != (_identity(model), version):
            return False
        return refusal.pause_s is None or time.monotonic() < refusal.again_at

    def _refuse(self, slot: Slot, model: Served, version: int, error: Exception) -> None:
        role, before = slot[0], self._refused.get(slot)
        reason = str(error) if isinstance(error, NewstideError) else f"{type(error).__name__}: {error}"
        refusal = _Refusal(_identity(model), version, reason)
        if isinstance(error, ShelfUnreachable):
            waited = before.pause_s if before is not None and before.identity == refusal.identity else None
            refusal.pause_s = min(waited * 2, _LONGEST_PAUSE_S) if waited else _FIRST_PAUSE_S
            refusal.again_at = time.monotonic() + refusal.pause_s
        self._refused[slot] = refusal
        metrics.MODEL_CHANGES.labels(role, "unreachable" if refusal.pause_s else "refused").inc()
        goes_on = self._name(slot) if role == "live" else None
        log.error(
            "the %s model %s is refused%s: %s", role, model.name, f", {goes_on} goes on" if goes_on else "", reason
        )

    def _name(self, slot: Slot) -> str | None:
        return self._running[slot][0][0] if slot in self._running else None

    def _show(self) -> None:
        metrics.MODEL_IN_USE.clear()
        metrics.MODEL_REGISTERED_AT.clear()
        for classifier in self._classifiers("live"):
            metrics.MODEL_IN_USE.labels(classifier.languages[0], classifier.name).set(1)

    def _report(self) -> None:
        running = [
            self._reported_of(language) for language in sorted({slot[1] for slot in (*self._running, *self._refused)})
        ]
        if running != self._reported or time.monotonic() >= self._report_at:
            report_worker(self._engine, self._worker, running)
            self._reported, self._report_at = running, time.monotonic() + _REPORT_EVERY_S

    def _reported_of(self, language: str) -> RunningModel:
        refusal = self._refused.get(("live", language)) or self._refused.get(("shadow", language))
        shadow = self._name(("shadow", language))
        return RunningModel(
            language,
            self._name(("live", language)),
            shadow if shadow in self._shadow.names else None,
            refusal.identity[0] if refusal else None,
            refusal.reason[:2000] if refusal else None,
        )


def _identity(model: Served) -> Identity:
    return model.name, model.checksum
