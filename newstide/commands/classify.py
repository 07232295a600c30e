"""`newstide classify | evaluate | compare`: bundles on files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.table import Table
from rich.text import Text

from core.bundle import Bundle
from core.classifier import Classifier
from core.errors import InputError
from core.fitting import in_order
from core.offline import classify_file, evaluate_file, evaluate_slices
from core.scoring import PRECISION, TaskScore
from core.serving import configured_models, in_service, served_models
from core.settings import Settings, load_settings
from core.shelf import open_shelf, trusted_bundle
from core.slices import Slice
from core.taxonomy import load_taxonomy
from newstide.commands.option_conflicts import refuse_without
from newstide.commands.output import counted_lines, open_console
from newstide.commands.source_table import describe_sources, show_sources
from newstide.stack.resources import store
from stream.entities import load_watchlist

if TYPE_CHECKING:
    from trainer.judge.compare import TaskComparison

CONFUSIONS = 10
WIDEST_MATRIX = 6
_FILE = click.Path(path_type=Path, dir_okay=False)
_DIRECTORY = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("source", metavar="IN.jsonl", type=_FILE)
@click.argument("target", metavar="OUT.jsonl", type=_FILE)
@click.option(
    "--bundle",
    "bundles",
    type=_DIRECTORY,
    multiple=True,
    help="Model bundle, one for a language; those in the settings by default.",
)
@click.option("--live", is_flag=True, help="The models in service instead, as the registry has them.")
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="ONNX Runtime threads.")
@click.option("--explain", is_flag=True, help="Also the words that moved each score, found by leaving them out.")
def classify(source: Path, target: Path, bundles: tuple[Path, ...], live: bool, threads: int, explain: bool) -> None:
    """Label every line {"id", "text"} of IN.jsonl; write OUT.jsonl in the same order.

    Each text is read by the bundle of its language. A text in a language that none reads gets no label: null, and
    "language" beside it. A bundle that tells companies apart labels each company of the watch-list that a text names,
    too."""
    settings = load_settings()
    classifiers = [_tested(bundle, threads) for bundle in _chosen(settings, bundles, live)]
    by_company = any(classifier.entity_labels for classifier in classifiers)
    companies = load_watchlist(settings.stream.watchlist).companies if by_company else None
    unread: Counter[str] = Counter()
    with counted_lines(source, "classifying") as report:
        count = classify_file(classifiers, source, target, report, explain, unread, companies)
    click.echo(f"{count} texts classified into {target}", err=True)
    if unread:
        click.echo(_why_unread(unread, classifiers), err=True)


def _why_unread(unread: Counter[str], classifiers: Sequence[Classifier]) -> str:
    """A sentence for a person; `unread` counts texts by language."""
    number = unread.total()
    names = [classifier.name for classifier in classifiers]
    nobody = f"neither {' nor '.join(names)} reads" if len(names) > 1 else f"{names[0]} does not read"
    texts = ", ".join(f"{count} in {language}" for language, count in unread.most_common())
    labels, whose = ("has no label", "its language") if number == 1 else ("have no labels", "their languages")
    return f"{number} of them {labels}, since {nobody} {whose}: {texts}"


def _chosen(settings: Settings, directories: Sequence[Path], live: bool) -> list[Bundle]:
    """The bundles to classify with, verified, in order. Raises InputError for two of one language."""
    if directories and live:
        raise InputError("--live takes the models in service; leave it or --bundle out")
    if live:
        with store(settings) as engine:
            shelf = open_shelf(settings)
            return [model.fetch(settings, shelf) for model in served_models(settings, engine)]
    if not directories:
        shelf = open_shelf(settings)
        return [model.fetch(settings, shelf) for model in in_service([], configured_models(settings))]
    bundles = in_order([trusted_bundle(settings, directory) for directory in directories])
    for one, other in pairwise(bundles):
        if one.languages[0] == other.languages[0]:
            raise InputError(f"{one.name} and {other.name} are both for {one.languages[0]}; give one bundle a language")
    return bundles


@click.command()
@click.option("--bundle", type=_DIRECTORY, help="Model bundle; the one in the settings by default.")
@click.option("--data", type=_FILE, help='Lines {"text", "<task>": "<label>"}.')
@click.option(
    "--corpora",
    type=_FILE,
    metavar="SPEC.toml",
    help="Corpora of this spec that it did not learn from instead, a row for each.",
)
@click.option("--base", type=_DIRECTORY, help="With --corpora: directory of the corpora; that of the spec by default.")
@click.option("--slices", is_flag=True, help="Also per source, length, language and month, where lines tell them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="ONNX Runtime threads.")
def evaluate(
    bundle: Path | None,
    data: Path | None,
    corpora: Path | None,
    base: Path | None,
    slices: bool,
    as_json: bool,
    threads: int,
) -> None:
    """Judge a bundle on labelled texts: precision, recall and F1 per class, averages, confusion, ECE."""
    if (data is None) == (corpora is None):
        raise InputError("--data FILE.jsonl or --corpora SPEC.toml says what to judge on; give one of them")
    refuse_without(("corpora",), "base")
    classifier = _classifier(bundle, threads)
    if corpora is not None:
        if slices:
            raise InputError("--slices is of --data; --corpora shows sources already")
        _by_source(classifier, corpora, base or corpora.parent, as_json)
        return
    assert data is not None
    with counted_lines(data, "judging") as report:
        if slices:
            scores, parts = evaluate_slices(classifier, data, report)
        else:
            scores, parts = evaluate_file(classifier, data, report), []
    if not scores:
        raise InputError(f"{data} holds no labelled text; expected lines with a text and a label")
    if as_json:
        answer: dict[str, Any] = {"model": classifier.name, "tasks": _by_task(scores)}
        if slices:
            answer["slices"] = [
                {"kind": part.kind, "value": part.value, "tasks": _by_task(part.tasks)} for part in parts
            ]
        click.echo(json.dumps(answer))
        return
    show_scores(scores)
    for score in scores:
        _show_confusion(score)
    if slices:
        _show_slices(parts)


@click.command("compare")
@click.argument("old", metavar="OLD", type=_DIRECTORY)
@click.argument("new", metavar="NEW", type=_DIRECTORY)
@click.option("--data", type=_FILE, required=True, help='Lines {"text", "<task>": "<label>"}.')
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def compare_(old: Path, new: Path, data: Path, seed: int, as_json: bool) -> None:
    """Judge two bundles, the directories OLD and NEW, on the same labelled texts: could the difference be chance?"""
    # Needs SciPy's statistics, which take a second to import.
    from trainer.judge.compare import common_tasks, compare, read_examples

    classifiers = _classifier(old, 1), _classifier(new, 1)
    examples = read_examples(data, common_tasks(*classifiers))
    with open_console(stderr=True).status(f"judging both on {len(examples)} texts"):
        found = compare(*classifiers, examples, seed)
    if as_json:
        tasks = {one.task: msgspec.to_builtins(one) for one in found}
        click.echo(json.dumps({"old": classifiers[0].name, "new": classifiers[1].name, "tasks": tasks}))
        return
    for one in found:
        _show_comparison(one)


COMMANDS = [classify, evaluate, compare_]


def show_scores(scores: list[TaskScore], title: str = "") -> None:
    """Print one table per task."""
    console = open_console()
    for score in scores:
        heading = (
            f"{title}{score.task}: accuracy {score.accuracy:.4f}, macro-F1 {score.macro_f1:.4f}, ECE {score.ece:.4f}"
        )
        at = f"recall at precision {PRECISION:g}"
        table = Table("label", "precision", "recall", "F1", at, "texts", title=heading, title_justify="left")
        for label in score.labels:
            figures = (f"{value:.3f}" for value in (label.precision, label.recall, label.f1))
            at = "" if label.recall_at_precision is None else f"{label.recall_at_precision:.3f}"
            table.add_row(label.label, *figures, at, str(label.support))
        for name, average in (("macro", score.macro), ("weighted", score.weighted)):
            if average is not None:
                figures = (f"{value:.3f}" for value in (average.precision, average.recall, average.f1))
                table.add_row(Text(f"{name} average", style="dim"), *figures, "", "")
        console.print(table)
        for use, point in score.uses.items():
            console.print(
                f"for {use}, {point.label!r} from a score of {point.threshold:.3f} on: "
                f"precision {point.precision:.3f}, recall {point.recall:.3f}; accuracy {point.accuracy:.4f}"
            )


def _by_source(classifier: Classifier, spec: Path, base: Path, as_json: bool) -> None:
    """Judge on the corpora of `spec` that the model did not learn from."""
    from trainer.data.corpora import read_corpus
    from trainer.data.examples import merge_duplicates
    from trainer.data.spec import load_spec
    from trainer.judge.sources import judge_sources

    taxonomy = load_taxonomy(load_settings().taxonomy)
    described = load_spec(spec, taxonomy)
    learnt = set(classifier.learnt)
    with open_console(stderr=True).status("judging"):
        read = (read_corpus(corpus, base, taxonomy.tasks) for corpus in described.corpus)
        examples, _ = merge_duplicates(example for corpus in read for example in corpus.examples)
        scores = judge_sources(classifier, [example for example in examples if example.source not in learnt])
    passed_over = sorted(learnt & {corpus.name for corpus in described.corpus})
    if not scores:
        raise InputError(
            f"{classifier.name} learned from all of {', '.join(passed_over)}; give corpora that it did not"
        )
    if as_json:
        click.echo(json.dumps({"model": classifier.name, **describe_sources(scores), "learnt_from": passed_over}))
        return
    show_sources(open_console(), scores)
    if passed_over:
        click.echo(f"not judged, since {classifier.name} learned from them: {', '.join(passed_over)}")


def _by_task(scores: list[TaskScore]) -> dict[str, Any]:
    return {score.task: msgspec.to_builtins(score) for score in scores}


def _show_confusion(score: TaskScore) -> None:
    """The confusion matrix; of more labels than fit a line, the pairs that are mistaken most often."""
    names = [label.label for label in score.labels]
    if len(names) <= WIDEST_MATRIX:
        table = Table("true \\ got", *names, title=f"{score.task}: confusion", title_justify="left")
        for truth in names:
            row = score.confusion.get(truth, {})
            table.add_row(truth, *(str(row.get(given, 0)) for given in names))
        open_console().print(table)
        return
    support = {label.label: label.support for label in score.labels}
    table = Table("true", "got", "texts", "of the true", title=f"{score.task}: confused most")
    pairs = [
        (-count, truth, given)
        for truth, row in score.confusion.items()
        for given, count in row.items()
        if given != truth
    ]
    for count, truth, given in sorted(pairs)[:CONFUSIONS]:
        table.add_row(truth, given, str(-count), f"{-count / support[truth]:.1%}")
    open_console().print(table)


def _show_slices(parts: list[Slice]) -> None:
    table = Table("slice", "", "task", "texts", "accuracy", "macro-F1", "ECE", title="slices", title_justify="left")
    for part in parts:
        for score in part.tasks:
            figures = (f"{value:.3f}" for value in (score.accuracy, score.macro_f1, score.ece))
            table.add_row(part.kind, part.value, score.task, str(score.support), *figures)
    open_console().print(table)


def _show_comparison(found: TaskComparison) -> None:
    click.echo(
        f"{found.task}, {found.texts} texts\n"
        f"  accuracy {found.old.accuracy:.4f} -> {found.new.accuracy:.4f}: {found.difference:+.4f}, "
        f"95% interval {found.low:+.4f} to {found.high:+.4f}\n"
        f"  macro-F1 {found.old.macro_f1:.4f} -> {found.new.macro_f1:.4f}\n"
        f"  only the old one right: {found.only_old_right}, only the new one: {found.only_new_right}, "
        f"McNemar p = {found.p_value:.4f}"
    )
    table = Table("label", "F1 old", "F1 new", "change", "texts")
    for old, new in zip(found.old.labels, found.new.labels, strict=True):
        if old.label in found.f1_drops:
            change = f"{new.f1 - old.f1:+.3f}"
            table.add_row(old.label, f"{old.f1:.3f}", f"{new.f1:.3f}", change, str(old.support))
    open_console().print(table)


def _classifier(bundle: Path | None, threads: int) -> Classifier:
    return _tested(trusted_bundle(load_settings(), bundle), threads)


def _tested(bundle: Bundle, threads: int) -> Classifier:
    classifier = Classifier(bundle, threads=threads)
    classifier.self_test()
    return classifier
