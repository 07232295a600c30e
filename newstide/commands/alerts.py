"""`newstide alerts run`, and the commands beside it."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

import click

from core.settings import DEFAULT_LATENESS_S, Settings, load_settings
from newstide.commands.lazy import LazyGroup
from newstide.stack.resources import amended, database_address, with_broker

_LONGEST_WAIT_S = 600.0  # a feed polled once a day must not delay every alert by a day


_COMMANDS = {
    "list": "newstide.commands.incidents",
    "incidents": "newstide.commands.incidents",
    "show": "newstide.commands.incidents",
    "feedback": "newstide.commands.incidents",
    "tune": "newstide.commands.tune",
    "check": "newstide.commands.receivers",
    "test": "newstide.commands.receivers",
}


@click.group(cls=LazyGroup, modules=_COMMANDS)
def alerts() -> None:
    """Surges of bad news: find them, show them."""


@alerts.command()
@click.option("--until-drained", is_flag=True, help="Exit once every replay is read to its end and judged.")
def run(until_drained: bool) -> None:
    """Judge trends as they become complete, and deliver alerts, until stopped (SIGTERM, Ctrl-C)."""
    from alerting.process import run_alerting

    stop = threading.Event()

    def end(signum: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with database_address(load_settings()) as settings:
        run_alerting(with_broker(with_lateness(settings)), stop, until_drained=until_drained)
    if until_drained and stop.is_set():
        sys.exit(130)


def with_lateness(settings: Settings) -> Settings:
    """Settings with the allowed lateness of live feeds filled in from how often they are polled, if it is not set."""
    if settings.alerting.allowed_lateness_s is not None or settings.alerting.clock == "event":
        return settings
    lateness = DEFAULT_LATENESS_S
    if settings.ingest.feeds.is_file():
        from ingest.feeds_file import load_feeds_file  # the whole of `ingest.feeds`, for those who have feeds

        lateness += min(load_feeds_file(settings.ingest.feeds).longest_interval_s, _LONGEST_WAIT_S)
    return amended(settings, alerting={"allowed_lateness_s": lateness})


COMMANDS = [alerts]
