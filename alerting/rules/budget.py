"""The budget of false pages as people write it: "1 per week". Pure."""

from __future__ import annotations

import math
import re
from typing import Any

from core.errors import InputError

_WEEKS = {"hour": 1 / 168, "day": 1 / 7, "week": 1.0, "month": 365.2425 / 84, "year": 365.2425 / 7}  # in one span
_RATE = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(?:per|a|an|/)\s*(hour|day|week|month|year)\s*", re.IGNORECASE)
EXPECTED = 'a positive rate such as "1 per week" or "2 per day" (hour, day, week, month, year)'


def budget_per_week(written: Any) -> float:
    """False pages a week. Raises InputError for what is no positive rate."""
    match = _RATE.fullmatch(written) if isinstance(written, str) else None
    rate = float(match[1]) / _WEEKS[match[2].lower()] if match else math.nan
    if not (math.isfinite(rate) and rate > 0):
        raise InputError(f"`budget` is {written!r:.60}; expected {EXPECTED}")
    return rate
