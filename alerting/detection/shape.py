"""The alerting settings as the detector uses them: in steps instead of minutes, and checked."""

from __future__ import annotations

from dataclasses import dataclass

from alerting.detection.episodes import Rules
from core.errors import SettingsError
from core.settings import AlertingSettings

MINUTES_PER_DAY = 1440

_QUIET_MINUTES = 60  # below the clear threshold for this long ends a surge
_REST_HOURS = 24  # "a new 24 h high": what fires again sooner must top the last surge


@dataclass(frozen=True)
class Shape:
    """Settings in steps."""

    step_minutes: int
    windows: list[int]
    history_days: int
    warmup: float
    least_excess: float
    rules: Rules

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
        if settings.clear_threshold > settings.threshold:
            raise SettingsError("setting `alerting.clear_threshold` is above `alerting.threshold`; it must be below")
        per_day = MINUTES_PER_DAY // step
        return cls(
            step,
            sorted({-(-window // step) for window in settings.windows_minutes}),
            settings.history_days,
            settings.warmup_days * per_day,
            settings.min_excess,
            Rules(
                settings.threshold,
                settings.clear_threshold,
                max(1, _QUIET_MINUTES // step),
                max(1, _REST_HOURS * 60 // step),
            ),
        )

    @property
    def steps_per_day(self) -> int:
        return MINUTES_PER_DAY // self.step_minutes
