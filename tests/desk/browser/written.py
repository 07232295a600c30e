"""Numbers as the English pages write them."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

_EXACT = 20


def number(value: float | None, digits: int = 0, told: int = 4) -> str:
    """As the page writes a number that the API told with `told` digits: halves away from zero; a dash for none."""
    if value is None:
        return "–"
    rounded = Decimal(repr(round(float(value), told))).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{abs(rounded):,}" if rounded == 0 else f"{rounded:,}".replace("-", "−")


def signed(value: float | None, digits: int = 0, told: int = 4) -> str:
    written = number(value, digits, told)
    return f"+{written}" if value is not None and value > 0 and written.strip("0.") else written


def percent(share: float) -> str:
    return f"{number(100 * share, told=_EXACT)}%"


def points(mood: float) -> str:
    """A mood, or a difference of moods, in percent."""
    return signed(100 * mood, told=_EXACT)


def duration(seconds: float) -> str:
    """A length of time in its largest unit that fits."""
    if seconds < 60:
        return f"{number(seconds)} s"
    if seconds < 2 * 3600:
        return f"{number(seconds / 60)} min"
    hours = seconds / 3600
    return f"{number(hours, 1 if hours < 10 else 0)} h" if hours < 48 else f"{number(hours / 24, hours < 240)} d"
