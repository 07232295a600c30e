"""The one place where backtests and benchmarks open the live detector."""

from __future__ import annotations

from alerting.detection.detector import Listener
from alerting.detection.surges import SurgeDetector
from alerting.rules.policy import Policy
from core.settings import AlertingSettings


def open_detector(
    settings: AlertingSettings, policy: Policy, start: int, listener: Listener | None = None
) -> SurgeDetector:
    """One that knows nothing of what was before the step `start`."""
    return SurgeDetector(settings, start, policy, listener)


def reopen_detector(settings: AlertingSettings, policy: Policy, body: bytes) -> SurgeDetector:
    """The detector whose `dump` is `body`."""
    return SurgeDetector.restored(settings, body, policy)
