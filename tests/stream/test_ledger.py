"""The ledger inside the worker's transaction: every offset once, whatever is delivered how often."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine

from core.bundle import load_bundle
from core.classifier import Classifier
from core.dead_letters import DeadLetter
from core.epochs import find_changes, suspects
from core.settings import Settings
from core.store.connection import connect
from core.store.faults import is_content_refused, is_outage
from core.store.ledger import (
    Epoch,
    LedgerChange,
    PartitionProgress,
    change_ledger,
    read_epochs,
    read_ledger,
    skip_offsets,
)
from core.store.partitions import drop_partition, ensure_partitions, old_partitions
from core.store.recount import audit_store
from core.topics import LogRange, TopicLogs
from stream.batch import Record
from stream.commit import Committer
from stream.entities import load_watchlist
from stream.ledger import LedgerMismatch, TopicLedger, find_unread
from stream.pipeline import Pipeline
from tests.stream.harness import as_input, make_settings, scenario_messages

TOPIC = "newstide.messages"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return make_settings("127.0.0.1:1", database_url, tmp_path)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(load_bundle(make_settings("127.0.0.1:1", "", Path()).bundle_directory))


Process = Callable[..., list[DeadLetter]]


@pytest.fixture
def process(settings: Settings, engine: Engine, classifier: Classifier) -> Iterator[Process]:
    """Runs records through a pipeline; the dead letters it sent."""
    opened: list[Pipeline] = []

    def run(records: list[Record], held: Iterable[int] | None = None, model: Any = classifier) -> list[DeadLetter]:
        letters: list[DeadLetter] = []
        asked = None if held is None else lambda partition, start, stop: (o for o in held if start <= o < stop)
        made = Pipeline(
            [model],
            load_watchlist(),
            Committer(TopicLedger(TOPIC, asked), timedelta(hours=72)),
            lambda: connect(settings, autocommit=True),
            letters.extend,
            retry_max_s=1,
        )
        opened.append(made)
        made.process(records)
        return letters

    yield run
    for pipeline in opened:
        pipeline.close()


def records(first: int, last: int, *, partition: int = 0, epoch: int = 1, shift: int = 0) -> list[Record]:
    sent = as_input(scenario_messages(last))[first:]
    return [
        Record(TOPIC, partition, number + shift, key, value, epoch=epoch)
        for number, (key, value) in enumerate(sent, start=first)
    ]


def change(settings: Settings, statements: str) -> None:
    with connect(settings, autocommit=True) as connection:
        connection.execute(statements)  # type: ignore[arg-type]


def bad(offset: int, value: bytes = b"no json") -> Record:
    return Record(TOPIC, 0, offset, b"bad", value)


def _counters(epoch: Epoch) -> tuple[int, int, int, int]:
    return epoch.messages, epoch.duplicates, epoch.dead_letters, epoch.gaps


def counts(engine: Engine) -> list[tuple[int, ...]]:
    return [
        (
            e.partition,
            e.epoch,
            e.first_offset or 0,
            e.next_offset or 0,
            e.messages,
            e.duplicates,
            e.dead_letters,
            e.gaps,
        )
        for e in read_epochs(engine)
    ]


def test_unread_records_and_what_is_missing_between_them() -> None:
    found = [Record(TOPIC, 0, offset, None, None) for offset in (3, 4, 5, 4, 5, 8, 9, 12)]
    unread, missing = find_unread(found, 4)
    assert [record.offset for record in unread] == [4, 5, 8, 9, 12]
    assert missing == [range(6, 8), range(10, 12)]
    assert find_unread(found[:2], None) == (found[:2], [])
    assert find_unread(found, 20) == ([], [])


def test_every_offset_is_one_of_four_things(process: Process, engine: Engine) -> None:
    """Good ones, a key that comes again in the batch and later, dead letters, a hole; all of it delivered twice."""
    good = records(0, 20)
    again = [Record(TOPIC, 0, 20 + n, r.key, r.value) for n, r in enumerate([good[3], good[3]])]
    first = [*good, *again, bad(22), bad(23)]
    rest = [Record(TOPIC, 0, 30 + r.offset, r.key, r.value) for r in records(0, 25)]
    process(first, held=())
    assert counts(engine) == [(0, 1, 0, 24, 20, 2, 2, 0)]
    process(first[5:], held=())
    assert counts(engine) == [(0, 1, 0, 24, 20, 2, 2, 0)]
    process(first[10:] + rest, held=())
    assert counts(engine) == [(0, 1, 0, 55, 25, 22, 2, 6)]
    found = audit_store(engine)
    assert found.exact
    assert found.counted == found.stored == 25


def test_a_halved_batch_is_accounted_for(process: Process, engine: Engine, settings: Settings) -> None:
    """Postgres refuses one message: the batch is cut until it stands alone, and each part advances its own offsets."""
    sent = [*records(0, 30), bad(30)]
    victim = sent[17]
    change(
        settings,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF NEW.id = '{(victim.key or b'').decode()}' THEN RAISE program_limit_exceeded; END IF; "
        "RETURN NEW; END $$; CREATE TRIGGER refuse BEFORE INSERT ON message FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    letters = process(sent, held=())
    assert {letter.value for letter in letters} == {victim.value, b"no json"}
    assert counts(engine) == [(0, 1, 0, 31, 29, 0, 2, 0)]
    assert audit_store(engine).exact


def test_a_hole_that_kafka_does_not_confirm_ends_the_batch(process: Process, engine: Engine) -> None:
    """The consumer skipped records, or the database is older than the consumer: reading on would lose them."""
    sent = records(0, 30)
    process(sent[:10], held=range(30))
    with pytest.raises(LedgerMismatch, match="holds a record at offset 10"):
        process(sent[20:], held=range(30))
    assert counts(engine) == [(0, 1, 0, 10, 10, 0, 0, 0)]
    process(sent[20:], held=range(20, 30))
    assert counts(engine) == [(0, 1, 0, 30, 20, 0, 0, 10)]


def test_what_was_read_of_an_epoch_that_is_over_counts_there(process: Process, engine: Engine) -> None:
    """Records under way while another process begins an epoch exist nowhere else any more."""
    process(records(0, 10), held=())
    begin = LedgerChange(0, 1, "begin_epoch", 0, 0)
    assert change_ledger(engine, TOPIC, "b", [begin], replayed=True) == [begin]
    process(records(10, 14), held=())
    process(records(12, 20, epoch=2, shift=-12), held=())
    assert counts(engine) == [(0, 1, 0, 14, 14, 0, 0, 0), (0, 2, 0, 8, 6, 2, 0, 0)]
    assert audit_store(engine).exact


def test_records_of_an_epoch_the_database_does_not_know_are_refused(process: Process, engine: Engine) -> None:
    process(records(0, 10), held=())
    with pytest.raises(LedgerMismatch, match="older than they are"):
        process(records(10, 14, epoch=2), held=())
    assert counts(engine) == [(0, 1, 0, 10, 10, 0, 0, 0)]


def test_what_was_read_of_a_partition_that_was_closed_counts_there(process: Process, engine: Engine) -> None:
    """A batch of it may be under way while another process closes it; it must not open the partition once more."""
    process([*records(0, 10), *records(0, 10, partition=1)], held=())
    close = LedgerChange(1, 1, "close")
    assert change_ledger(engine, TOPIC, "b", [close], replayed=True) == [close]
    process([*records(10, 14, partition=1), *records(10, 12)], held=())
    assert counts(engine) == [(0, 1, 0, 12, 10, 2, 0, 0), (1, 1, 0, 14, 4, 10, 0, 0)]
    assert [row.partition for row in read_ledger(engine, TOPIC)] == [0]
    again = LedgerChange(1, None, "open", 0, 0)
    change_ledger(engine, TOPIC, "c", [again], replayed=True)
    process(records(14, 16, partition=1), held=())
    process(records(0, 5, partition=1, epoch=2), held=())
    begin = LedgerChange(1, 2, "begin_epoch", 0, 0)
    assert change_ledger(engine, TOPIC, "d", [begin], replayed=True) == [begin]
    assert [(epoch, read) for place, epoch, _, read, *_ in counts(engine) if place == 1] == [(1, 16), (2, 5), (3, 0)]
    assert audit_store(engine).exact


def test_a_partition_that_only_history_knows_is_opened_in_a_new_epoch(process: Process, engine: Engine) -> None:
    process(records(0, 10), held=())
    change_ledger(engine, TOPIC, "a", [LedgerChange(0, 1, "close")], replayed=True)
    with pytest.raises(LedgerMismatch, match="older than they are"):
        process(records(0, 10, epoch=3), held=())
    process(records(0, 4, epoch=2), held=())
    assert counts(engine) == [(0, 1, 0, 10, 10, 0, 0, 0), (0, 2, 0, 4, 0, 4, 0, 0)]


def test_a_ledger_that_opened_an_epoch_twice_goes_on(process: Process, engine: Engine, settings: Settings) -> None:
    """As versions before left it: epoch 1 in the history, and another epoch 1 that is read."""
    process(records(0, 10), held=())
    change_ledger(engine, TOPIC, "a", [LedgerChange(0, 1, "close")], replayed=True)
    change(settings, f"INSERT INTO offset_ledger (topic, partition, topic_id) VALUES ('{TOPIC}', 0, 'b')")
    process([*records(10, 14, shift=-10), *records(0, 3, partition=1)], held=())
    begin = LedgerChange(0, 1, "begin_epoch", 0, 0)
    assert change_ledger(engine, TOPIC, "c", [begin], replayed=True) == [begin]
    process(records(14, 20, epoch=3, shift=-14), held=())
    assert [(place, epoch, read) for place, epoch, _, read, *_ in counts(engine)] == [
        (0, 1, 10),
        (0, 2, 4),
        (0, 3, 6),
        (1, 1, 3),
    ]
    assert audit_store(engine).exact


def test_one_epoch_begins_however_many_find_it(engine: Engine) -> None:
    change_ledger(engine, TOPIC, "a", [LedgerChange(p, None, "open", 0, 9) for p in range(4)], replayed=True)
    made: list[LedgerChange] = []
    ready = threading.Barrier(6)

    def begin() -> None:
        changes = [LedgerChange(p, 1, "begin_epoch", 0, 0) for p in range(3)] + [LedgerChange(3, 1, "close")]
        ready.wait()
        made.extend(change_ledger(engine, TOPIC, "b", changes, replayed=True))

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(change.partition for change in made) == [0, 1, 2, 3]
    assert [(row.partition, row.epoch, row.topic_id) for row in read_ledger(engine, TOPIC)] == [
        (0, 2, "b"),
        (1, 2, "b"),
        (2, 2, "b"),
    ]
    assert [epoch.epoch for epoch in read_epochs(engine) if not epoch.current] == [1, 1, 1, 1]


def test_skipping_is_done_by_one_and_never_backwards(engine: Engine) -> None:
    change_ledger(engine, TOPIC, "a", [LedgerChange(0, None, "open", 5, 9)], replayed=True)
    (row,) = read_ledger(engine, TOPIC)
    assert skip_offsets(engine, TOPIC, row, 8)
    assert not skip_offsets(engine, TOPIC, row, 9)
    assert counts(engine) == [(0, 1, 5, 8, 0, 0, 0, 3)]


def _row(partition: int, next_offset: int | None, topic_id: str | None = "a", epoch: int = 1) -> PartitionProgress:
    return PartitionProgress(partition, epoch, topic_id, 0, next_offset, None, None, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("row", "logs", "refused", "action"),
    [
        (None, TopicLogs("a", {0: LogRange(3, 9)}), (), "open"),
        (_row(0, 5), TopicLogs("a", {0: LogRange(0, 9)}), (), None),
        (_row(0, 5), TopicLogs("a", {0: LogRange(8, 9)}), (), None),
        (_row(0, 5), TopicLogs("b", {0: LogRange(0, 9)}), (), "begin_epoch"),
        (_row(0, 5), TopicLogs("a", {0: LogRange(0, 2)}), (0,), "begin_epoch"),
        (_row(0, 5), TopicLogs("a", {0: LogRange(0, 2)}), (), None),
        (_row(0, 5, None), TopicLogs(None, {0: LogRange(0, 9)}), (), None),
        (_row(0, 5, None), TopicLogs("a", {0: LogRange(0, 9)}), (), "adopt_id"),
        (_row(0, 5), TopicLogs(None, {0: LogRange(0, 9)}), (), None),
        (_row(0, None, None), TopicLogs("a", {0: LogRange(0, 9)}), (), "begin_reading"),
        (_row(0, 5), TopicLogs("a", {}), (), "close"),
    ],
)
def test_changes_that_make_the_ledger_fit(
    row: PartitionProgress | None, logs: TopicLogs, refused: tuple[int, ...], action: str | None
) -> None:
    changes = find_changes([row] if row else [], logs, refused)
    assert [change.action for change in changes] == ([action] if action else [])


def test_rows_ahead_of_their_log_are_suspect() -> None:
    logs = TopicLogs("a", {0: LogRange(0, 9), 1: LogRange(0, 9), 2: LogRange(0, 9)})
    assert [row.partition for row in suspects([_row(0, 9), _row(1, 10), _row(2, None), _row(3, 5)], logs)] == [1]


def test_an_old_epoch_can_not_be_balanced_and_a_wrong_one_is_named(engine: Engine, settings: Settings) -> None:
    old = Epoch(TOPIC, 0, 0, None, 50, 40, 0, 1, 0, False)
    assert old.unaccounted is None
    assert Epoch(TOPIC, 0, 1, 10, 50, 30, 5, 2, 2, True).unaccounted == 1
    change_ledger(engine, TOPIC, "a", [LedgerChange(0, None, "open", 0, 9)], replayed=True)
    assert audit_store(engine).exact
    (row,) = read_ledger(engine, TOPIC)
    skip_offsets(engine, TOPIC, row, 8)
    change(settings, "UPDATE offset_ledger SET gaps = gaps - 2")
    found = audit_store(engine)
    assert not found.exact
    assert [epoch.unaccounted for epoch in found.unbalanced] == [2]


def test_messages_without_an_offset_are_found(process: Process, engine: Engine, settings: Settings) -> None:
    """A message that was stored twice over, or lost, is in no trend difference when its trend row agrees with it."""
    process(records(0, 10), held=())
    assert audit_store(engine).exact
    change(settings, "UPDATE offset_ledger SET messages = messages - 1, duplicates = duplicates + 1")
    found = audit_store(engine)
    assert not found.unbalanced
    assert not found.differences
    assert not found.exact
    assert (found.counted, found.stored) == (9, 10)


def test_letters_are_no_messages_whatever_the_prefix_of_their_topic(
    process: Process, engine: Engine, settings: Settings
) -> None:
    """`kafka.topic_prefix` was another one before."""
    process(records(0, 10), held=())
    for topic in ("newstide.dead-letters", "old.dead-letters", "dead-letters"):
        change_ledger(engine, topic, "a", [LedgerChange(0, None, "open", 0, 9)], replayed=False)
    change(settings, "UPDATE offset_ledger SET messages = 3, next_offset = 3 WHERE topic LIKE '%letters'")
    found = audit_store(engine)
    assert (found.counted, found.stored) == (10, 10)
    assert found.exact


class Numb:
    """A model that answers NaN for some texts; `broken` fails its own test too."""

    def __init__(self, real: Classifier, scores: float, broken: bool = False) -> None:
        self.name, self.languages = real.name, real.languages
        self.labels, self._real = real.labels, real
        self.entity_labels = ()
        self._scores, self._broken = scores, broken

    def self_test(self) -> None:
        if self._broken:
            raise ArithmeticError("the model answers nonsense")

    def predict(self, texts: list[str]) -> dict[str, NDArray[np.float32]]:
        found = {task: table.copy() for task, table in self._real.predict(texts).items()}
        for position, text in enumerate(texts):
            if "Numbing nylon" in text:
                found["sentiment"][position, 1] = self._scores
        return found


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf"), 1e30, -0.5])
def test_scores_that_are_no_probabilities_set_the_message_aside(
    process: Process, engine: Engine, classifier: Classifier, score: float
) -> None:
    messages = scenario_messages(5)
    messages[2].text, messages[2].title = "Numbing nylon drives a model mad", ""
    sent = [Record(TOPIC, 0, n, key, value) for n, (key, value) in enumerate(as_input(messages))]
    with pytest.raises(ArithmeticError):
        process(sent, model=Numb(classifier, score, broken=True))
    letters = process(sent, model=Numb(classifier, score))
    assert [letter.value for letter in letters] == [sent[2].value]
    assert "no probabilities" in letters[0].reason
    assert counts(engine) == [(0, 1, 0, 5, 4, 0, 1, 0)]
    assert audit_store(engine).exact


def test_only_what_may_heal_is_an_outage() -> None:
    outages = (
        psycopg.OperationalError("server closed the connection unexpectedly"),
        psycopg.errors.AdminShutdown(),
        psycopg.errors.CannotConnectNow(),
        psycopg.errors.DiskFull(),
        psycopg.errors.TooManyConnections(),
        psycopg.errors.DeadlockDetected(),
        psycopg.errors.SerializationFailure(),
        psycopg.errors.LockNotAvailable(),
        psycopg.errors.ReadOnlySqlTransaction(),
        psycopg.errors.ConnectionFailure(),
    )
    for error in outages:
        assert is_outage(error), error
        assert not is_content_refused(error), error
    refused = (psycopg.errors.ProgramLimitExceeded(), psycopg.errors.NumericValueOutOfRange(), psycopg.DataError("NUL"))
    for fault in (*refused, UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogate"), OverflowError()):
        assert is_content_refused(fault), fault
        assert not (isinstance(fault, psycopg.Error) and is_outage(fault)), fault
    for fault in (psycopg.errors.UndefinedTable(), psycopg.errors.CheckViolation(), TypeError(), KeyError()):
        assert not is_content_refused(fault), fault
        assert not (isinstance(fault, psycopg.Error) and is_outage(fault)), fault


def test_the_audit_stays_green_after_retention(process: Process, engine: Engine, settings: Settings) -> None:
    """Messages of a dropped day can't be counted again: their minutes are named as unchecked, the others still hold."""
    process(records(0, 60))
    with connect(settings, autocommit=True) as connection:
        ensure_partitions(connection, date(2020, 5, 1))
        connection.execute(
            "UPDATE message SET stored_on = '2020-05-01' WHERE uid IN "
            "(SELECT uid FROM message ORDER BY published_at LIMIT 20)"
        )
        for partition in old_partitions(connection, date(2021, 1, 1)):
            drop_partition(connection, partition)
    found = audit_store(engine)
    assert (found.stored, found.dropped, found.counted) == (40, 20, 60)
    assert found.unchecked > 0
    assert found.exact, found.differences[:3]
    change(settings, "UPDATE trend SET positive = positive + 1 WHERE minute = (SELECT max(minute) FROM trend)")
    assert not audit_store(engine).exact
