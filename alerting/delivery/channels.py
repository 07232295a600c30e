"""Where a change of an alert's state is sent: a webhook and a Kafka topic. One try each; the outbox does the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import orjson
from kafka import KafkaProducer
from kafka.errors import KafkaError

from core.errors import NewstideError
from core.kafka import client_options, ensure_topics
from core.settings import Settings

DEDUPE_HEADER = "Newstide-Dedupe"


class DeliveryFailed(NewstideError):
    """A try to deliver failed; the message says why, and the outbox tries again."""


@dataclass(frozen=True)
class Delivery:
    """One change on its way: `dedupe` is the same at every try, `key` names the series."""

    dedupe: str
    key: str
    payload: dict[str, Any]


class Channel(Protocol):
    """A way out. `send` returns once the other side has it, and raises DeliveryFailed otherwise."""

    name: str

    def send(self, delivery: Delivery) -> None: ...

    def close(self) -> None: ...


class Webhook:
    """Posts the payload as JSON; any 2xx answer means it arrived. Redirects are not followed."""

    name = "webhook"

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._client = httpx.Client(timeout=timeout_s, follow_redirects=False)

    def send(self, delivery: Delivery) -> None:
        headers = {"Content-Type": "application/json", DEDUPE_HEADER: delivery.dedupe}
        try:
            answer = self._client.post(self._url, content=orjson.dumps(delivery.payload), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            # neither the URL nor the exception's text, which repeats it: a webhook's address is often a secret
            raise DeliveryFailed(f"the webhook could not be reached ({type(error).__name__})") from error
        if not answer.is_success:
            raise DeliveryFailed(f"the webhook answered with status {answer.status_code}")

    def close(self) -> None:
        self._client.close()


class AlertsTopic:
    """Produces to the `alerts` topic with all acknowledgements. Connects at the first delivery."""

    name = "kafka"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: KafkaProducer | None = None

    def send(self, delivery: Delivery) -> None:
        try:
            if self._producer is None:
                ensure_topics(self._settings)
                self._producer = KafkaProducer(**client_options(self._settings), acks="all", linger_ms=0)
            self._producer.send(
                self._settings.topic("alerts"),
                key=delivery.key.encode(),
                value=orjson.dumps(delivery.payload),
                headers=[(DEDUPE_HEADER.lower(), delivery.dedupe.encode())],
            ).get(timeout=30)
        except (KafkaError, NewstideError, OSError, ValueError) as error:
            self.close()
            raise DeliveryFailed(f"Kafka did not take it ({type(error).__name__}: {error})") from error

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(timeout=5)


def open_channels(settings: Settings) -> list[Channel]:
    """The channels that the settings ask for."""
    channels: list[Channel] = []
    if settings.kafka.bootstrap_servers:
        channels.append(AlertsTopic(settings))
    if settings.alerting.webhook_url:
        channels.append(Webhook(settings.alerting.webhook_url, settings.alerting.webhook_timeout_s))
    return channels
