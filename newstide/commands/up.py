"""`newstide up`: the whole stack on this machine."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

import click

from core.errors import InputError
from core.settings import load_settings
from core.terminal import PlainConsole
from newstide.stack.resources import amended
from newstide.stack.screen import View, open_view
from newstide.stack.snapshots import Snapshots
from newstide.stack.stack import Replay, Summary, run, running


@click.command()
@click.option("--feeds", type=click.Path(path_type=Path), help="Poll the RSS and Atom feeds listed in this TOML file.")
@click.option("--replay", type=click.Path(path_type=Path), help="Replay this JSONL, CSV or Parquet file (gzip too).")
@click.option("--map", "mapping", metavar="FIELD=COLUMN,...", help="How the file's columns become fields of a message.")
@click.option("--speed", default="max", show_default=True, help="`max`, or N times real time.")
@click.option("--source", help="Source name of replayed messages that have none; the file's name if not given.")
@click.option("--kind", type=click.Choice(["news", "comment"]), help="Kind of replayed messages that have none.")
@click.option("--workers", type=click.IntRange(1, 256), help="Worker processes; `stream.workers` if not given.")
@click.option("--until-drained", is_flag=True, help="Exit once all that was replayed is committed and judged.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON summary line last.")
def up(
    feeds: Path | None,
    replay: Path | None,
    mapping: str | None,
    speed: str,
    source: str | None,
    kind: str | None,
    workers: int | None,
    until_drained: bool,
    as_json: bool,
) -> None:
    """Run everything: broker and database (embedded unless configured), workers, alerting, ingest."""
    if until_drained and replay is None:
        raise InputError("--until-drained needs --replay FILE: a live feed never ends")
    settings = load_settings()
    options = {"--map": mapping, "--speed": speed, "--source": source, "--kind": kind}
    arguments = [part for name, value in options.items() if value for part in (name, value)]
    if replay is not None:
        if not replay.is_file():
            raise InputError(f"--replay: there is no file {replay}; give the path of a JSONL, CSV or Parquet file")
        if feeds is None and "clock" not in settings.alerting.model_fields_set:
            settings = amended(settings, alerting={"clock": "event"})
    feeds = feeds or (settings.ingest.feeds if replay is None and settings.ingest.feeds.exists() else None)
    if replay is None and feeds is None and settings.ingest.push_token is None:
        click.echo(
            "nothing will come in: give --feeds FILE or --replay FILE, or set NEWSTIDE_INGEST__PUSH_TOKEN", err=True
        )
    with running(settings) as stack, _view(quiet=as_json) as view:
        stack.start(
            workers or settings.stream.workers,
            feeds,
            Replay(replay, tuple(arguments)) if replay else None,
            until_drained,
        )
        snapshots = Snapshots(stack)

        def look() -> None:
            if view is not None:
                view.show(snapshots.take())

        done = run(stack, stack.drained if until_drained else _never, look)
        summary = stack.summary()
    _print_summary(summary, as_json)
    sys.exit(0 if done or not until_drained else 130)


def _view(quiet: bool) -> AbstractContextManager[View | None]:
    return nullcontext() if quiet else open_view(PlainConsole(), "newstide")


def _never() -> bool:
    return False


def _print_summary(summary: Summary, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(summary)))
        return
    click.echo(
        f"{summary.messages} messages in {summary.stories} stories, {summary.dead_letters} dead letters, "
        f"{summary.alerts} alerts; {summary.seconds:.1f} s, {summary.messages_per_second:.0f} messages/s"
    )


COMMANDS = [up]
