"""`newstide trends`: what the store knows of a series."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast, get_args

import click
import psycopg
from rich.table import Column, Table
from rich.text import Text
from sqlalchemy import Engine

from core.quantification import Rates, corrected_counts
from core.settings import Settings, load_settings
from core.store.model_rates import ModelRates, models_of
from core.store.trends import Bucket, SeriesTotal, TrendRow, parse_series, read_series, read_trends, series_name
from newstide.commands.option_conflicts import refuse_without
from newstide.commands.output import open_console
from newstide.commands.times import Moment
from newstide.stack.resources import store

_BAR = 24


@click.command()
@click.option(
    "--series", metavar="KIND=NAME", help="all, topic=Earnings, entity=BABA, source=NAME; every one if not given."
)
@click.option("--since", type=Moment(), help="From this time on: 2014-09-19, 2014-09-19T12:00Z, 36h, 7d.")
@click.option("--until", type=Moment(), help="Before this time.")
@click.option(
    "--bucket",
    type=click.Choice(get_args(Bucket)),
    help="With --series or --json: width of a row; minute for JSON, else day.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, one object a row and line.")
def trends(
    series: str | None, since: datetime | None, until: datetime | None, bucket: Bucket | None, as_json: bool
) -> None:
    """Show trends in event time: messages and stories by sentiment."""
    if not as_json:
        refuse_without(("series",), "bucket")
    chosen = parse_series(series) if series else None
    settings = load_settings()
    with store(settings) as engine:
        if as_json:
            _print_json(read_trends(engine, chosen, since, until, bucket or "minute"))
        elif chosen:
            rates, models = _rates(settings, engine, chosen, since, until)
            rows = list(read_trends(engine, chosen, since, until, bucket or "day"))
            _print_series(series or "", rows, rates, models)
        else:
            _print_totals(read_series(engine, since, until), narrowed=bool(since or until))


def _print_json(rows: Iterable[TrendRow]) -> None:
    separator = "["
    for row in rows:
        click.echo(separator + json.dumps(row.as_json()), nl=False)
        separator = ",\n "
    click.echo("]" if separator != "[" else "[]")


def _rates(
    settings: Settings, engine: Engine, series: tuple[str, str], since: datetime | None, until: datetime | None
) -> tuple[Rates | None, list[str]]:
    """The models that labelled the series, and how often they mistake one sentiment for another, if that is known."""
    with engine.connect() as connection:
        raw = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
        models = models_of(raw, series, since, until)
        known = ModelRates(*settings.bundle_directories, evaluation_share=settings.desk.evaluation_share)
        return known.of(raw, models, series, until), sorted(models)


def _print_series(series: str, rows: list[TrendRow], rates: Rates | None, models: list[str]) -> None:
    """A row for each bucket; with `rates`, the negative stories corrected by them beside those counted."""
    unread = any(row.unread_stories for row in rows)
    table = Table(
        Column("time (UTC)", no_wrap=True),
        "messages",
        "stories",
        "negative",
        *(["corrected"] if rates else []),
        "neutral",
        "positive",
        *(["unread"] if unread else []),
        "",
        title=series,
        box=None,
    )
    most = max((row.stories for row in rows), default=0) or 1  # all may be copies of stories that began before
    for row in rows:
        red = round(_BAR * row.negative_stories / most)
        green = round(_BAR * row.positive_stories / most)
        grey = max(round(_BAR * row.stories / most) - red - green, 0)
        bar = Text.assemble(("█" * red, "red"), ("█" * grey, "bright_black"), ("█" * green, "green"))
        counts = (row.messages, row.stories)
        split = (row.negative_stories, row.neutral_stories, row.positive_stories)
        shown = [str(number) for number in split]
        if unread:
            shown.append(str(row.unread_stories))
        if rates:
            shown.insert(1, f"{corrected_counts(split, rates)[0]:.0f}")
        table.add_row(f"{row.at:%Y-%m-%d %H:%M}", *map(str, counts), *shown, bar)
    console = open_console()
    console.print(table if rows else f"nothing is stored for {series} in that time")
    if rows and rates:
        console.print(f"corrected: negative stories, less the known mistakes of {', '.join(models)}")


def _print_totals(totals: list[SeriesTotal], narrowed: bool) -> None:
    unread = any(total.unread for total in totals)
    table = Table(
        Column("series", no_wrap=True),
        "messages",
        "stories",
        "negative",
        "positive",
        *(["unread"] if unread else []),
        "first (UTC)",
        "last (UTC)",
        box=None,
    )
    for total in totals:
        counts = [total.messages, total.stories, total.negative_stories, total.positive_stories]
        counts += [total.unread] if unread else []
        times = (f"{moment:%Y-%m-%d %H:%M}" for moment in (total.first, total.last))
        table.add_row(series_name(total.kind, total.name), *map(str, counts), *times)
    nothing = "nothing is stored yet; `newstide up` or `newstide demo` brings something in"
    open_console().print(table if totals else "nothing is stored in that time" if narrowed else nothing)


COMMANDS = [trends]
