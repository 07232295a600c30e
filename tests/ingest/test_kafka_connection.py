from __future__ import annotations

import logging
import ssl
import threading
import time
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from core.errors import BrokerUnreachable, SettingsError
from core.kafka import client_options, ensure_topics, wait_for_broker
from core.records import Message, decode
from core.settings import KafkaSettings, Settings, load_settings
from ingest.cleaning import clean_message
from ingest.producer import DeliveryFailed, MessageProducer
from tests.certificates import Authority
from tests.ingest.ingest_helpers import Broker, Topics, make_settings, start_broker, stop_broker
from tests.ports import free_port


def with_kafka(settings: Settings, **changes: object) -> Settings:
    section = KafkaSettings(**{**settings.kafka.model_dump(), **changes})
    return settings.model_copy(update={"kafka": section})


def test_topics_are_created_as_set_and_left_alone_after(settings: Settings) -> None:
    ensure_topics(with_kafka(settings, partitions=7))
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers)
    try:
        names = [settings.topic(name) for name in ("messages", "classified", "alerts", "dead-letters")]
        counts = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(names)}
    finally:
        admin.close()
    assert [counts[name] for name in names] == [4, 4, 1, 1]


def test_security_settings_become_client_options(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority").path
    settings = load_settings(
        kafka={
            "bootstrap_servers": "a:1, b:2,",
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_username": "u",
            "sasl_password": "p",
            "ssl_cafile": str(authority),
        }
    )
    options = client_options(settings)
    context = options.pop("ssl_context")
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert [certificate["subject"] for certificate in context.get_ca_certs()] == [((("commonName", "authority"),),)]
    assert options == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
    }


def test_settings_that_cannot_work_are_named(tmp_path: Path) -> None:
    base = make_settings("a:1", tmp_path)
    with pytest.raises(SettingsError, match="sasl_username"):
        client_options(with_kafka(base, security_protocol="SASL_PLAINTEXT"))
    with pytest.raises(SettingsError, match="no such file"):
        client_options(with_kafka(base, security_protocol="SSL", ssl_cafile=tmp_path / "none.pem"))
    with pytest.raises(BrokerUnreachable, match="newstide up"):
        client_options(with_kafka(base, bootstrap_servers=None))


def test_an_unreachable_broker_is_waited_for_and_then_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"127.0.0.1:{free_port()}"
    settings = with_kafka(make_settings(address, tmp_path), start_timeout_s=2.5)
    with caplog.at_level(logging.WARNING), pytest.raises(BrokerUnreachable, match=address):
        wait_for_broker(settings)
    assert f"waiting for Kafka at {address}" in caplog.text
    with pytest.raises(BrokerUnreachable):
        ensure_topics(settings)


def test_a_broker_that_comes_late_is_found(tmp_path: Path) -> None:
    port = free_port()
    settings = with_kafka(make_settings(f"127.0.0.1:{port}", tmp_path), start_timeout_s=60)
    started: list[Broker] = []

    def start_late() -> None:
        time.sleep(0.7)
        started.append(start_broker(port))

    thread = threading.Thread(target=start_late)
    thread.start()
    try:
        wait_for_broker(settings)
        assert started
    finally:
        thread.join()
        stop_broker(started[0])


def test_a_delivery_that_fails_is_raised(tmp_path: Path) -> None:
    broker = start_broker()
    settings = make_settings(broker.address, tmp_path)
    ensure_topics(settings)
    producer = MessageProducer(settings, delivery_timeout_s=1)
    message = clean_message({"text": "x"}, source="a")
    try:
        metadata = producer.wait(producer.send(message))
        assert metadata.offset == 0
        stop_broker(broker)
        with pytest.raises(DeliveryFailed, match="did not acknowledge"):
            producer.deliver([message], timeout_s=10)
    finally:
        producer.close(timeout_s=0.5)
        stop_broker(broker)


def test_many_threads_share_a_producer(settings: Settings, producer: MessageProducer) -> None:
    messages: list[Message] = [clean_message({"text": f"text {i}"}, source="a") for i in range(200)]
    threads = [
        threading.Thread(target=producer.deliver, args=(messages[i::8],), kwargs={"timeout_s": 30}) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = Topics(settings).records("messages", 200)
    assert {decode(record.value).id for record in records} == {message.id for message in messages}


def test_tries_at_an_absent_broker_leave_nothing_open(settings: Settings) -> None:
    absent = with_kafka(settings, bootstrap_servers=f"127.0.0.1:{free_port()},localhost:{free_port()}")
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("this system does not list the descriptors of a process")
    before = len(list(descriptors.iterdir()))
    for _ in range(10):
        with pytest.raises(BrokerUnreachable, match="no Kafka broker answers"):
            ensure_topics(absent)
    assert len(list(descriptors.iterdir())) <= before + 1
