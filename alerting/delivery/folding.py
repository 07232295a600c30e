"""What is left to tell of the changes that waited together. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from alerting.delivery.channel import Notice

_OVER = ("resolved", "withdrawn")
SUPERSEDED = "a later change was sent before this one was due"
OVER_IN_TIME = "it was over before its time came"


@dataclass
class Bundle:
    """`notices` of the incidents that are still to be sent, made from the rows `included`; `dropped` rows by
    the reason."""

    notices: list[Notice] = field(default_factory=list)
    included: list[int] = field(default_factory=list)
    dropped: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))


def fold(rows: Iterable[Any]) -> Bundle:
    """The latest change of each incident, in the order in which the incidents came.

    An incident that began and ended meanwhile is worth a line in a digest, but not in the message after quiet hours;
    one that was withdrawn is in neither. `rows` come from the query `held_due`.
    """
    incidents: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        incidents[row.incident].append(row)
    bundle = Bundle()
    for changes in incidents.values():
        numbers = [row.id for row in changes]
        last = changes[-1]
        began = not last.notified_before and any(row.payload["change"] == "opened" for row in changes)
        change = last.payload["change"]
        if last.superseded:
            bundle.dropped[SUPERSEDED] += numbers
        elif began and change in _OVER and (last.held == "quiet" or change == "withdrawn"):
            bundle.dropped[OVER_IN_TIME] += numbers
        else:
            payload = {**last.payload, "change": "opened" if began and change == "updated" else change}
            bundle.notices.append(Notice(payload, tuple(last.labels)))
            bundle.included += numbers
    return bundle
