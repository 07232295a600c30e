"""The alerting settings as the detector uses them: in steps instead of minutes, and checked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from core.errors import SettingsError
from core.settings import AlertingSettings

MINUTES_PER_DAY = 1440

_HOUR = 60


@dataclass(frozen=True)
class Shape:
    """Settings in steps. `cells`: equal parts of the day with a rate of their own (24 where the step allows),
    and `parts`, those between which it is smoothed; `hour`: the steps of about an hour."""

    step_minutes: int
    windows: list[int]
    history_days: int
    warmup: int
    least_excess: float
    cells: int
    parts: int
    hour: int

    @classmethod
    def of(cls, settings: AlertingSettings) -> Shape:
        """Raises SettingsError if steps or windows do not fit into a day."""
        step = settings.step_minutes
        if MINUTES_PER_DAY % step:
            raise SettingsError(f"setting `alerting.step_minutes` is {step}, which does not divide a day; try 5 or 10")
        if not settings.windows_minutes or not all(0 < w <= MINUTES_PER_DAY for w in settings.windows_minutes):
            raise SettingsError(
                f"setting `alerting.windows_minutes` is {settings.windows_minutes}; expected each from 1 to 1440"
            )
        per_day = MINUTES_PER_DAY // step
        cells = next(cells for cells in (24, 12, 8, 6, 4, 3, 2, 1) if per_day % cells == 0)
        return cls(
            step,
            sorted({-(-window // step) for window in settings.windows_minutes}),
            settings.history_days,
            int(settings.warmup_days * per_day),
            settings.min_excess,
            cells,
            2 * cells if per_day % (2 * cells) == 0 else cells,
            max(1, _HOUR // step),
        )

    @cached_property
    def steps_per_day(self) -> int:
        return MINUTES_PER_DAY // self.step_minutes

    @cached_property
    def short_windows(self) -> list[int]:
        """Those of up to an hour, or the shortest: by these a surge is seen to end."""
        return [window for window in self.windows if window <= self.hour] or self.windows[:1]

    @property
    def fingerprint(self) -> list[object]:
        """What identifies the settings under which a state was learnt."""
        return [self.step_minutes, self.windows, self.history_days, self.warmup, self.least_excess]
