"""Event time in steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Steps:
    """Steps of `minutes`, numbered since 1970 (UTC), one of which begins at `begins`."""

    def __init__(self, minutes: int, begins: datetime = _EPOCH) -> None:
        self.length = timedelta(minutes=minutes)
        self._zero = _EPOCH + (begins - _EPOCH) % self.length
        self.per_day = timedelta(days=1) // self.length

    def of(self, moment: datetime) -> int:
        """The step that holds `moment`."""
        return (moment - self._zero) // self.length

    def start(self, step: int) -> datetime:
        """When `step` begins."""
        return self._zero + step * self.length
