"""When things are published: the rhythm of a day and a week, and the rise and fall of a burst."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from random import Random

# Share of the busiest hour, by hour of the day in UTC: Europe's morning, then the American session on top.
_NIGHT_AND_MORNING = (0.22, 0.2, 0.2, 0.22, 0.28, 0.38, 0.5, 0.62, 0.68, 0.66, 0.64, 0.7)
_AFTERNOON_AND_EVENING = (0.84, 0.96, 1.0, 0.96, 0.88, 0.82, 0.78, 0.76, 0.64, 0.5, 0.38, 0.28)
_HOURS = (*_NIGHT_AND_MORNING, *_AFTERNOON_AND_EVENING)
_DAYS = (0.98, 1.0, 1.0, 0.98, 0.92, 0.45, 0.5)  # Monday to Sunday


def activity(moment: datetime) -> float:
    """Level of publishing at `moment`, 0 to 1, sliding from hour to hour."""
    into = (moment.minute * 60 + moment.second) / 3600
    hour = _HOURS[moment.hour] * (1 - into) + _HOURS[(moment.hour + 1) % 24] * into
    return hour * _DAYS[moment.weekday()]


def burst(start: datetime, rise: timedelta, half_life: timedelta) -> Callable[[datetime], float]:
    """Level of a burst, 0 to 1: nothing before `start`, full after `rise`, then halved every `half_life`."""

    def level(moment: datetime) -> float:
        if moment < start:
            return 0.0
        if moment < start + rise:
            return (moment - start) / rise
        return float(0.5 ** ((moment - start - rise) / half_life))

    return level


def draw_times(
    random: Random, start: datetime, end: datetime, per_hour: float, level: Callable[[datetime], float]
) -> Iterator[datetime]:
    """Times of a Poisson process of rate `per_hour * level(t)`, by thinning (Lewis and Shedler, 1979); level <= 1."""
    moment = start
    while True:
        moment += timedelta(hours=random.expovariate(per_hour))
        if moment >= end:
            return
        if random.random() < level(moment):
            yield moment
