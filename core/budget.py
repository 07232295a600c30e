"""The budget of false pages as people write it: "1 per week"."""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.settings import Settings

_WEEKS = {"hour": 1 / 168, "day": 1 / 7, "week": 1.0, "month": 365.2425 / 84, "year": 365.2425 / 7}  # in one span
_RATE = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(?:per|a|an|/)\s*(hour|day|week|month|year)\s*", re.IGNORECASE)
DEFAULT = "1 per week"
DEFAULT_FILE = Path("alerts.toml")
EXPECTED = 'a positive rate such as "1 per week" or "2 per day" (hour, day, week, month, year)'


def budget_per_week(written: Any, key: str = "budget") -> float:
    """False pages a week. Raises InputError, which names `key`, for what is no positive rate."""
    match = _RATE.fullmatch(written) if isinstance(written, str) else None
    rate = float(match[1]) / _WEEKS[match[2].lower()] if match else math.nan
    if not (math.isfinite(rate) and rate > 0):
        raise InputError(f"`{key}` is {written!r:.60}; expected {EXPECTED}")
    return rate


def rules_file(settings: Settings) -> Path | None:
    """The file in force: the one that `alerting.rules` names, else alerts.toml beside newstide.toml if there is one."""
    return settings.alerting.rules or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)


def stated_budget(settings: Settings) -> float:
    """False pages a week that the settings, else the rules in force allow; 1 where there are none, or none that can be
    read: what is wrong with them, alerting says."""
    file = rules_file(settings)
    try:
        if settings.alerting.budget:
            return budget_per_week(settings.alerting.budget)
        written = tomllib.loads(file.read_text(encoding="utf-8")).get("budget", DEFAULT) if file else DEFAULT
        return budget_per_week(written)
    except (OSError, ValueError, InputError):
        return budget_per_week(DEFAULT)
