"""The whole alerting process: the runner in the calling thread, a courier per channel beside it."""

from __future__ import annotations

import logging
import threading

from alerting.channels import Channel, open_channels
from alerting.delivery import Courier, wait_for_first_tries
from alerting.runner import Runner
from alerting.shape import Shape
from core.health import Beat, Health, serve_health
from core.settings import Settings
from core.store.connection import open_engine, wait_for_database
from core.store.migration import migrate

log = logging.getLogger(__name__)


def run_alerting(
    settings: Settings,
    stop: threading.Event,
    *,
    until_drained: bool = False,
    channels: list[Channel] | None = None,
) -> int:
    """Judge and deliver until `stop` is set, or until all replays are drained, judged and their alerts tried once.

    Returns the number of alerts opened. Raises SettingsError for settings that can't work, DatabaseUnreachable if
    Postgres does not answer at the start.
    """
    Shape.of(settings.alerting)
    judging = Beat(settings.metrics.ready_within_s, "nothing was judged yet")
    health = Health("alerts")
    health.ready("judging", judging)
    serve_health(settings.metrics, settings.metrics.alerting_port, health)
    wait_for_database(settings)
    engine = open_engine(settings, pool_size=1)
    try:
        migrate(engine)
    finally:
        engine.dispose()
    ways = open_channels(settings) if channels is None else channels
    runner = Runner(settings, [channel.name for channel in ways], stop, judging=judging)
    enough = threading.Event()
    couriers = [Courier(settings, channel, runner.leading, enough) for channel in ways]
    for courier in couriers:
        courier.start()
    health.essential([courier.name for courier in couriers])
    health.watch()
    try:
        if runner.run(until_drained):
            pending = wait_for_first_tries(settings, stop)
            if pending:
                log.warning(
                    "%d deliveries are still pending; they go out when `newstide alerts run` runs again", pending
                )
    finally:
        health.close()
        enough.set()
        for courier in couriers:
            courier.join(timeout=settings.alerting.webhook_timeout_s + 1)
    return runner.alerts
