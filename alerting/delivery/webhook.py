"""A webhook: documents as JSON."""

from __future__ import annotations

from collections.abc import Mapping

from alerting.delivery.channel import Delivery
from alerting.delivery.posting import Post
from alerting.rules.secret import Secret

DEDUPE_HEADER = "Newstide-Dedupe"


class Webhook:
    """Posts the payload as JSON; any 2xx answer means it arrived."""

    resend_s = None

    def __init__(
        self, url: str, timeout_s: float, name: str = "webhook", headers: Mapping[str, Secret] | None = None
    ) -> None:
        self.name = name
        self.timeout_s = timeout_s
        self._post = Post(url, timeout_s, "the webhook", headers)

    def send(self, delivery: Delivery) -> None:
        self._post.send(delivery.payload, {DEDUPE_HEADER: delivery.dedupe})

    def close(self) -> None:
        self._post.close()
