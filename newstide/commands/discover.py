"""`newstide discover | drift`: what the model does not know yet, and whether its world has changed."""

from __future__ import annotations

import importlib.util
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.table import Table
from rich.text import Text

from core.classifier import Classifier
from core.errors import InputError
from core.settings import load_settings
from core.shelf import trusted_bundle
from core.terminal import PlainConsole
from newstide.commands.option_conflicts import refuse_beside
from newstide.commands.output import open_console
from newstide.commands.times import Moment
from newstide.scheduled.schedule import serving_bundle
from newstide.stack.resources import store
from trainer.watch.drift import SMALLEST_WINDOW, WINDOW, DriftReport, measure_drift

if TYPE_CHECKING:
    from trainer.watch.discover import Discovery

_DIRECTORY = click.Path(path_type=Path, file_okay=False)
_LANGUAGE = click.option(
    "--language", metavar="CODE", help="Of the models in service, the one that reads this; the first by default."
)
_NAMED = ("bundle", ("language",), "it is the model itself, not one of those in service;")
_COLOURS = {"large": "red", "moderate": "yellow", "stable": "green"}


@click.command("discover")
@click.option("--since", type=Moment(), help="Only messages from this time on: 2014-09-19, 36h, 7d.")
@click.option("--limit", type=click.IntRange(1, 50_000), default=5_000, show_default=True, help="Unsure stories.")
@click.option("--min-size", type=click.IntRange(2), default=10, show_default=True, help="Least stories of a theme.")
@click.option("--bundle", type=_DIRECTORY, help="Bundle that embeds the texts; the one in service by default.")
@_LANGUAGE
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all that chance decides.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def discover_themes(
    since: datetime | None,
    limit: int,
    min_size: int,
    bundle: Path | None,
    language: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """List emerging themes among recent messages whose topic the model is unsure of."""
    refuse_beside(*_NAMED)
    if importlib.util.find_spec("sklearn") is None:
        raise InputError("discovery needs scikit-learn; run `pip install newstide[trainer]`")
    from trainer.watch.discover import discover

    settings = load_settings()
    with store(settings) as engine:
        classifier = Classifier(
            trusted_bundle(settings, bundle) if bundle else serving_bundle(settings, engine, language)
        )
        quiet = as_json or not sys.stderr.isatty()
        found = discover(engine, classifier, since=since, limit=limit, min_size=min_size, seed=seed, quiet=quiet)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found)))
    else:
        _show_themes(found)


@click.command("drift")
@click.option(
    "--window", type=click.IntRange(SMALLEST_WINDOW), default=WINDOW, show_default=True, help="Stories it is judged on."
)
@click.option("--bundle", type=_DIRECTORY, help="Bundle to judge by; the one in service by default.")
@_LANGUAGE
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Chooses the stories.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show_drift(window: int, bundle: Path | None, language: str | None, seed: int, as_json: bool) -> None:
    """Measure how far recent messages lie from those the model was made with."""
    refuse_beside(*_NAMED)
    settings = load_settings()
    with store(settings) as engine:
        judged = trusted_bundle(settings, bundle) if bundle else serving_bundle(settings, engine, language)
        report = measure_drift(engine, judged, window=window, seed=seed)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(report)))
    else:
        _show_report(report)


COMMANDS = [discover_themes, show_drift]


def _show_themes(found: Discovery) -> None:
    console = PlainConsole(soft_wrap=True)
    shown = f"{found.unsure} of {found.stories} recent stories are unsure; {found.outside} of them in no theme"
    if not found.themes:
        console.print(f"no theme found: {shown}")
        return
    console.print(shown)
    for number, theme in enumerate(found.themes, start=1):
        given = ", ".join(f"{label} {count}" for label, count in list(theme.labels.items())[:4])
        console.print(f"\n{number}. {', '.join(theme.terms) or 'no common terms'}", style="bold")
        console.print(
            f"   {theme.stories} stories, {theme.first_at:%Y-%m-%d %H:%M} to {theme.last_at:%Y-%m-%d %H:%M}; "
            f"growth x{theme.growth:g} ({theme.earlier} earlier, {theme.recent} recent)"
        )
        console.print(f"   labelled {given}")
        for example in theme.examples:
            console.print(f"   · {example}")


def _show_report(report: DriftReport) -> None:
    if report.note:
        click.echo(report.note)
        return
    table = Table("quantity", "stability index", "by chance below", "", box=None, title_justify="left")
    table.title = f"{report.model} on {report.window} recent stories"
    for shift in report.shifts:
        verdict = Text(shift.verdict, style=_COLOURS[shift.verdict])
        table.add_row(shift.quantity, f"{shift.psi:.3f}", f"{shift.chance:.3f}", verdict)
    open_console().print(table)
