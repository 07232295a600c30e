"""The ingest process: feeds, other sources and the push endpoint side by side, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Iterator

from core.errors import SettingsError
from core.health import Beat, Health, serve_health
from core.kafka import ensure_topics, wait_for_broker
from core.metrics import INGEST
from core.settings import Settings
from ingest.feeds_file import FeedsFile, load_feeds_file
from ingest.polling import poll_feeds
from ingest.producer import DELIVERY_TIMEOUT_S, MessageProducer
from ingest.push import serve_push
from ingest.sources.running import run_sources

log = logging.getLogger(__name__)

# Feeds and pushes are sent again by their own clocks, so an outage must not pile them up in memory for long.
_PATIENCE_S = 30.0
_LOOP_SILENT_S = 30.0


@contextlib.contextmanager
def connected(
    settings: Settings,
    stop: threading.Event | None = None,
    *,
    delivery_timeout_s: float = DELIVERY_TIMEOUT_S,
    health: Health | None = None,
) -> Iterator[MessageProducer]:
    """A producer on topics that exist; flushed and closed at the end.

    Waits for the brokers as `core.kafka.wait_for_broker` does, and serves metrics and health of this process meanwhile.
    """
    health = health or Health("ingest")
    delivery = Beat(waiting_for="no broker has answered yet")
    health.ready("kafka", delivery)
    serve_health(settings.metrics, settings.metrics.ingest_port, health, INGEST.registry)
    wait_for_broker(settings, stop)
    ensure_topics(settings)
    producer = MessageProducer(settings, delivery_timeout_s=delivery_timeout_s, delivery=delivery)
    try:
        yield producer
    finally:
        producer.close()


@contextlib.contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second signal ends the process as usual."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def on_signal(number: int, _frame: object) -> None:
        log.info("%s received; finishing what is under way", signal.Signals(number).name)
        stop.set()
        restore()

    for number in numbers:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        restore()


def run_ingest(settings: Settings, *, feeds: bool = True, push: bool | None = None) -> None:
    """Read the feeds and sources of `ingest.feeds` and serve the push endpoint until SIGTERM or SIGINT.

    What is under way then is finished and flushed.
    `push`: None means if a token is set. Raises InputError for a bad feeds file, SettingsError if there is nothing to
    do, BrokerUnreachable at the start.
    """
    wants_push = settings.ingest.push_token is not None if push is None else push
    if feeds and wants_push and not settings.ingest.feeds.exists():
        log.info("no feeds file %s; only the push endpoint runs", settings.ingest.feeds)
        feeds = False
    if not feeds and not wants_push:
        raise SettingsError("neither feeds nor the push endpoint are asked for; there is nothing to ingest")
    listed = load_feeds_file(settings.ingest.feeds) if feeds else FeedsFile()
    health = Health("ingest")
    with (
        stop_on_signal() as stop,
        connected(settings, stop, delivery_timeout_s=_PATIENCE_S, health=health) as producer,
    ):
        loop = Beat(_LOOP_SILENT_S)
        health.alive("event loop", loop)
        asyncio.run(_run(settings, producer, listed, wants_push, stop, loop))


async def _run(
    settings: Settings, producer: MessageProducer, listed: FeedsFile, push: bool, stop: threading.Event, loop: Beat
) -> None:
    stopping = asyncio.Event()

    async def watch() -> None:
        while not stop.is_set() and not stopping.is_set():
            loop.good()
            await asyncio.sleep(0.1)
        stopping.set()

    tasks = [asyncio.create_task(watch())]
    if listed.feeds:
        tasks.append(asyncio.create_task(poll_feeds(settings, producer, listed.feeds, stopping)))
    if listed.sources:
        tasks.append(asyncio.create_task(run_sources(settings, producer, listed.sources, stopping)))
    if push:
        tasks.append(asyncio.create_task(serve_push(settings, producer, stopping)))
    # The first to end is the watch, on a signal, or a part that failed: either way the others finish too.
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
