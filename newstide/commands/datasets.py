"""`newstide dataset build` and `newstide labels import | export | list`: what the trainer learns from."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.table import Column, Table
from rich.text import Text

from core.output_file import output_file
from core.settings import load_settings
from core.store.labels import Label, add_label_lines, import_labels, read_labels
from core.taxonomy import load_taxonomy
from core.terminal import PlainConsole
from desk.labelling.figures import read_counting
from desk.labelling.files import LAYOUTS, Layout, write_labels
from desk.labelling.files import read_labels as parse_labels
from newstide.commands.option_conflicts import refuse_beside
from newstide.commands.output import open_console
from newstide.stack.resources import store
from stream.entities import load_watchlist
from trainer.data.build import build_dataset
from trainer.data.consensus import agree
from trainer.data.dataset import Dataset, read_bytes
from trainer.data.entities import Locate, nowhere
from trainer.data.examples import Tie
from trainer.data.spec import load_spec
from trainer.data.splits import PARTS

_FILE = click.Path(path_type=Path, dir_okay=False)
_DIRECTORY = click.Path(path_type=Path, file_okay=False)
_layout = click.option(
    "--format",
    "layout",
    type=click.Choice(LAYOUTS),
    default=LAYOUTS[0],
    show_default=True,
    help="JSON lines, or JSON as Label Studio exports and imports it.",
)


@click.group()
def dataset() -> None:
    """Datasets: corpora and analysts' labels, cleaned, split and frozen."""


@dataset.command("build")
@click.argument("spec", metavar="SPEC.toml", type=_FILE)
@click.option("--out", type=_DIRECTORY, required=True, help="Directory of the dataset; its test set stays as it is.")
@click.option("--base", type=_DIRECTORY, help="Directory of the corpora; that of SPEC.toml by default.")
@click.option("--test", type=_FILE, help="Lines to freeze as the test set of a first build.")
@click.option("--no-labels", is_flag=True, help="Without the labels of analysts, and so without the database.")
@click.option("--drop-leaks", is_flag=True, help="Leave out texts meant for train that touch the frozen test set.")
@click.option("--json", "as_json", is_flag=True, help="Print the record of the dataset as one JSON object.")
def build(
    spec: Path, out: Path, base: Path | None, test: Path | None, no_labels: bool, drop_leaks: bool, as_json: bool
) -> None:
    """Join the corpora of SPEC.toml with analysts' labels and split them into train, validation and test."""
    settings = load_settings()
    taxonomy = load_taxonomy(settings.taxonomy)
    described = load_spec(spec, taxonomy)
    labels: list[Label] = []
    locate: Locate = nowhere
    if not no_labels:
        locate = load_watchlist(settings.stream.watchlist).locate
        with store(settings) as engine:
            labels = read_labels(engine)
    console = PlainConsole(stderr=True, quiet=as_json or not sys.stderr.isatty())
    with console.status("building") as status:
        made = build_dataset(
            described,
            base or spec.parent,
            out,
            taxonomy,
            labels,
            test=test,
            drop_leaks=drop_leaks,
            locate=locate,
            report=lambda line: status.update(Text(line)),
        )
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(made.record)))
    else:
        _show(made, out)


@click.group("labels")
def labels_() -> None:
    """Labels that analysts gave."""


@labels_.command("import")
@click.argument("file", metavar="FILE.jsonl", type=_FILE)
@click.option("--analyst", help="Whose labels these are; whom each line names, if not given.")
@_layout
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def import_(file: Path, analyst: str | None, layout: Layout, as_json: bool) -> None:
    """Add labels: lines {"text" or "uid", "<task>": "<label>", "entities"?: [{"name", "sentiment"}], "source"?,
    "analyst"?}. All, or none if one is wrong."""
    settings = load_settings()
    taxonomy = load_taxonomy(settings.taxonomy)
    with store(settings) as engine:
        if layout == "jsonl":
            added, known = import_labels(engine, file, analyst, taxonomy)
        else:
            lines = parse_labels(read_bytes(file), layout, str(file), taxonomy)
            with engine.begin() as connection:
                added, known = add_label_lines(connection, lines, str(file), analyst)
    if as_json:
        click.echo(json.dumps({"added": added, "already_given": known}))
    else:
        click.echo(f"{added} labels added, {known} were given already")


