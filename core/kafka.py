"""Kafka as every process sees it: how to connect, how to wait for the brokers, which topics must exist."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
import time
from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import errors as kafka_errors

from core.errors import BrokerUnreachable, NewstideError, SettingsError
from core.settings import KafkaSettings, Settings
from core.tls import client_context, handshake_fault

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 5.0
_FIRST_TRY_S = 1.0
_LONGEST_TRY_S = 10.0
_CONNECT_S = 5.0
_REFUSED_CREDENTIALS = (kafka_errors.SaslAuthenticationFailedError, kafka_errors.UnsupportedSaslMechanismError)

Client = TypeVar("Client", KafkaAdminClient, KafkaConsumer, KafkaProducer)


class TopicError(NewstideError):
    """Kafka refuses a topic that newstide needs; the message holds the broker's reason."""


def client_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments that every kafka-python client takes: the brokers and the security settings.

    Raises BrokerUnreachable if no brokers are set, SettingsError for security settings that can't work.
    """
    kafka = settings.kafka
    servers = [server.strip() for server in (kafka.bootstrap_servers or "").split(",") if server.strip()]
    if not servers:
        raise BrokerUnreachable(
            "no Kafka brokers are set; run `newstide up`, which brings an embedded broker, "
            "or set NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS=host:port"
        )
    options: dict[str, Any] = {
        "bootstrap_servers": servers,
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.startswith("SASL"):
        password = kafka.sasl_password
        if not kafka.sasl_username or password is None:
            raise SettingsError(
                f"kafka.security_protocol is {kafka.security_protocol}; it needs kafka.sasl_username and "
                "kafka.sasl_password (NEWSTIDE_KAFKA__SASL_USERNAME, NEWSTIDE_KAFKA__SASL_PASSWORD)"
            )
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": password.get_secret_value(),
        }
    context = tls_context(kafka)
    return options if context is None else options | {"ssl_context": context}


def open_client(kind: type[Client], **options: Any) -> Client:
    """A client of kafka-python, to be closed by the caller. Raises what its class raises, and leaves nothing open then:
    one that finds no broker would keep its sockets and its thread, and whoever waits for brokers tries for ever."""
    timeout_ms: float = options.get("bootstrap_timeout_ms", kind.DEFAULT_CONFIG["bootstrap_timeout_ms"])
    _find_listener(options["bootstrap_servers"], timeout_ms / 1000)
    connections: list[Any] = []

    def connect(**given: Any) -> Any:
        connections.append(kind.DEFAULT_CONFIG["kafka_client"](**given))
        return connections[-1]

    try:
        return kind(**options, kafka_client=connect)
    except BaseException:
        for connection in connections:
            connection.close()
        raise


def _find_listener(servers: list[str], timeout_s: float) -> None:
    """Return where one of `servers` takes connections, else raise KafkaConnectionError with the reason of the last:
    kafka-python leaves each socket that is refused to the collector of garbage."""
    for place, server in enumerate(servers, start=1):
        host, _, port = server.rpartition(":")
        if not host or not port.isdigit():
            return  # the client knows more ways to write an address
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout_s / len(servers)).close()
            return
        except OSError as error:
            if place == len(servers):
                raise kafka_errors.KafkaConnectionError(str(error)) from error


def tls_context(kafka: KafkaSettings) -> ssl.SSLContext | None:
    """What every client of the brokers speaks TLS with; None where the protocol has none.

    Raises SettingsError for files that are missing or are none.
    """
    if not kafka.security_protocol.endswith("SSL"):
        return None
    password = kafka.ssl_password.get_secret_value() if kafka.ssl_password else None
    return client_context(kafka.ssl_cafile, kafka.ssl_certfile, kafka.ssl_keyfile, password, "kafka")


def wait_for_broker(settings: Settings, stop: threading.Event | None = None) -> None:
    """Return once a broker answers a metadata request, or once `stop` is set.

    Tries again with growing pauses, saying so in the log. Raises BrokerUnreachable after
    `kafka.start_timeout_s` seconds, and at once if the brokers refuse the
    credentials or show a certificate that is not trusted.
    """
    options = client_options(settings)
    stop = stop or threading.Event()
    deadline = time.monotonic() + settings.kafka.start_timeout_s
    pause, patience = _FIRST_PAUSE_S, _FIRST_TRY_S
    while not stop.is_set():
        left = deadline - time.monotonic()
        try:
            _ask_for_topics(options, max(0.5, min(patience, left)))
            return
        except _REFUSED_CREDENTIALS as error:
            raise _refused(settings, error) from error
        except kafka_errors.KafkaConfigurationError as error:
            raise SettingsError(f"the kafka settings can't work: {error}") from error
        except (kafka_errors.KafkaError, OSError, ValueError) as error:
            _refuse_hopeless(settings, options)
            left = deadline - time.monotonic()
            if left <= 0:
                raise BrokerUnreachable(
                    f"no Kafka broker answered at {settings.kafka.bootstrap_servers} within "
                    f"{settings.kafka.start_timeout_s:g} s ({type(error).__name__}: {error}); check the address in "
                    "NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS, the network and kafka.security_protocol"
                ) from error
            log.warning(
                "waiting for Kafka at %s (%s); %.0f s left before giving up",
                settings.kafka.bootstrap_servers,
                type(error).__name__,
                left,
            )
            stop.wait(min(pause, left))
            pause, patience = min(pause * 2, _LONGEST_PAUSE_S), min(patience * 2, _LONGEST_TRY_S)


def prepare_topics(settings: Settings) -> None:
    """Wait for the brokers, then create the topics that are missing. Raises what the two raise."""
    wait_for_broker(settings)
    ensure_topics(settings)


def ensure_topics(settings: Settings) -> None:
    """Create what is missing of `messages`, `classified`, `alerts` and `dead-letters`; leave existing topics alone.

    Raises TopicError with the broker's reason, BrokerUnreachable if no broker answers.
    """
    kafka = settings.kafka
    partitions = {"messages": kafka.partitions, "classified": kafka.partitions, "alerts": 1, "dead-letters": 1}
    admin = connect_admin(settings)
    try:
        present = set(admin.list_topics())
        missing = {
            settings.topic(name): {
                "num_partitions": count,
                "replication_factor": kafka.replication,
                "configs": {"retention.ms": str(kafka.retention_hours * 3_600_000)},
            }
            for name, count in partitions.items()
            if settings.topic(name) not in present
        }
        if missing:
            _create(admin, missing)
            admin.wait_for_topics(list(missing), timeout_ms=30_000)
    except kafka_errors.KafkaError as error:
        raise TopicError(f"the topics of newstide can't be prepared: {error}; see the broker's log") from error
    finally:
        admin.close()


def _refused(settings: Settings, reason: object) -> BrokerUnreachable:
    return BrokerUnreachable(
        f"the Kafka brokers at {settings.kafka.bootstrap_servers} refuse the credentials: {reason}; "
        "check kafka.sasl_username, kafka.sasl_password and kafka.sasl_mechanism"
    )


def _refuse_hopeless(settings: Settings, options: dict[str, Any]) -> None:
    """Raise BrokerUnreachable where the brokers' TLS, or what they say of the credentials, makes waiting useless."""
    context = options.get("ssl_context")
    fault = context and handshake_fault(options["bootstrap_servers"], context, _CONNECT_S)
    if fault is None and "sasl_mechanism" in options:
        # Over TLS kafka-python loses a refusal that is followed by the end of the connection; aiokafka reads it.
        refusals = [asyncio.run(_log_in(server, options)) for server in options["bootstrap_servers"]]
        if all(refusals):
            raise _refused(settings, refusals[0])
    if fault:
        raise BrokerUnreachable(
            f"no Kafka broker can be talked to: {fault}; check kafka.ssl_cafile, kafka.ssl_certfile, "
            "kafka.ssl_keyfile, kafka.security_protocol, and that the brokers' certificates name the hosts in "
            "kafka.bootstrap_servers"
        )


