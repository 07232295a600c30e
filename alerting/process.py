"""The whole alerting process: the runner in the calling thread, a courier per channel beside it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from alerting.delivery.channel import Channel
from alerting.delivery.channels import open_channels
from alerting.delivery.courier import Courier, orphans, wait_for_first_tries
from alerting.detection.shape import Shape
from alerting.judging.clock import utc_now
from alerting.judging.partition_ends import PartitionEnds
from alerting.judging.runner import Runner
from alerting.judging.watermark import Ends
from alerting.rules.alerts_file import load_rules
from alerting.rules.unseen import unseen_entities
from core import metrics
from core.health import Beat, Health, serve_health
from core.settings import Settings
from core.store.connection import connect, wait_for_database
from core.store.migration import migrate_store

log = logging.getLogger(__name__)


def run_alerting(
    settings: Settings,
    stop: threading.Event,
    *,
    until_drained: bool = False,
    channels: list[Channel] | None = None,
) -> int:
    """Judge and deliver until `stop` is set, or until all replays are drained, judged and their alerts tried once.

    Returns the number of alerts opened. Raises SettingsError or InputError for settings or rules that can't
    work, DatabaseUnreachable if Postgres does not answer at the start.
    """
    Shape.of(settings.alerting)
    rules = load_rules(settings)
    opened = open_channels(settings, rules) if channels is None else channels
    for warning in rules.warnings:
        log.warning("%s", warning)
    judging = Beat(settings.metrics.ready_within_s, "nothing was judged yet")
    health = Health("alerts")
    health.ready("judging", judging)
    serve_health(settings.metrics, settings.metrics.alerting_port, health, metrics.ALERTING.registry)
    metrics.BUDGET.set(rules.policy.budget_per_week)
    wait_for_database(settings)
    migrate_store(settings)
    names = [channel.name for channel in opened]
    with connect(settings, autocommit=True) as connection:
        for warning in [*unseen_entities(connection, rules), *orphans(connection, names)]:
            log.warning("%s", warning)
    always = [name for name in names if name not in {receiver.name for receiver in rules.receivers}]
    done = threading.Event()
    ends = _ask_brokers(settings, done, health)
    runner = Runner(settings, always, stop, ends=ends, judging=judging, rules=rules)
    couriers = [Courier(settings, channel, runner.leading, done, rules) for channel in opened]
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
        done.set()
        for courier, channel in zip(couriers, opened, strict=True):
            courier.join(timeout=channel.timeout_s + 1)
    return runner.alerts


def _ask_brokers(settings: Settings, done: threading.Event, health: Health) -> Callable[[], Ends | None] | None:
    """What the brokers say of the partitions' ends, where the watermark needs to know it and there are brokers."""
    if settings.alerting.clock == "event":
        return None
    if not settings.kafka.bootstrap_servers:
        log.warning("no Kafka brokers are set; how far the partitions reach is believed as the workers noted it")
        return None
    knowing = Beat(settings.metrics.ready_within_s, "the brokers have not said yet how far the partitions reach")
    health.ready("kafka", knowing)
    thread = PartitionEnds(settings, settings.alerting.poll_s, done, utc_now, knowing)
    thread.start()
    health.essential([thread.name])
    return lambda: thread.latest
