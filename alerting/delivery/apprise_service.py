"""Whatever Apprise knows how to reach: Slack, Teams, e-mail, PagerDuty and a hundred more.

Its addresses hold passwords and tokens. They are kept out of every log and reason here, and so is what Apprise says
itself, but for the reason of a failure without any part of the address.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType, OverflowMode
from apprise.conversion import convert_between

from alerting.delivery.channel import Delivery, DeliveryFailed
from alerting.delivery.message import render
from alerting.delivery.posting import is_final
from alerting.rules.alert_rules import Receiver
from core.errors import InputError
from core.redaction import HIDDEN

_STATUS = re.compile(r"\berror=(\d{3})\b")
_BESIDE = 32  # characters that Apprise may put between title and body, where a service has no titles
_LEAST_PART = 4  # characters of a part of an address that is hidden
_TYPES = {"info": NotifyType.INFO, "warning": NotifyType.WARNING, "critical": NotifyType.FAILURE}

# At `debug` these log addresses, and what Apprise warns of is a reason here.
logging.getLogger("urllib3").setLevel(logging.INFO)
_apprise_log = logging.getLogger("apprise")
_apprise_log.setLevel(logging.WARNING)
_apprise_log.addHandler(logging.NullHandler())
_apprise_log.propagate = False


class AppriseService:
    """One address of Apprise."""

    resend_s = None

    def __init__(self, receiver: Receiver, link: str) -> None:
        self.name = receiver.name
        self.timeout_s = receiver.timeout_s
        self._receiver = receiver
        self._link = link
        url = receiver.url.reveal()
        parts = {part for part in re.split(r"[/:@?&=#,\s]+", url) if len(part) >= _LEAST_PART}
        self._parts = sorted(parts, key=len, reverse=True)
        asset = AppriseAsset(
            app_id="newstide",
            app_desc="newstide",
            app_url="",
            async_mode=False,
            http_redirects=False,
            image_url_mask="",  # no picture from elsewhere
        )
        self._apprise = Apprise(asset=asset)
        if not self._apprise.add(url):
            raise InputError(
                f"receiver `{receiver.name}`: Apprise does not understand its `url` ({receiver.url.origin}); "
                "https://github.com/caronc/apprise/wiki shows the form of each service"
            )
        for service in self._apprise:
            if service.overflow_mode != OverflowMode.SPLIT:  # which its address asks for
                # A message that is too long is refused by most services, and a refusal is final. What `_fits` has not
                # foreseen is cut by Apprise.
                service.overflow_mode = OverflowMode.TRUNCATE

    def send(self, delivery: Delivery) -> None:
        title, body = render(delivery, self._receiver, self._link, self._fits)
        severity = str(delivery.notices[0].document.get("severity", "warning"))
        over = delivery.held is None and delivery.notices[0].document.get("change") in ("resolved", "withdrawn")
        result = self._apprise.notify(
            title=title,
            body=body or title,
            body_format=NotifyFormat.TEXT,
            notify_type=NotifyType.SUCCESS if over else _TYPES.get(severity, NotifyType.WARNING),
            timeout=self.timeout_s,
        )
        if result:
            return
        said = " ".join(entry.message for entry in result.logs())
        statuses = [int(found) for found in _STATUS.findall(said)]
        raise DeliveryFailed(
            f"Apprise could not deliver it: {self._hidden(said)[:200] or result.status.name.lower()}",
            final=bool(statuses) and all(is_final(status) for status in statuses),
            unreachable=not statuses,
        )

    def close(self) -> None:
        pass

    def _fits(self, title: str, body: str) -> bool:
        """Whether every service takes that much, as it is written there; `overflow=split` takes any length."""
        return all(
            service.overflow_mode == OverflowMode.SPLIT
            or _length(title) + _length(_written(service, body)) + _BESIDE <= service.body_maxlen
            for service in self._apprise
        )

    def _hidden(self, text: str) -> str:
        for part in self._parts:
            text = text.replace(part, HIDDEN)
        return text


def _written(service: Any, body: str) -> str:
    """The text in the markup of the service, which is longer."""
    return str(convert_between(NotifyFormat.TEXT, service.resolve_format(NotifyFormat.TEXT), body))


def _length(text: str) -> int:
    """UTF-16 units, which some services count; others count fewer characters."""
    return len(text.encode("utf-16-le")) // 2
