"""How long a server wants to be left alone: the Retry-After header of RFC 9110."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_RETRY_AFTER_S = 86_400.0
"""Nobody is left alone for longer, whatever is asked for."""


def retry_after(text: str, date: str = "") -> float:
    """Seconds that a Retry-After header asks for, in either form of RFC 9110; 0 if it says nothing readable.

    A time is measured from the server's own `date` where it states one, since clocks differ.
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    until, now = _moment(text), _moment(date) or datetime.now(UTC)
    return float(math.ceil(max(0.0, (until - now).total_seconds()))) if until else 0.0


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text[:100])
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
