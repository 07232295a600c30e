"""The shadow: a second model of a language labels a sample of the committed messages, in a thread of its own, and
writes no trend.

It never holds the pipeline up: what it has no time for is skipped and counted, and a shadow that fails is switched off.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from uuid import UUID

import numpy as np
import psycopg
from sqlalchemy.exc import SQLAlchemyError

from core import metrics
from core.fitting import TASKS, reader_of
from core.language import ENGLISH
from core.store.shadows import ShadowRow
from stream.batch import Classified
from stream.pipeline import TextClassifier

log = logging.getLogger(__name__)

_MOST_WAITING = 1024  # messages; more would only be memory
_AT_ONCE = 64
_LOOK_EVERY_S = 0.25


class ShadowFailed(Exception):
    """A shadow model gave no usable scores."""


class Shadow:
    """Labels a `share` of what is offered, by the hash that is a message's uid, so that all workers agree on it.

    `store` writes rows under the shadow's name and may raise database errors: those rows are then lost, and counted.
    """

    def __init__(self, store: Callable[[str, Sequence[ShadowRow]], int], share: float) -> None:
        self._store = store
        self._below = round(share * 2**128)
        self._classifiers: tuple[TextClassifier, ...] = ()
        self._waiting: queue.SimpleQueue[list[Classified]] = queue.SimpleQueue()
        self._count = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._failures: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)

    @property
    def names(self) -> list[str]:
        """Names of the models that shadow now."""
        return [classifier.name for classifier in self._classifiers]

    def start(self) -> None:
        """Begin to work on what is offered."""
        self._thread.start()

    def close(self, timeout_s: float = 10) -> None:
        """Leave what still waits, and end the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def use(self, *classifiers: TextClassifier) -> None:
        """Shadow with `classifiers`, each for its language, from now on; without any, with none."""
        with self._lock:
            self._set(classifiers)

    def take_failures(self) -> dict[str, str]:
        """Names of shadows that were switched off, and why, once."""
        with self._lock:
            failures, self._failures = self._failures, {}
            return failures

    def offer(self, classified: Sequence[Classified], stored: frozenset[UUID]) -> None:
        """Take the sample among the messages that were `stored` for the first time and labelled. Never blocks."""
        if not self._classifiers:
            return
        sample = [
            item
            for item in classified
            if item.labels is not None and item.item.uid in stored and item.item.uid.int < self._below
        ]
        if not sample:
            return
        with self._lock:
            if self._count + len(sample) > _MOST_WAITING:
                metrics.SHADOW_MESSAGES.labels("skipped").inc(len(sample))
                return
            self._count += len(sample)
        self._waiting.put(sample)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                sample = self._waiting.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                continue
            for start in range(0, len(sample), _AT_ONCE):
                if not self._stopping.is_set():
                    self._work(sample[start : start + _AT_ONCE])
            with self._lock:
                self._count -= len(sample)

    def _work(self, sample: Sequence[Classified]) -> None:
        classifiers = self._classifiers
        # A message in a language that nobody knows is taken for English, as the live models take it.
        readers = [reader_of(item.item.language or ENGLISH, classifiers) for item in sample]
        for classifier in classifiers:
            mine = [item for item, reader in zip(sample, readers, strict=True) if reader is classifier]
            if mine:
                self._compare(classifier, mine)

    def _compare(self, classifier: TextClassifier, sample: Sequence[Classified]) -> None:
        try:
            rows = compare(classifier, sample)
        except Exception as error:
            log.error("the shadow model %s failed and is switched off", classifier.name, exc_info=True)
            metrics.SHADOW_MESSAGES.labels("failed").inc(len(sample))
            metrics.MODEL_CHANGES.labels("shadow", "failed").inc()
            with self._lock:
                if classifier in self._classifiers:
                    self._failures[classifier.name] = f"it failed on live traffic: {type(error).__name__}: {error}"
                    self._set([other for other in self._classifiers if other is not classifier])
            return
        try:
            self._store(classifier.name, rows)
            _count(rows)
        except (SQLAlchemyError, psycopg.Error) as error:
            log.warning("%d rows of the shadow %s are lost: %s", len(rows), classifier.name, error)
            metrics.SHADOW_MESSAGES.labels("failed").inc(len(rows))

    def _set(self, classifiers: Sequence[TextClassifier]) -> None:
        metrics.SHADOW_IN_USE.clear()
        for classifier in classifiers:
            metrics.SHADOW_IN_USE.labels(classifier.name).set(1)
        self._classifiers = tuple(classifiers)


def _count(rows: Sequence[ShadowRow]) -> None:
    metrics.SHADOW_MESSAGES.labels("stored").inc(len(rows))
    for task in TASKS:
        different = sum(row.live_labels[task] != row.shadow_labels[task] for row in rows)
        metrics.SHADOW_LABELS.labels(task, "different").inc(different)
        metrics.SHADOW_LABELS.labels(task, "same").inc(len(rows) - different)


def compare(shadow: TextClassifier, sample: Sequence[Classified]) -> list[ShadowRow]:
    """Labels that `shadow` gives `sample`, beside those they got. Raises ShadowFailed for scores that are none."""
    scores = shadow.predict([item.item.body for item in sample])
    labels = {task: shadow.labels(task) for task in TASKS}
    rows = []
    for at, item in enumerate(sample):
        assert item.labels is not None  # none other is offered
        given, confidence = {}, 1.0
        for task, names in labels.items():
            row = scores[task][at]
            if not np.isfinite(row).all():
                raise ShadowFailed(f"its scores of `{task}` are no numbers")
            best = int(row.argmax())
            given[task] = names[best]
            confidence = min(confidence, float(row[best]))
        rows.append(
            ShadowRow(
                uid=item.item.uid,
                live=item.labels.model,
                published_at=item.item.message.published_at,
                live_labels={"sentiment": item.labels.sentiment, "topic": item.labels.topic},
                shadow_labels=given,
                confidence=confidence,
            )
        )
    return rows
