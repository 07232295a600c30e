"""When every dead letter that Kafka holds is in the archive: a real broker and ledger."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from core.dead_letters import dead_letter
from core.epochs import Reconciler
from core.settings import Settings
from core.topics import TopicReader
from ingest.producer import MessageProducer
from newstide.stack.letters import LettersArchived


@pytest.fixture
def settings(broker_settings: Settings) -> Settings:
    return broker_settings


def test_letters_of_other_runs_and_deleted_ones_do_not_count(settings: Settings, engine: Engine) -> None:
    archived = LettersArchived(lambda: settings)
    assert not archived(engine)  # the ledger knows nothing of the topic yet
    with TopicReader(settings) as reader:
        Reconciler(engine, reader, settings).reconcile()
    assert archived(engine)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO dead_letter (id, origin, stage, topic, value, reason, failed_at) "
                "SELECT gen_random_uuid(), n::text, 'ingest', 't', '', 'r', now() FROM generate_series(1, 5) AS n"
            )
        )
    producer = MessageProducer(settings)
    letters = [dead_letter(b"x", "bad", origin=f"f:{n}", stage="ingest", topic="t") for n in range(2)]
    producer.deliver([], letters, timeout_s=30)
    producer.close()
    assert not archived(engine)
    advance = text("UPDATE offset_ledger SET next_offset = :next WHERE topic = :topic")
    for read, done in ((1, False), (2, True)):
        with engine.begin() as connection:
            connection.execute(advance, {"next": read, "topic": settings.topic("dead-letters")})
        assert archived(engine) is done
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM dead_letter"))
    assert archived(engine)
    archived.close()
