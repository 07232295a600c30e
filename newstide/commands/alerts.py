"""`newstide alerts run | list | tune | check | test`."""

from __future__ import annotations

import json
import signal
import sys
import threading
from datetime import datetime
from types import FrameType

import click
from rich.table import Table
from rich.text import Text

from alerting.process import run_alerting
from core.settings import DEFAULT_LATENESS_S, Settings, load_settings
from core.store.alerts import STATES, AlertRow, count_unjudged, list_alerts
from ingest.feeds import load_feeds
from newstide.commands.output import open_console
from newstide.commands.receivers import check, test
from newstide.commands.times import Moment
from newstide.commands.tune import tune
from newstide.stack.resources import amended, database_address, store, with_broker

_LONGEST_WAIT_S = 600.0  # a feed polled once a day must not delay every alert by a day


@click.group()
def alerts() -> None:
    """Surges of bad news: find them, show them."""


@alerts.command()
@click.option("--until-drained", is_flag=True, help="Exit once every replay is read to its end and judged.")
def run(until_drained: bool) -> None:
    """Judge trends as they become complete, and deliver alerts, until stopped (SIGTERM, Ctrl-C)."""
    stop = threading.Event()

    def end(signum: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with database_address(load_settings()) as settings:
        run_alerting(with_broker(with_lateness(settings)), stop, until_drained=until_drained)
    if until_drained and stop.is_set():
        sys.exit(130)


@alerts.command("list")
@click.option("--since", type=Moment(), help="Only alerts that were not over by then: 2014-09-19, 36h, 7d.")
@click.option("--state", type=click.Choice(STATES), help="Only these; all but the withdrawn if not given.")
@click.option("--series", metavar="KIND=NAME", help="all, topic=NAME or entity=NAME.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(since: datetime | None, state: str | None, series: str | None, limit: int, as_json: bool) -> None:
    """Show alerts, the newest first."""
    with store(load_settings()) as engine:
        rows = list_alerts(engine, since=since, state=state, series=series, limit=limit)
        unjudged = count_unjudged(engine)
    if as_json:
        click.echo(json.dumps([row.to_json() for row in rows], indent=1))
        return
    open_console().print(_as_table(rows) if rows else "no alerts")
    if unjudged:
        click.echo(f"{unjudged} messages came days late: they are counted in the trends, and were not judged", err=True)


def with_lateness(settings: Settings) -> Settings:
    """Settings with the allowed lateness of live feeds filled in from how often they are polled, if it is not set."""
    if settings.alerting.allowed_lateness_s is not None or settings.alerting.clock == "event":
        return settings
    lateness = DEFAULT_LATENESS_S
    if settings.ingest.feeds.is_file():
        lateness += min(max(feed.interval_s for feed in load_feeds(settings.ingest.feeds)), _LONGEST_WAIT_S)
    return amended(settings, alerting={"allowed_lateness_s": lateness})


def _as_table(rows: list[AlertRow]) -> Table:
    table = Table("opened (UTC)", "series", "state", "until", "negative stories", "score", "driven by", box=None)
    for row in rows:
        stories = row.evidence.get("stories") or [{}]
        table.add_row(
            f"{row.opened_at:%Y-%m-%d %H:%M}",
            row.series,
            Text(row.state, style="red" if row.state == "open" else ""),
            f"{row.last_at:%m-%d %H:%M}",
            f"{row.observed:.0f} in {row.window_minutes / 60:g} h, {row.expected:.1f} expected",
            f"{row.score:.1f}",
            stories[0].get("headline", "")[:80],
        )
    return table


for _command in (tune, check, test):
    alerts.add_command(_command)

COMMANDS = [alerts]
