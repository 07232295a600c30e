"""The `newstide ingest` commands."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import click
import msgspec
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import OperationalError

from core.errors import InputError
from core.kafka import client_options
from core.records import Kind
from core.settings import Settings, load_settings
from core.store.connection import open_engine
from core.store.ledger import read_ledger
from core.terminal import PlainConsole
from ingest import bridge as bridging
from ingest import replay as replaying
from ingest.check import check_all
from ingest.feeds_file import load_feeds_file
from ingest.mapping import parse_map
from ingest.replay_plan import plan_replay
from ingest.service import connected, run_ingest, stop_on_signal
from newstide.commands.declaration import declared as declare
from newstide.commands.feed_findings import show_findings
from newstide.commands.file_options import KIND, MAP, SOURCE, file_options, replay_options, time_format, time_options
from newstide.commands.replay_notes import noted
from newstide.stack.resources import with_broker

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON summary line last.")


@click.group()
def ingest() -> None:
    """Read feeds, files, pushes and foreign topics into Kafka."""


@ingest.command()
@click.option("--feeds", type=click.Path(path_type=Path), help="The list of feeds; default: the setting ingest.feeds.")
def run(feeds: Path | None) -> None:
    """Read feeds and other sources; serve the push endpoint too if ingest.push_token is set."""
    settings = _settings()
    if feeds is not None:
        section = settings.ingest.model_copy(update={"feeds": feeds})
        settings = settings.model_copy(update={"ingest": section})
    run_ingest(settings)


@ingest.command()
@click.argument("feeds", type=click.Path(path_type=Path), required=False)
@click.option("--listen", default=10.0, show_default=True, type=click.FloatRange(1, 600), help="Seconds for streams.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, one object a feed.")
def check(feeds: Path | None, listen: float, as_json: bool) -> None:
    """Try each feed and source of FEEDS once (default: the setting ingest.feeds) and show what it gives.

    Nothing is sent or kept. Exit status 1 if one of them fails.
    """
    settings = load_settings()
    listed = load_feeds_file(feeds or settings.ingest.feeds)
    found = asyncio.run(check_all(listed, max_bytes=settings.ingest.feed_max_bytes, listen_s=listen))
    if as_json:
        click.echo(json.dumps([finding.as_json() for finding in found], ensure_ascii=False, indent=1))
    else:
        show_findings(found)
    sys.exit(0 if all(finding.well for finding in found) else 1)


@ingest.command()
def serve() -> None:
    """Serve the HTTP push endpoint only."""
    run_ingest(_settings(), feeds=False, push=True)


@ingest.command()
@click.argument("file", type=click.Path(path_type=Path))
@file_options
@click.option("--speed", default="max", show_default=True, help="`max`, or a multiple of real time such as 60.")
@click.option("--resume", is_flag=True, help="Go on after the last record that Kafka acknowledged.")
@click.option(
    "--max-lag", type=click.IntRange(1), help="Wait while the workers are more records behind; needs the database."
)
@click.option("--unpaced-rows", type=click.IntRange(0), default=0, hidden=True, help="Send the first rows at once.")
@click.option("--declared", is_flag=True, hidden=True, help="The caller has declared this replay to the judge.")
@_JSON
def replay(
    file: Path,
    speed: str,
    resume: bool,
    max_lag: int | None,
    unpaced_rows: int,
    declared: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Replay FILE (JSON Lines, CSV or Parquet, also .gz) into Kafka. Exit status 130 if it is stopped early."""
    options = replay_options(given)
    pace = _speed(speed)
    settings = _settings()
    # What can't be read is refused before anything is declared or connected.
    for warning in plan_replay(file, options).warnings:
        click.echo(f"warning: {warning}", err=True)
    with (
        stop_on_signal() as stop,
        connected(settings, stop) as producer,
        nullcontext(_already_declared) if declared else declare(settings, file.name, _say) as end,
        _bar(file.name) as progress,
        _brake(settings, max_lag) if max_lag else nullcontext() as brake,
    ):
        summary = replaying.replay(
            settings,
            producer,
            file,
            options,
            speed=pace,
            resume=resume,
            unpaced_rows=unpaced_rows,
            stop=stop,
            progress=progress,
            brake=brake,
        )
        end(summary.end_offsets, msgspec.to_builtins(summary, str_keys=True))
    notes = noted(msgspec.to_builtins(summary))
    text = (
        f"{summary.produced} messages from {summary.file} in {summary.seconds:.1f} s "
        f"({summary.messages_per_second:.0f}/s), {summary.dead_letters} dead letters{notes}"
    )
    _report(summary, text if summary.finished else f"{text}; stopped early, --resume goes on", as_json)
    sys.exit(0 if summary.finished else 130)


@ingest.command()
@click.option("--topic", required=True, help="The topic to read: JSON objects of any shape.")
@MAP
@SOURCE
@KIND
@time_options
@click.option("--group", default="", help="Consumer group; default: one of its own for each topic.")
@click.option("--until-idle", type=click.FloatRange(min=0.1), help="End after this many seconds without a record.")
@_JSON
def bridge(
    topic: str,
    maps: tuple[str, ...],
    source: str,
    kind: str,
    group: str,
    until_idle: float | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Copy the records of another Kafka topic into newstide's."""
    fields = parse_map(maps)
    times = time_format(given)
    settings = _settings()
    with stop_on_signal() as stop, connected(settings, stop) as producer:
        summary = bridging.bridge(
            settings,
            producer,
            topic,
            fields,
            source=source,
            kind=cast(Kind, kind),
            times=times,
            group=group,
            until_idle_s=until_idle,
            stop=stop,
        )
    text = (
        f"{summary.produced} messages from topic {topic}, {summary.dead_letters} dead letters, "
        f"{summary.tombstones} tombstones{noted(msgspec.to_builtins(summary))}"
    )
    _report(summary, text, as_json)


COMMANDS = [ingest]


def _settings() -> Settings:
    settings = with_broker(load_settings())
    client_options(settings)
    return settings


def _already_declared(ends: dict[int, int], summary: dict[str, Any]) -> None:
    """Whoever started this replay declares its end too."""


def _say(line: str) -> None:
    click.echo(f"note: {line}", err=True)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0 < speed < 1e12:
        raise InputError(f"--speed is {text!r}; expected `max` or a positive multiple of real time, for example 60")
    return speed


@contextmanager
def _brake(settings: Settings, max_lag: int) -> Iterator[replaying.Brake]:
    engine = open_engine(settings, pool_size=1)
    topic = settings.topic("messages")
    epochs: dict[int, int] = {}

    def is_behind(ends: Mapping[int, int]) -> bool:
        try:
            rows = {row.partition: row for row in read_ledger(engine, topic)}
        except OperationalError:  # the workers are held up by the same outage
            return True
        lag = 0
        for partition, end in ends.items():
            row = rows.get(partition)
            if row is not None and epochs.setdefault(partition, row.epoch) != row.epoch:
                end = min(end, row.end_offset or 0)  # it may have been sent to a log that is gone
            lag += max(end - (row.next_offset or 0 if row is not None else 0), 0)
        return lag > max_lag

    try:
        yield is_behind
    finally:
        engine.dispose()


@contextmanager
def _bar(name: str) -> Iterator[replaying.Progress]:
    console = PlainConsole(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]} rows", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(f"replay {name}", total=1.0, rows=0)

        def show(share: float, rows: int, dead_letters: int) -> None:
            bar.update(task, completed=share, rows=rows)

        yield show


def _report(summary: Any, text: str, as_json: bool) -> None:
    click.echo(msgspec.json.encode(summary).decode() if as_json else text)
