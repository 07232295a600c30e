"""`newstide up`: the whole stack on this machine."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click

from alerting.delivery.channels import check_receivers
from core.errors import InputError
from core.settings import load_settings
from core.terminal import PlainConsole
from ingest.replay_plan import plan_replay
from newstide.commands.file_options import as_arguments, file_options, replay_options
from newstide.commands.option_conflicts import refuse_without
from newstide.commands.replay_notes import noted
from newstide.stack.desk import desk_port
from newstide.stack.loop import run, summarise
from newstide.stack.observer import Summary
from newstide.stack.opening import running
from newstide.stack.plan import Plan, ReplayFile
from newstide.stack.resources import amended
from newstide.stack.screen import Snapshot, View, open_view

log = logging.getLogger(__name__)


@click.command()
@click.option("--feeds", type=click.Path(path_type=Path), help="Read the feeds and other sources in this TOML file.")
@click.option("--replay", type=click.Path(path_type=Path), help="Replay this JSONL, CSV or Parquet file (gzip too).")
@file_options
@click.option("--speed", default="max", show_default=True, help="`max`, or N times real time.")
@click.option("--workers", type=click.IntRange(1, 256), help="Worker processes; `stream.workers` if not given.")
@click.option("--until-drained", is_flag=True, help="Exit once all that was replayed is committed and judged.")
@click.option("--desk/--no-desk", "with_desk", default=True, help="Whether the web desk runs too; not until drained.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON summary line last.")
def up(
    feeds: Path | None,
    replay: Path | None,
    speed: str,
    workers: int | None,
    until_drained: bool,
    with_desk: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Run everything: broker and database (embedded unless configured), workers, alerting, ingest."""
    if until_drained and replay is None:
        raise InputError("--until-drained needs --replay FILE: a live feed never ends")
    refuse_without(("replay",), "speed", *given)
    settings = load_settings()
    arguments = [*as_arguments(given), "--speed", speed]
    if replay is not None:
        # Looked at before anything starts: what can't be read is refused at once.
        for warning in plan_replay(replay, replay_options(given)).warnings:
            click.echo(f"warning: {warning}", err=True)
        if feeds is None and "clock" not in settings.alerting.model_fields_set:
            settings = amended(settings, alerting={"clock": "event"})
    feeds = feeds or (settings.ingest.feeds if replay is None and settings.ingest.feeds.exists() else None)
    if replay is None and feeds is None and settings.ingest.push_token is None:
        click.echo(
            "nothing will come in: give --feeds FILE or --replay FILE, or set NEWSTIDE_INGEST__PUSH_TOKEN", err=True
        )
    check_receivers(settings)  # a fault there would end alerting again and again
    plan = Plan(
        workers or settings.stream.workers,
        feeds,
        ReplayFile(replay, tuple(arguments)) if replay else None,
        until_drained,
        desk_port(settings.desk) if with_desk and not until_drained else None,
    )
    view: View = _Quiet() if as_json else open_view(PlainConsole(), "newstide")
    with view, running(settings, plan, view.say, details=not as_json) as stack:
        if as_json and stack.desk:
            click.echo(f"the desk: {stack.desk}", err=True)
        drained = run(stack, until_drained=until_drained, show=view.show)
        summary = summarise(stack)
    _print_summary(summary, stack.replay_summary or {}, as_json)
    sys.exit(0 if drained or not until_drained else 130)


class _Quiet:
    """No view: standard output is for the summary, so what happens meanwhile goes to the log."""

    def show(self, snapshot: Snapshot) -> None:
        return

    def say(self, line: str) -> None:
        log.warning("%s", line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


def _print_summary(summary: Summary | None, replayed: Mapping[str, Any], as_json: bool) -> None:
    if summary is None:
        click.echo("no totals: the database was away at the end; what is committed is safe", err=True)
    elif as_json:
        noticed = {name: replayed[name] for name in ("duplicates", "changed_duplicates", "marks") if name in replayed}
        click.echo(json.dumps(asdict(summary) | noticed))
    else:
        click.echo(
            f"{summary.messages} messages in {summary.stories} stories, {summary.dead_letters} dead letters, "
            f"{summary.alerts} alerts; {summary.seconds:.1f} s, {summary.messages_per_second:.0f} messages/s"
            f"{noted(replayed)}"
        )


COMMANDS = [up]
