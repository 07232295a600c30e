"""`newstide classify | evaluate`: a bundle on files."""

from __future__ import annotations

import json
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from core.bundle import load_bundle
from core.classifier import Classifier
from core.errors import InputError
from core.offline import classify_file, evaluate_file
from core.scoring import TaskScore
from core.settings import load_settings

_FILE = click.Path(path_type=Path, dir_okay=False)
_DIRECTORY = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("source", metavar="IN.jsonl", type=_FILE)
@click.argument("target", metavar="OUT.jsonl", type=_FILE)
@click.option("--bundle", type=_DIRECTORY, help="Model bundle; the one in the settings by default.")
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="ONNX Runtime threads.")
def classify(source: Path, target: Path, bundle: Path | None, threads: int) -> None:
    """Label every line {"id", "text"} of IN.jsonl; write OUT.jsonl in the same order."""
    count = classify_file(_classifier(bundle, threads), source, target)
    click.echo(f"{count} texts classified into {target}", err=True)


@click.command()
@click.option("--bundle", type=_DIRECTORY, help="Model bundle; the one in the settings by default.")
@click.option("--data", type=_FILE, required=True, help='Lines {"text", "<task>": "<label>"}.')
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="ONNX Runtime threads.")
def evaluate(bundle: Path | None, data: Path, as_json: bool, threads: int) -> None:
    """Judge a bundle on labelled texts: precision, recall and F1 per class, accuracy, macro-F1, ECE."""
    classifier = _classifier(bundle, threads)
    scores = evaluate_file(classifier, data)
    if not scores:
        raise InputError(f"{data} holds no labelled text; expected lines with a text and a label")
    if as_json:
        click.echo(json.dumps({"model": classifier.name, "tasks": {s.task: msgspec.to_builtins(s) for s in scores}}))
    else:
        show_scores(scores)


COMMANDS = [classify, evaluate]


def show_scores(scores: list[TaskScore], title: str = "") -> None:
    """Print one table per task."""
    console = Console()
    for score in scores:
        heading = (
            f"{title}{score.task}: accuracy {score.accuracy:.4f}, macro-F1 {score.macro_f1:.4f}, ECE {score.ece:.4f}"
        )
        table = Table("label", "precision", "recall", "F1", "texts", title=heading, title_justify="left")
        for label in score.labels:
            figures = (f"{value:.3f}" for value in (label.precision, label.recall, label.f1))
            table.add_row(label.label, *figures, str(label.support))
        console.print(table)


def _classifier(bundle: Path | None, threads: int) -> Classifier:
    classifier = Classifier(load_bundle(bundle or load_settings().bundle_directory), threads=threads)
    classifier.self_test()
    return classifier
