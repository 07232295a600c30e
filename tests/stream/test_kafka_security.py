"""TLS and SASL to a real Apache Kafka: every client, every mechanism, and what goes wrong."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from alerting.delivery.alerts_topic import AlertsTopic
from alerting.delivery.channel import Delivery, Notice
from core.errors import BrokerUnreachable, SettingsError
from core.kafka import ensure_topics, wait_for_broker
from core.settings import Settings, load_settings
from core.topics import TopicReader
from ingest.producer import MessageProducer
from stream.faust_app import _credentials
from tests.certificates import Authority
from tests.ports import free_port
from tests.stream.harness import (
    Workers,
    ask,
    committed,
    make_settings,
    needs_kafka,
    real_kafka,
    scenario_messages,
    wait_until,
)

pytestmark = [pytest.mark.kafka, needs_kafka]
PASSWORD = 'a word, with "quotes" = and {braces}'
PLAIN_PASSWORD = "a-plain-word"
MECHANISMS = {"SCRAM-SHA-256": PASSWORD, "SCRAM-SHA-512": PASSWORD, "PLAIN": PLAIN_PASSWORD}
KEY_PASSWORD = "of-the-key"
COUNT = 40


@dataclass(frozen=True)
class Secured:
    """A broker with one listener that asks for a name and password over TLS, and one for a client certificate."""

    open: str
    sasl: str
    mutual: str
    directory: Path

    def sasl_settings(self, mechanism: str = "SCRAM-SHA-512", **changes: object) -> dict[str, object]:
        return {
            "bootstrap_servers": self.sasl,
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": mechanism,
            "sasl_username": "newstide",
            "sasl_password": MECHANISMS[mechanism],
            "ssl_cafile": str(self.directory / "authority.pem"),
            "partitions": 4,
            "start_timeout_s": 60,
        } | changes

    def mutual_settings(self, **changes: object) -> dict[str, object]:
        return {
            "bootstrap_servers": self.mutual,
            "security_protocol": "SSL",
            "ssl_cafile": str(self.directory / "authority.pem"),
            "ssl_certfile": str(self.directory / "client.crt"),
            "ssl_keyfile": str(self.directory / "client.key"),
            "ssl_password": KEY_PASSWORD,
            "partitions": 4,
            "start_timeout_s": 60,
        } | changes


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    directory = tmp_path_factory.mktemp("secured")
    authority = Authority(directory, "authority")
    Authority(directory, "stranger")
    broker = authority.issue("broker.internal", "127.0.0.1").both
    authority.issue("client", password=KEY_PASSWORD)
    sasl, mutual = (f"127.0.0.1:{free_port()}" for _ in range(2))
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    plain = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_newstide="{PLAIN_PASSWORD}";'
    properties = {
        "listeners": f"PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{next}},LOGIN://{sasl},MUTUAL://{mutual}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{{port}},LOGIN://{sasl},MUTUAL://{mutual}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_SSL,MUTUAL:SSL",
        "sasl.enabled.mechanisms": ",".join(MECHANISMS),
        "listener.name.login.scram-sha-256.sasl.jaas.config": scram,
        "listener.name.login.scram-sha-512.sasl.jaas.config": scram,
        "listener.name.login.plain.sasl.jaas.config": plain,
        "listener.name.mutual.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(broker),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.path),
    }
    with real_kafka(directory, **properties) as servers:
        _add_user(servers)
        yield Secured(servers, sasl, mutual, directory)


@pytest.fixture(autouse=True)
def _no_sockets_for_other_tests() -> Iterator[None]:
    yield
    gc.collect()


def _add_user(servers: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=servers)
    try:
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):  # one a request, Kafka says
            answer = admin.alter_user_scram_credentials([UserScramCredentialUpsertion("newstide", mechanism, PASSWORD)])
            assert set(answer.values()) == {None}
    finally:
        admin.close()


def _settings(kafka: dict[str, object]) -> Settings:
    return load_settings(kafka=kafka)


@pytest.mark.parametrize("way", ["sasl", "mutual"])
def test_from_the_producer_to_the_database(
    secured: Secured, way: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = secured.sasl_settings() if way == "sasl" else secured.mutual_settings()
    kafka["topic_prefix"] = f"{way}."
    for name, value in kafka.items():
        monkeypatch.setenv(f"NEWSTIDE_KAFKA__{name.upper()}", str(value))
    settings = make_settings(str(kafka["bootstrap_servers"]), database_url, tmp_path)
    wait_for_broker(settings)
    ensure_topics(settings)
    producer = MessageProducer(settings)
    producer.deliver(scenario_messages(COUNT), timeout_s=30)
    producer.close()
    workers = Workers(settings, tmp_path)
    try:
        workers.start(0)
        wait_until(lambda: committed(settings) >= COUNT or not workers.running(0), "all committed", within_s=180)
        assert committed(settings) == COUNT, workers.log(0)[-2000:]
        assert ask(settings, "SELECT count(*) FROM message") == [(COUNT,)]
        # What is classified is published after the commit; the worker is killed below.
        wait_until(lambda: _written(settings, "classified") >= COUNT, "all published", within_s=60)
    finally:
        workers.close()
    alerts = AlertsTopic(settings)
    alerts.send(Delivery("once", "all:all", (Notice({"status": "firing"}),)))
    alerts.close()
    assert [_written(settings, name) for name in ("messages", "classified", "alerts")] == [COUNT, COUNT, 1]


def _written(settings: Settings, name: str) -> int:
    with TopicReader(settings) as reader:
        logs = reader.read(settings.topic(name))
    return 0 if logs is None else sum(part.end for part in logs.partitions.values())


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_both_kinds_of_clients_speak_every_mechanism(secured: Secured, mechanism: str) -> None:
    settings = _settings(secured.sasl_settings(mechanism))
    wait_for_broker(settings)

    async def ask_as_faust_does() -> frozenset[str]:
        options = credentials_to_aiokafka_auth(_credentials(settings.kafka))
        consumer = AIOKafkaConsumer(bootstrap_servers=secured.sasl, **options)
        await consumer.start()
        try:
            return frozenset(await consumer.topics())
        finally:
            await consumer.stop()

    ensure_topics(settings)
    assert settings.topic("messages") in asyncio.run(ask_as_faust_does())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sasl_password": "not it"}, "refuse the credentials.*sasl_password"),
        ({"sasl_mechanism": "PLAIN"}, "refuse the credentials.*sasl_mechanism"),
        ({"ssl_cafile": "stranger.pem"}, "not trusted: unable to get local issuer.*ssl_cafile"),
        ({"bootstrap_servers": "localhost"}, "not trusted: Hostname mismatch.*name the hosts"),
        (
            {"bootstrap_servers": "mutual", "security_protocol": "SSL"},
            "the TLS handshake: .*certificate.*ssl_certfile",
        ),
    ],
    ids=lambda value: "-".join(map(str, value.items() if isinstance(value, dict) else ())) or "said",
)
def test_what_can_never_work_is_said_at_once(secured: Secured, changes: dict[str, str | None], said: str) -> None:
    servers = {"localhost": secured.sasl.replace("127.0.0.1", "localhost"), "mutual": secured.mutual}
    if name := changes.get("bootstrap_servers"):
        changes = changes | {"bootstrap_servers": servers[name]}
    if changes.get("ssl_cafile"):
        changes = changes | {"ssl_cafile": str(secured.directory / "stranger.pem")}
    # Far longer than the test may take: whoever waits here fails it.
    settings = _settings(secured.sasl_settings(**changes, start_timeout_s=3600))
    with pytest.raises(BrokerUnreachable, match=said):
        wait_for_broker(settings)


@pytest.mark.parametrize("protocol", ["SASL_SSL", "PLAINTEXT"])
def test_a_broker_of_another_protocol_is_given_up_in_time(secured: Secured, protocol: str) -> None:
    """It ends the connection without a word, as a broker does that is starting behind a proxy."""
    server = secured.open if protocol == "SASL_SSL" else secured.sasl
    changes = {"bootstrap_servers": server, "security_protocol": protocol, "start_timeout_s": 2}
    with pytest.raises(BrokerUnreachable, match=f"{server} within 2 s.*check .*kafka.security_protocol"):
        wait_for_broker(_settings(secured.sasl_settings(**changes)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ssl_cafile": "client.key"}, "`kafka.ssl_cafile`: .* holds no PEM certificate"),
        ({"ssl_keyfile": "broker.internal.key"}, "`kafka.ssl_certfile` and `kafka.ssl_keyfile`"),
        ({"ssl_password": None}, "or the key needs `kafka.ssl_password`"),
        ({"ssl_certfile": None}, "`kafka.ssl_keyfile` needs `kafka.ssl_certfile`"),
    ],
)
def test_files_that_do_not_fit_are_named(secured: Secured, changes: dict[str, str | None], said: str) -> None:
    placed = {
        name: str(secured.directory / value) if value and name != "ssl_password" else value
        for name, value in changes.items()
    }
    with pytest.raises(SettingsError, match=said):
        wait_for_broker(_settings(secured.mutual_settings(**placed)))
