"""Arrays as JSON: numbers that are none become null, and no more digits than mean anything."""

from __future__ import annotations

import math
from collections.abc import Iterable

from desk.expectation import Floats


def plain(values: Floats | Iterable[float], digits: int = 4) -> list[float | None]:
    """A list of rounded numbers; None for NaN."""
    listed = values.tolist() if hasattr(values, "tolist") else list(values)
    return [None if math.isnan(value) else round(value, digits) for value in listed]


def plain_one(value: float | None, digits: int = 4) -> float | None:
    """A rounded number; None for None and NaN."""
    return None if value is None or math.isnan(value) else round(float(value), digits)
