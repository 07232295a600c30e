"""Where the workers' group begins, as autoscalers see it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from kafka import KafkaConsumer

from core.kafka import TopicError, client_options, ensure_topics
from core.settings import load_settings
from core.worker_group import GroupOffsets, begin_group, read_group
from newstide.commands.topics import topics
from tests.stream.harness import embedded_broker, needs_kafka, real_kafka


def check_the_command(bootstrap_servers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offsets are committed before the first worker joins, once, and `--check` says whether they are."""
    monkeypatch.setenv("NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS", bootstrap_servers)
    monkeypatch.setenv("NEWSTIDE_KAFKA__PARTITIONS", "3")
    settings = load_settings()
    run = CliRunner()
    with pytest.raises(TopicError, match=r"no topic newstide\.messages, .*run `newstide topics`"):
        run.invoke(topics, ["--check"], catch_exceptions=False)
    ensure_topics(settings)
    assert read_group(settings) == GroupOffsets([], [0, 1, 2], active=False)
    with pytest.raises(TopicError, match="partitions 0, 1, 2 have no committed offset yet"):
        run.invoke(topics, ["--check"], catch_exceptions=False)
    for _ in range(2):
        assert run.invoke(topics, [], catch_exceptions=False).exit_code == 0
        found = read_group(settings)
        assert (found.missing, found.without, found.fault()) == ([], [], None)
    assert run.invoke(topics, ["--check", "--wait", "5"], catch_exceptions=False).exit_code == 0


def test_on_the_embedded_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded_broker(tmp_path) as servers:
        check_the_command(servers, monkeypatch)


@pytest.mark.kafka
@needs_kafka
def test_on_kafka_where_a_group_at_work_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with real_kafka(tmp_path) as servers:
        check_the_command(servers, monkeypatch)
        settings = load_settings(kafka={"topic_prefix": "markets.", "partitions": 2})
        ensure_topics(settings)
        options = {"session_timeout_ms": 6000, "heartbeat_interval_ms": 2000, "enable_auto_commit": False}
        topic = settings.topic("messages")
        member = KafkaConsumer(topic, **client_options(settings), group_id=settings.worker_group, **options)
        try:
            deadline = time.monotonic() + 60
            while not member.assignment() and time.monotonic() < deadline:
                member.poll(5000)  # a shorter one can end in the middle of joining, again and again
            assert member.assignment(), "the group took no member within a minute"
            found = begin_group(settings)
            assert found == GroupOffsets([], [0, 1], active=True)
            assert found.fault() is None  # its members commit what they read
        finally:
            member.close(autocommit=False)
