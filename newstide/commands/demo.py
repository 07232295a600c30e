"""`newstide demo`: an invented fortnight of news in a little over a minute, on embedded parts."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import click

from core.settings import load_settings
from core.terminal import PlainConsole
from newstide.scenario import BANK, FORTNIGHT, IPO, generate_feed
from newstide.stack.desk import desk_port
from newstide.stack.loop import run, take_snapshot
from newstide.stack.opening import running
from newstide.stack.plan import Plan, ReplayFile
from newstide.stack.resources import amended
from newstide.stack.screen import open_view

_SECONDS = 75.0  # the fortnight's length at the default speed


@click.command()
@click.option("--seconds", type=click.FloatRange(10), default=_SECONDS, show_default=True, help="How long it takes.")
@click.option("--workers", type=click.IntRange(1, 256), help="Worker processes; `stream.workers` if not given.")
@click.option("--until-drained", is_flag=True, help="Exit at the end of the fortnight instead of waiting for Ctrl-C.")
def demo(seconds: float, workers: int | None, until_drained: bool) -> None:
    """Show newstide at work: a bank gets into trouble, an IPO into euphoria, and spammers try their luck."""
    settings = load_settings()
    directory = settings.embedded.directory / "demo"
    shutil.rmtree(directory, ignore_errors=True)
    # Embedded parts only: a demo must never write into a database or broker that somebody uses.
    settings = amended(
        settings,
        embedded={"directory": directory},
        kafka={"bootstrap_servers": None},
        database={"url": None},
        alerting={"clock": "event", "webhook_url": None, "rules": Path(os.devnull)},
        ingest={"push_token": None},
    )
    feed = _write_feed(directory / "fortnight.jsonl")
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
    with view, running(settings, plan, view.say) as stack:
        run(stack, until_drained=until_drained, show=view.show)
        view.show(take_snapshot(stack))
    console.print("Everything is stopped. The store of this demo stays in", directory, style="bright_black")


def _write_feed(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as out:
        for row in generate_feed():
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return file


COMMANDS = [demo]
