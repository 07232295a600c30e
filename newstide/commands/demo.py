"""`newstide demo`: an invented fortnight of news in a little over a minute, on embedded parts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from core.settings import DatabaseSettings, DeskSettings, KafkaSettings, Settings, load_settings
from core.terminal import PlainConsole
from newstide.scenario import BANK, FORTNIGHT, IPO, generate_feed
from newstide.stack.desk import desk_port
from newstide.stack.loop import run, take_snapshot
from newstide.stack.opening import running
from newstide.stack.plan import Plan, ReplayFile, hand_down
from newstide.stack.resources import amended
from newstide.stack.screen import open_view

_SECONDS = 75.0  # the fortnight's length at the default speed


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(10, FORTNIGHT.total_seconds()),
    default=_SECONDS,
    show_default=True,
    help="How long it takes.",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Worker processes; `stream.workers` if not given.")
@click.option("--until-drained", is_flag=True, help="Exit at the end of the fortnight instead of waiting for Ctrl-C.")
def demo(seconds: float, workers: int | None, until_drained: bool) -> None:
    """Show newstide at work: a bank gets into trouble, an IPO into euphoria, and spammers try their luck."""
    settings = demo_settings(load_settings())
    hand_down(settings, "kafka", "database", "embedded", "ingest", "models", "alerting", "desk")
    directory = settings.embedded.directory
    feed = directory / "fortnight.jsonl"
    speed = FORTNIGHT.total_seconds() / seconds
    console = PlainConsole()
    console.print(
        f"A fortnight of invented news in {seconds:.0f} s: {BANK.name} (${BANK.ticker}) will be in trouble, "
        f"{IPO.name} (${IPO.ticker}) will be cheered."
    )
    plan = Plan(
        workers or settings.stream.workers,
        replay=ReplayFile(feed, ("--speed", f"{speed:.3f}")),
        until_drained=until_drained,
        desk_port=None if until_drained else desk_port(settings.desk),
    )
    view = open_view(console, "newstide demo", note="Ctrl-C ends everything")
    with view, running(settings, plan, view.say, anew=True) as stack:
        _write_feed(feed)
        run(stack, until_drained=until_drained, show=view.show)
        view.show(take_snapshot(stack))
    console.print("Everything is stopped. The store of this demo stays in", directory, style="bright_black")


def demo_settings(given: Settings) -> Settings:
    """`given` with parts of the demo's own: it writes into none that others use, tells nobody, and lets its user in."""
    own = {
        "kafka": KafkaSettings(),
        "database": DatabaseSettings(),
        "desk": DeskSettings(host=given.desk.host, port=given.desk.port),
    }
    return amended(
        given.model_copy(update=own),
        embedded={"directory": given.embedded.directory / "demo", "broker_port": 0, "database_port": 0},
        ingest={"push_token": None},
        models={"shelf": None, "cache": None},
        alerting={"clock": "event", "webhook_url": None, "rules": Path(os.devnull)},
    )


def _write_feed(file: Path) -> None:
    with file.open("w", encoding="utf-8") as out:
        for row in generate_feed():
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


COMMANDS = [demo]
