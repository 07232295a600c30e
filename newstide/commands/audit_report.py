"""What `newstide audit` says: of each check what was found, and what could not be checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from core.store.ledger import Epoch
from core.store.recount import Audit


def audit_lines(audit: Audit) -> Iterator[str]:
    """The audit for a person, the verdict of each check last."""
    for row in audit.differences:
        yield f"{row.kind}={row.name} {row.minute:%Y-%m-%d %H:%M}: stored {row.stored}, counted {row.counted}"
    if audit.differences:
        yield f"trends: {len(audit.differences)} or more rows differ from the recount"
    else:
        yield "trends: every row equals the recount"
    for epoch in audit.unbalanced:
        yield (
            f"{_place(epoch)}: of the offsets from {epoch.first_offset} to {epoch.next_offset}, {epoch.messages} are "
            f"messages, {epoch.duplicates} duplicates, {epoch.dead_letters} dead letters and {epoch.gaps} gaps; "
            f"{epoch.unaccounted} are not accounted for"
        )
    if not audit.unbalanced:
        yield "ledger: every offset read is a message, a duplicate, a dead letter or a gap"
    if audit.counted is not None:
        stored = f"{audit.stored} messages are stored and {audit.dropped} were dropped by retention"
        equal = audit.counted == audit.stored + audit.dropped
        yield f"messages: {stored}; the ledger counts {audit.counted}{'' if equal else ', which is not their sum'}"
    if audit.unread:
        yield f"unread: {audit.unread} of the stored messages, in languages that no model in service read"
    if audit.unchecked:
        why = "retention dropped messages of their time"
        yield f"not checked: {audit.unchecked} trend rows; {why}"
    for epoch in audit.unknown:
        yield f"not checked: {_place(epoch)}, which was read before the ledger accounted for every offset"


def audit_document(audit: Audit) -> dict[str, Any]:
    """The same for a program."""
    return {
        "exact": audit.exact,
        "differences": [
            {"series": f"{d.kind}={d.name}", "minute": d.minute.isoformat(), "stored": d.stored, "counted": d.counted}
            for d in audit.differences
        ],
        "ledger": [
            {
                "topic": epoch.topic,
                "partition": epoch.partition,
                "epoch": epoch.epoch,
                "current": epoch.current,
                "first_offset": epoch.first_offset,
                "next_offset": epoch.next_offset,
                "messages": epoch.messages,
                "duplicates": epoch.duplicates,
                "dead_letters": epoch.dead_letters,
                "gaps": epoch.gaps,
                "unaccounted": epoch.unaccounted,
            }
            for epoch in audit.epochs
        ],
        "stored": audit.stored,
        "unread": audit.unread,
        "dropped": audit.dropped,
        "counted": audit.counted,
        "unchecked_trend_rows": audit.unchecked,
    }


def _place(epoch: Epoch) -> str:
    return f"{epoch.topic}, partition {epoch.partition}, epoch {epoch.epoch}"