@labels_.command("export")
@click.argument("file", metavar="FILE", type=_FILE)
@_layout
def export(file: Path, layout: Layout) -> None:
    """Write what analysts say, and verdicts on it, into FILE: the labels that count."""
    with store(load_settings()) as engine, engine.connect() as connection, output_file(file) as output:
        output.writelines(write_labels(read_counting(connection), layout))
    click.echo(f"labels written to {file}", err=True)


@labels_.command("list")
@click.option("--analyst", help="Only labels of this analyst.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="The newest ones.")
@click.option("--ties", is_flag=True, help="Only texts that analysts are split on, over all labels.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(analyst: str | None, limit: int, ties: bool, as_json: bool) -> None:
    """Show labels, the newest first; the latest of an analyst for a text counts."""
    refuse_beside("ties", ("analyst",), "a text is split over the labels of several analysts;")
    with store(load_settings()) as engine:
        found = read_labels(engine, analyst, None if ties else limit)
    if ties:
        _show_ties(agree(found)[1][:limit], as_json)
        return
    found.reverse()
    if as_json:
        click.echo(json.dumps([_as_json(label) for label in found], indent=1))
        return
    table = Table("when (UTC)", "analyst", "task", "label", "source", Column("text", ratio=1), box=None)
    for label in found:
        when = f"{label.labelled_at:%Y-%m-%d %H:%M}" if label.labelled_at else ""
        of = f"{label.task}, {label.entity}" if label.entity else label.task
        texts = (label.analyst, of, label.label or "(taken back)", label.source, label.text[:120])
        table.add_row(when, *texts)
    open_console().print(table if found else "no labels")


COMMANDS = [dataset, labels_]


def _show(made: Dataset, out: Path) -> None:
    record = made.record
    sizes = ", ".join(f"{len(getattr(made.split, part))} {part}" for part in PARTS)
    removed = ", ".join(f"{count} {reason}" for reason, count in record.removed.items())
    click.echo(f"{out}: {sizes}; fingerprint {record.fingerprint[:16]}")
    click.echo(f"left out: {removed}, {record.ties} open ties, {record.held_out} held out for the frozen test set")
    click.echo(f"{record.analysts} texts carry a label of your analysts")
    for task, names in record.labels.items():
        table = Table(task, *PARTS, "weight", box=None)
        for label in names:
            numbers = [str(record.counts[part][task][label]) for part in PARTS]
            table.add_row(label, *numbers, f"{record.class_weights[task][label]:.3f}")
        open_console().print(table)
    for warning in record.warnings:
        click.echo(f"note: {warning}", err=True)


def _show_ties(ties: list[Tie], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([msgspec.to_builtins(tie) for tie in ties], indent=1))
        return
    table = Table("task", "votes", "source", Column("text", ratio=1), box=None)
    for tie in ties:
        votes = ", ".join(f"{label} {count}" for label, count in tie.votes.items())
        of = f"{tie.task}, {tie.entity}" if tie.entity else tie.task
        table.add_row(of, votes, tie.source, tie.text[:120])
    open_console().print(table if ties else "no ties")


def _as_json(label: Label) -> dict[str, Any]:
    return {
        "text": label.text,
        "source": label.source,
        "task": label.task,
        "entity": label.entity,
        "label": label.label,
        "analyst": label.analyst,
        "uid": str(label.uid) if label.uid else None,
        "labelled_at": label.labelled_at.isoformat() if label.labelled_at else None,
    }
