"""Where the workers' group begins, as autoscalers see it, on both brokers."""

from __future__ import annotations

import time

import pytest
from click.testing import CliRunner
from kafka import KafkaConsumer

from core.kafka import TopicError, client_options, ensure_topics
from core.settings import load_settings
from core.worker_group import GroupOffsets, begin_group, read_group
from newstide.commands.topics import topics


def test_offsets_are_committed_before_the_first_worker_joins(
    bootstrap_servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        assert read_group(settings) == GroupOffsets([], [], active=False)
    assert run.invoke(topics, ["--check", "--wait", "5"], catch_exceptions=False).exit_code == 0


def test_a_group_at_work_is_left_alone(bootstrap_servers: str) -> None:
    settings = load_settings(kafka={"bootstrap_servers": bootstrap_servers, "partitions": 2})
    ensure_topics(settings)
    member = KafkaConsumer(
        settings.topic("messages"),
        **client_options(settings),
        group_id=settings.worker_group,
        enable_auto_commit=False,
        session_timeout_ms=6000,
        heartbeat_interval_ms=2000,
    )
    try:
        deadline = time.monotonic() + 60
        while not member.assignment() and time.monotonic() < deadline:
            member.poll(200)
        found = begin_group(settings)
        assert found == GroupOffsets([], [0, 1], active=True)
        assert found.fault() is None  # its members commit what they read
    finally:
        member.close()