async def _log_in(server: str, options: dict[str, Any]) -> str | None:
    """Why the broker at `server` refuses the credentials; None where it does not, or says nothing."""
    # a tenth of a second at every start, for a case that is rare and ends it
    from aiokafka import errors as aiokafka_errors
    from aiokafka.conn import create_conn

    host, _, port = server.rpartition(":")
    security = {name: value for name, value in options.items() if name != "bootstrap_servers"}
    try:
        async with asyncio.timeout(_CONNECT_S):
            connection = await create_conn(host.strip("[]"), int(port), **security)
    except aiokafka_errors.BrokerResponseError as error:
        return str(error)
    except (aiokafka_errors.KafkaError, OSError, ValueError):
        return None
    connection.close()
    return None


def connect_admin(settings: Settings) -> KafkaAdminClient:
    """An admin client, to be closed by the caller. Raises BrokerUnreachable."""
    try:
        timeout_ms = int(_CONNECT_S * 1000)
        return open_client(KafkaAdminClient, **client_options(settings), bootstrap_timeout_ms=timeout_ms)
    except (kafka_errors.KafkaError, OSError, ValueError) as error:
        raise BrokerUnreachable(
            f"no Kafka broker answers at {settings.kafka.bootstrap_servers}: {error}; check the address and the network"
        ) from error


def _ask_for_topics(options: dict[str, Any], timeout_s: float) -> None:
    admin = open_client(KafkaAdminClient, **options, bootstrap_timeout_ms=int(timeout_s * 1000))
    try:
        admin.list_topics()
    finally:
        admin.close()


def _create(admin: KafkaAdminClient, topics: dict[str, dict[str, Any]]) -> None:
    response = admin.create_topics(topics, raise_errors=False)
    for topic in response["topics"]:
        fault = kafka_errors.for_code(topic["error_code"])
        if fault in (kafka_errors.NoError, kafka_errors.TopicAlreadyExistsError):
            continue
        raise TopicError(
            f"topic `{topic['name']}` can't be created: {topic.get('error_message') or fault.__name__}; create it "
            "yourself, or mend kafka.partitions, kafka.replication or the rights of the Kafka user"
        )
