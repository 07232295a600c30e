"""The Kafka topic `alerts`."""

from __future__ import annotations

import orjson
from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from alerting.delivery.channel import Delivery, DeliveryFailed
from alerting.delivery.webhook import DEDUPE_HEADER
from core.errors import NewstideError
from core.kafka import client_options, ensure_topics, open_client
from core.settings import Settings


class AlertsTopic:
    """Produces to the `alerts` topic with all acknowledgements. Connects at the first delivery."""

    name = "kafka"
    resend_s = None
    timeout_s = 30.0

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: KafkaProducer | None = None

    def send(self, delivery: Delivery) -> None:
        try:
            if self._producer is None:
                ensure_topics(self._settings)
                options = client_options(self._settings)
                self._producer = open_client(KafkaProducer, **options, acks="all", linger_ms=0)
            self._producer.send(
                self._settings.topic("alerts"),
                key=delivery.key.encode(),
                value=orjson.dumps(delivery.payload),
                headers=[(DEDUPE_HEADER.lower(), delivery.dedupe.encode())],
            ).get(timeout=self.timeout_s)
        except MessageSizeTooLargeError as error:
            raise DeliveryFailed("Kafka takes no record as large as this one", final=True) from error
        except (KafkaError, NewstideError, OSError, ValueError) as error:
            self.close()
            reason = f"Kafka did not take it ({type(error).__name__}: {error})"
            raise DeliveryFailed(reason, unreachable=True) from error

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(timeout=5)
