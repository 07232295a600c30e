"""What is usual of a series that has just begun: what those before it showed in their first days.

A series that is followed for the first time has no ranks of its own, and those of older series mislead: it is followed
because it has stories, of which more come. So newcomers are ranked among newcomers, and are shifted by how much more
often their days are high. That alone would grant a newcomer no more of the budget than any other series, of which there
are many more; but news is where a series begins, so all newcomers together get a fixed share at least.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from alerting.detection.rows import Rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SHARE = 1 / 3  # of what their kind may page, at least
_PRIOR_DAYS, _PRIOR_STORIES = 5.0, 3.0  # of newcomers, each with so many steps with a story as quiet series have them
_HIGH_DAYS = 5.0  # days after which how often they are high weighs as much as how often others are
_LOWERED, _RAISED = 2.0, 0.5  # the most that a score is shifted for it
_NEWS, _LEAST_DAYS = 0.2, 20.0  # share of their days, of so many at least, that may hold news which is not learnt


class Newcomers(Rows):
    """The newcomers of each kind, a row for each kind; all that is counted fades with time.

    seen: (kinds, tests, bins) their statistics. days: (kinds,) days of a newcomer these are out of; real: those with
    real news, and high: those, without these, with a high score. others: (kinds,) days of other series.
    """

    FIELDS = ("seen", "days", "real", "high", "others")

    def __init__(self, kinds: int, tests: int, bins: int) -> None:
        self.seen = np.zeros((kinds, tests, bins))
        self.days, self.real, self.high, self.others = (np.zeros(kinds) for _ in range(4))

    @property
    def known_days(self) -> Floats:
        """Days of newcomers, with those assumed before any, (kinds,)."""
        return self.days + _PRIOR_DAYS

    def ranks(self, quiet: Floats, steps_per_day: int) -> Floats:
        """The share of steps in each bin, (kinds, tests, bins); `quiet`, likewise, is that of quiet series."""
        stories = quiet / quiet.sum(axis=2, keepdims=True)
        ranked_days = self.days - self.real + _PRIOR_DAYS
        ranks: Floats = (self.seen + _PRIOR_DAYS * _PRIOR_STORIES * stories) / (
            ranked_days[:, None, None] * steps_per_day
        )
        return ranks

    def shift(self, usual: Floats) -> Floats:
        """What to take from the scores of each kind, (kinds,), where a share `usual` of all days is high."""
        share = np.minimum((self.high + _HIGH_DAYS * usual) / (self.days - self.real + _HIGH_DAYS), 0.99)
        ratio = np.log1p(-share) / np.log1p(-np.minimum(usual, 0.99))
        own = np.clip(np.log10(np.maximum(ratio, 1e-9)), -_RAISED, _LOWERED)
        granted = np.maximum(_SHARE / (1.0 - _SHARE) * self.others / self.known_days, 1.0)
        shift: Floats = own - np.log10(granted)
        return shift

    def believed(self) -> NDArray[np.bool_]:
        """Whether what is far above normal in a newcomer of each kind, (kinds,), is news and not to be learnt."""
        believed: NDArray[np.bool_] = self.real <= _NEWS * np.maximum(self.days, _LEAST_DAYS)
        return believed

    def learn(
        self,
        kind: Ints,
        today: NDArray[np.uint16],
        real: NDArray[np.bool_],
        high: NDArray[np.bool_],
        others: Ints,
        history: int,
    ) -> None:
        """Take in a day of n newcomers, of the `kind`, (n,): their statistics `today`, (n, tests, bins), and which had
        `real` news or a `high` score, (n,). `others`: (kinds,) the number of other series that were judged."""
        fade = math.exp(-2.0 / history)
        for name in self.FIELDS:
            array = getattr(self, name)
            array *= fade
        self.others += others
        if not kind.size:
            return
        kinds = len(self)
        np.add.at(self.seen, kind[~real], today[~real])
        self.days += np.bincount(kind, minlength=kinds)
        self.real += np.bincount(kind, real, kinds)
        self.high += np.bincount(kind, high & ~real, kinds)
