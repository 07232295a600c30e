"""When notifications are sent: quiet hours and times of digests, in the zone of the people. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Literal

Hold = Literal["quiet", "digest"]
"""Why a message waits."""


@dataclass(frozen=True)
class Schedule:
    """`quiet`: spans of local time, their end excluded; one that ends before it begins lasts past midnight.
    `digests`: local times. A time that the clocks skip or repeat is taken as before the change.
    """

    quiet: tuple[tuple[time, time], ...] = ()
    digests: tuple[time, ...] = ()
    zone: tzinfo = UTC

    def hold(self, now: datetime, urgent: bool) -> tuple[Hold, datetime] | None:
        """Why a message of `now` (aware) waits and until when; None: it goes out at once. What is urgent never waits.

        A message of a digest waits for it, whatever the hour: the times were chosen.
        """
        if urgent:
            return None
        if self.digests:
            return "digest", self.next_digest(now)
        until = self.quiet_until(now)
        return ("quiet", until) if until else None

    def next_digest(self, after: datetime) -> datetime:
        """The first time of a digest later than `after`."""
        return min(moment for moment in self._moments(after, self.digests) if moment > after)

    def quiet_until(self, now: datetime) -> datetime | None:
        """When the quiet hours that hold `now` end; None: it is not quiet."""
        until = now
        while longer := self._end_of_span(until):
            until = longer
            if until - now > timedelta(days=1):
                break  # spans that cover the whole day
        return until if until > now else None

    def _end_of_span(self, moment: datetime) -> datetime | None:
        day = moment.astimezone(self.zone).date()
        for begins, ends in self.quiet:
            for first in (day - timedelta(days=1), day):
                last = first if begins < ends else first + timedelta(days=1)
                if self._at(first, begins) <= moment < self._at(last, ends):
                    return self._at(last, ends)
        return None

    def _moments(self, around: datetime, times: tuple[time, ...]) -> Iterator[datetime]:
        day = around.astimezone(self.zone).date()
        for offset in (0, 1, 2):
            for each in times:
                yield self._at(day + timedelta(days=offset), each)

    def _at(self, day: date, at: time) -> datetime:
        return datetime.combine(day, at, self.zone).astimezone(UTC)
