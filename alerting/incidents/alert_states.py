"""Which alerts there must be, as follows from what the detector found. No input or output here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid5

from alerting.detection.detector import Series, Signal, Surge, SurgeChange
from core.store.alerts import State

_NAMESPACE = UUID("8a1c5a3e-7f0b-4c53-9f6e-5d2f0e6b3c17")


@dataclass(frozen=True)
class FoundSurge:
    """A surge as it stands after the steps that were judged.

    `opening`: as it stood when it opened (None: before these steps). `closed`: the step with which it ended (None: it
    has not). `grown`: it doubled in these steps.
    """

    series: Series
    surge: Surge
    opening: Surge | None = None
    closed: int | None = None
    grown: bool = False


def alert_id(series: Series, signal: Signal, opened_at: datetime) -> UUID:
    """The identity of an alert: judging the same trends again names the same alerts."""
    # negative stories were all that was judged once, and those alerts keep their names
    parts = [series.kind, series.name, opened_at.isoformat(), *([] if signal == "negative" else [signal])]
    return uuid5(_NAMESPACE, "\x00".join(parts))


def found_surges(
    before: Iterable[tuple[Series, Surge]], changes: Iterable[SurgeChange], after: Iterable[tuple[Series, Surge]]
) -> list[FoundSurge]:
    """All surges that were open in some of the judged steps: `before` them, in `changes`, or still `after` them."""
    found = {(series, surge.signal, surge.start): FoundSurge(series, surge) for series, surge in before}
    for change in changes:
        key = (change.series, change.surge.signal, change.surge.start)
        if change.kind == "opened":
            found[key] = FoundSurge(change.series, change.surge, change.surge)
        else:
            closed = change.step if change.kind == "closed" else None
            grown = found[key].grown or change.kind == "grown"
            found[key] = replace(found[key], surge=change.surge, closed=closed, grown=grown)
    for series, surge in after:
        key = (series, surge.signal, surge.start)
        found[key] = replace(found[key], surge=surge)
    return sorted(found.values(), key=lambda each: (each.surge.start, each.series, each.surge.signal))


def transitions(before: State | None, after: State) -> list[State]:
    """The states to report for an alert that was in state `before` (None: unknown) and is in state `after` now."""
    if before == after:
        return []
    if after == "closed" and before != "open":
        return ["open", "closed"]
    return [after]
