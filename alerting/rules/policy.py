"""What is judged, and how the budget of false pages is shared. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType

from alerting.detection.detector import OUTAGE, Series, Signal

KINDS = ("all", "topic", "entity")
TIERS: Mapping[str, float] = MappingProxyType({"all": 0.2, "topic": 0.4, "entity": 0.4})
SIGNAL_WEIGHTS: Mapping[Signal, float] = MappingProxyType(
    {"negative": 1.0, "share": 0.25, "positive": 1.0, "volume": 0.25}
)
"""Weight of each signal in the budget of its tier, where a rule asks for it. A share or the volume moves with the
counts of negative stories as a rule, so a small part of the budget is enough for what these alone would miss."""
DEFAULT_SIGNALS: tuple[Signal, ...] = ("negative", "share")


@dataclass(frozen=True)
class Watch:
    """What one rule asks to be judged: `signals` of the series that one of the globs `series` matches.

    A glob is matched against `all`, `topic=NAME` or `entity=NAME`; `weight` is relative to other series of the tier.
    One of `outage=ingest` asks for nothing to be judged: outages always are.
    """

    series: tuple[str, ...] = ("*",)
    signals: tuple[Signal, ...] = DEFAULT_SIGNALS
    weight: float = 1.0

    def matches(self, series: str) -> bool:
        """Whether the series of that name is one of those meant."""
        return any(fnmatchcase(series, glob) for glob in self.series)

    def takes(self, series: str, signal: Signal) -> bool:
        """Whether a surge of the signal of that series is meant; an outage is only where a glob names its kind."""
        if series == str(OUTAGE):
            return any(names_outages(glob) and fnmatchcase(series, glob) for glob in self.series)
        return signal in self.signals and self.matches(series)


def names_outages(glob: str) -> bool:
    """Whether the glob is one of outages."""
    return glob.startswith(f"{OUTAGE.kind}=")


@dataclass(frozen=True)
class Policy:
    """`budget_per_week`: false pages a week over everything. `tiers`: the share of each kind of series in it, summing
    to one. `watches`: for each signal of a series, the first that asks for it decides."""

    budget_per_week: float = 1.0
    tiers: Mapping[str, float] = field(default_factory=lambda: TIERS)
    watches: tuple[Watch, ...] = (Watch(),)

    def __post_init__(self) -> None:
        total = sum(self.tiers.get(kind, 0.0) for kind in KINDS)
        shares = {kind: self.tiers.get(kind, 0.0) / total if total else 0.0 for kind in KINDS}
        object.__setattr__(self, "tiers", MappingProxyType(shares))

    @classmethod
    def default(cls) -> Policy:
        """One false page a week, over negative stories and their share in every series."""
        return cls()

    def signals(self, series: Series) -> Mapping[Signal, float]:
        """Signals judged for `series`, each with its weight in the tier's budget; empty: the series is not judged."""
        name = str(series)
        found: dict[Signal, float] = {}
        for watch in self.watches:
            if watch.matches(name):
                for signal in watch.signals:
                    found.setdefault(signal, SIGNAL_WEIGHTS[signal] * watch.weight)
        return found

    @property
    def fingerprint(self) -> str:
        """16 hex digits that are equal for equal policies, in every process."""
        watches = [[watch.series, watch.signals, watch.weight] for watch in self.watches]
        body = json.dumps([self.budget_per_week, [self.tiers[kind] for kind in KINDS], watches])
        return hashlib.blake2b(body.encode(), digest_size=8).hexdigest()
