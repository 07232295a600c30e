"""What a way out takes and how it fails. One try each; the courier does the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from alerting.rules.schedule import Hold
from core.errors import NewstideError

Labels = dict[str, str]
BUNDLE_VERSION = 2


class DeliveryFailed(NewstideError):
    """A try to deliver failed; the message says why.

    `final`: another try would fail as well. `unreachable`: so would any other delivery now. `retry_after_s`: how long
    the other side asks to be left alone; 0 if it does not.
    """

    def __init__(
        self, message: str, *, final: bool = False, unreachable: bool = False, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(message)
        self.final = final
        self.unreachable = unreachable
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Notice:
    """A change of one incident: its document, and the sets of labels it has and had for an Alertmanager."""

    document: dict[str, Any]
    labels: tuple[Labels, ...] = ()


@dataclass(frozen=True)
class Delivery:
    """What is sent at once: one notice, or those that were `held`. `dedupe` is the same at every try, `key` names the
    series."""

    dedupe: str
    key: str
    notices: tuple[Notice, ...]
    held: Hold | None = None

    @property
    def payload(self) -> dict[str, Any]:
        """For programs: the document; of what was held, one with all the documents as `incidents`."""
        if self.held is None:
            return self.notices[0].document
        documents = [notice.document for notice in self.notices]
        return {"version": BUNDLE_VERSION, "dedupe": self.dedupe, "held": self.held, "incidents": documents}


class Channel(Protocol):
    """A way out, called as the receiver. `send` returns once the other side has it, or raises DeliveryFailed.

    `resend_s`: how often open incidents are sent to it again; None: never. `timeout_s`: how long one try may take.
    """

    @property
    def name(self) -> str: ...
    @property
    def resend_s(self) -> float | None: ...
    @property
    def timeout_s(self) -> float: ...

    def send(self, delivery: Delivery) -> None: ...

    def close(self) -> None: ...
