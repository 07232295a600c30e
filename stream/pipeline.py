"""A batch from records to the committed store: decode, link, classify, commit; what can't be processed is set aside.

Everything here blocks and runs in one executor thread. `process` returns once the batch is in the database for good,
or raises: then nothing of it may be acknowledged, and the process ends.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

import numpy as np
import psycopg
from kafka.errors import KafkaError
from numpy.typing import NDArray

from core import metrics
from core.classifier import Reading, text_form
from core.dead_letters import DeadLetter, dead_letter
from core.fitting import reader_of
from core.mentions import Spans
from core.store.faults import is_content_refused, is_outage
from stream.batch import Batch, Classified, Item, Record, Rejected, Scores, decode_records, label, leave_unread, link
from stream.commit import Committed, Committer
from stream.entities import Watchlist
from stream.repeats import Repeats

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.1


class TextClassifier(Protocol):
    """What the pipeline asks of a classifier (see `core.classifier.Classifier`)."""

    @property
    def name(self) -> str: ...
    @property
    def languages(self) -> Sequence[str]: ...
    @property
    def entity_labels(self) -> Sequence[str]: ...
    def labels(self, task: str) -> Sequence[str]: ...
    def predict(self, texts: Sequence[str]) -> Mapping[str, NDArray[np.float32]]: ...
    def read(self, forms: Sequence[str], mentions: Sequence[Sequence[Spans]]) -> Reading: ...
    def self_test(self) -> None: ...


class Pipeline:
    """One worker's work. `classifiers` are those of the models in service, each for a language, as `in_order` has them;
    `send_dead_letters` returns once Kafka has them; `connect` opens a database connection.

    `observe` is told of each committed batch: its classified messages, and the uids stored for the first time. It must
    neither block nor raise.
    """

    def __init__(
        self,
        classifiers: Sequence[TextClassifier],
        watchlist: Watchlist,
        committer: Committer,
        connect: Callable[[], psycopg.Connection[Any]],
        send_dead_letters: Callable[[Sequence[DeadLetter]], None],
        retry_max_s: float,
        observe: Callable[[Sequence[Classified], frozenset[UUID]], None] | None = None,
    ) -> None:
        self._classifiers = tuple(classifiers)
        self._watchlist = watchlist
        self._committer = committer
        self._connect = connect
        self._send_dead_letters = send_dead_letters
        self._retry_max_s = retry_max_s
        self._observe = observe
        self._connection: psycopg.Connection[Any] | None = None
        self.waiting_for_database = False
        self.stopping = threading.Event()

    def use(self, *classifiers: TextClassifier) -> None:
        """Label the next batch, and those after it, with `classifiers`. From any thread; a batch under way goes on."""
        self._classifiers = classifiers

    def process(self, records: Sequence[Record]) -> list[Classified]:
        """Store `records`; the classified messages among them that are to be published, new or not, in order.

        Records that the ledger has passed already are what the store made of them: see `stream.rereading`.

        Raises whatever can't be handled by trying again or by setting one message aside.
        """
        classifiers = self._classifiers  # the same for the whole batch, whatever `use` brings meanwhile
        metrics.BATCH_MESSAGES.observe(len(records))
        with timed("decode"):
            decoded, undecodable = decode_records(records)
        with timed("link"):
            items, unlinkable = link(decoded, self._watchlist)
        with timed("classify"):
            classified, poison = _classify(classifiers, items, self._watchlist)
        rejected = [*undecodable, *unlinkable, *poison]
        batch = Batch(records, classified, sorted(rejected, key=lambda r: (r.record.partition, r.record.offset)))
        if batch.rejected:
            self._send_dead_letters([_letter(reject) for reject in batch.rejected])
        with timed("store"):
            return self._store(batch)

    def close(self) -> None:
        """Give up waiting for the database and close the connection."""
        self.stopping.set()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _store(self, batch: Batch) -> list[Classified]:
        try:
            committed = self._commit_until_done(batch)
        except Exception as error:
            if not is_content_refused(error):
                raise
            return self._store_halves(batch, error)
        _count(batch, committed)
        if self._observe is not None:
            self._observe(batch.classified, committed.stored)
        return committed.classified

    def _store_halves(self, batch: Batch, error: Exception) -> list[Classified]:
        """Postgres refused the content: find the message it refuses, set it aside, and store the others."""
        if len(batch.classified) == 1:
            reject = Rejected(batch.classified[0].item.record, f"it can't be stored: {str(error).strip()}")
            self._send_dead_letters([_letter(reject)])
            alone = Batch(batch.records, [], [*batch.rejected, reject])
            _count(alone, self._commit_until_done(alone))
            return []
        if not batch.classified:
            raise error
        middle = batch.classified[len(batch.classified) // 2].item.record
        at = next(i for i, record in enumerate(batch.records) if record is middle)
        halves = [_part(batch, batch.records[:at]), _part(batch, batch.records[at:])]
        return [item for half in halves for item in self._store(half)]

    def _commit_until_done(self, batch: Batch) -> Committed:
        """Commit, trying again for as long as the database is away or asks for another try."""
        pause = _FIRST_PAUSE_S
        while True:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = self._connect()
                committed = self._committer.commit(self._connection, batch)
                self.waiting_for_database = False
                return committed
            except (psycopg.Error, KafkaError) as error:
                if self.stopping.is_set() or (isinstance(error, psycopg.Error) and not is_outage(error)):
                    raise
                self.waiting_for_database = True
                metrics.DATABASE_RETRIES.inc()
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                log.warning(
                    "%s failed (%s); %d messages are held, next try in %.1f s",
                    "the database" if isinstance(error, psycopg.Error) else "Kafka, asked about missing offsets,",
                    reason,
                    len(batch.records),
                    pause,
                )
                if self._connection is not None and not isinstance(error, psycopg.errors.DeadlockDetected):
                    self._connection.close()
            if self.stopping.wait(pause):
                raise InterruptedError("stopped while the database was away; the batch comes again")
            pause = min(pause * 2, self._retry_max_s)


def _classify(
    classifiers: Sequence[TextClassifier], items: Sequence[Item], watchlist: Watchlist
) -> tuple[list[Classified], list[Rejected]]:
    """Each of `items` by the classifier that reads its language, in their order, and those that one failed on."""
    readers = [reader_of(item.language, classifiers) for item in items]
    outcomes: dict[int, Classified | Rejected] = {}
    for classifier in (*classifiers, None):
        mine = [at for at, reader in enumerate(readers) if reader is classifier]
        if mine:
            found = _label(classifier, [items[at] for at in mine], watchlist)
            outcomes.update(zip(mine, found, strict=True))
    done = [outcomes[at] for at in range(len(items))]
    return (
        [outcome for outcome in done if isinstance(outcome, Classified)],
        [outcome for outcome in done if isinstance(outcome, Rejected)],
    )


def _label(
    classifier: TextClassifier | None, items: Sequence[Item], watchlist: Watchlist
) -> list[Classified | Rejected]:
    """`items` with the labels of `classifier`, if any; those that it fails on are rejected."""
    try:
        return [*_read(classifier, items, watchlist)]
    except Exception as error:
        # One message or the model itself? A model that fails its self-test must not turn good messages away.
        log.warning(
            "classifying a batch of %d failed (%s: %s); trying one by one", len(items), type(error).__name__, error
        )
        if classifier is not None:
            classifier.self_test()
    outcomes: list[Classified | Rejected] = []
    for item in items:
        try:
            outcomes += _read(classifier, [item], watchlist)
        except Exception as error:
            reason = f"the classifier failed on it: {type(error).__name__}: {error}"
            outcomes.append(Rejected(item.record, reason))
    return outcomes


def _read(classifier: TextClassifier | None, items: Sequence[Item], watchlist: Watchlist) -> list[Classified]:
    if classifier is None:
        return [leave_unread(item) for item in items]
    topics = classifier.labels("topic")
    if not classifier.entity_labels:
        return label(items, classifier.predict([item.body for item in items]), topics, classifier.name)
    scores, towards = _read_companies(classifier, items, watchlist)
    return label(items, scores, topics, classifier.name, towards)


def _read_companies(
    classifier: TextClassifier, items: Sequence[Item], watchlist: Watchlist
) -> tuple[Scores, list[dict[str, NDArray[np.float32]]]]:
    """Scores of `items`, and of the sentiment towards the companies that each of them names, in one pass."""
    forms = [text_form(item.body) for item in items]
    places = [watchlist.locate(form, item.entities) for form, item in zip(forms, items, strict=True)]
    reading = classifier.read(forms, [list(found.values()) for found in places])
    return reading.scores, reading.by_company(places)


def _part(batch: Batch, records: Sequence[Record]) -> Batch:
    mine = {id(record) for record in records}
    return Batch(
        records,
        [item for item in batch.classified if id(item.item.record) in mine],
        [reject for reject in batch.rejected if id(reject.record) in mine],
    )


def _letter(reject: Rejected) -> DeadLetter:
    record = reject.record
    return dead_letter(
        record.value, reject.reason, origin=record.origin, stage="stream", topic=record.topic, key=record.key
    )


def _count(batch: Batch, committed: Committed) -> None:
    now = datetime.now(UTC)
    metrics.COMMITTED_AT.set(now.timestamp())
    left = set(committed.stored)
    for item in batch.classified:
        if item.item.record not in committed.unread:
            continue  # it was counted when it was committed, and comes again to be published
        message = item.item.message
        outcome = "stored" if item.item.uid in left else "duplicate"
        source = metrics.source_label(message.source)
        if outcome == "stored":
            if item.labels is None:
                metrics.UNREAD.labels(source).inc()
            else:
                metrics.LABELLED.labels(item.labels.model).inc()
        left.discard(item.item.uid)
        metrics.MESSAGES.labels(source, message.kind, outcome).inc()
        metrics.EVENT_TO_COMMIT_SECONDS.observe(max((now - message.received_at).total_seconds(), 0))
    if rejected := sum(reject.record in committed.unread for reject in batch.rejected):
        metrics.MESSAGES.labels("unknown", "unknown", "dead-letter").inc(rejected)
    _count_repeats(committed.repeats)
    for partition, gap in committed.gaps.items():
        metrics.LEDGER_GAPS.labels(batch.records[0].topic, str(partition)).inc(gap)
        log.warning(
            "partition %d skipped %d offsets: records were deleted before they were read, or a log was cut",
            partition,
            gap,
        )


def _count_repeats(repeats: Repeats) -> None:
    metrics.DUPLICATES.labels("same").inc(repeats.same)
    metrics.DUPLICATES.labels("different").inc(repeats.different)
    if repeats.different:
        log.info(
            "%d messages came under the id of an earlier one with other content, and are not counted: %s and the like",
            repeats.different,
            repeats.example,
        )


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Measure the block as one `stage` of a batch."""
    begin = time.perf_counter()
    yield
    metrics.STAGE_SECONDS.labels(stage).observe(time.perf_counter() - begin)
