"""`newstide compress`: a small, fast bundle out of what `newstide train` has fine-tuned."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.table import Table

from core.bundle import check_target
from core.errors import InputError
from newstide.commands.labelled_options import (
    labelled_options,
    labelled_words,
    language_option,
    leave_out_option,
    load_material,
    need_trainer,
)
from newstide.commands.option_conflicts import refuse_beside, refuse_without
from newstide.commands.options import Command, with_options
from newstide.commands.output import open_console
from newstide.commands.teacher_options import read_teachers

if TYPE_CHECKING:
    from trainer.compress.plan import Plan
    from trainer.compress.search import Compressed, CompressionSettings
    from trainer.material import Material
    from trainer.runs import Trained

_PATH = click.Path(path_type=Path)
_DIRECTORY = click.Path(path_type=Path, file_okay=False)
DEFAULT_BUDGET = "accuracy-drop<=1,size<=12MB"
DEFAULT_VOCABULARY = 16_000
MOST_UNLABELLED = 15_000
STUDENTS = "students"  # in the directory of the teachers' weights, where nothing takes them for teachers
_SHAPE = ("layers", "heads", "inner", "activation", "rank")  # options that describe one student
_WIDE = 190  # columns of a terminal that holds a row of the report
_LEFT_OUT = {"parameters (M)", "against the first", "macro-F1", "ECE"}  # of narrower ones; they are in the report
_STUDENT_OPTIONS = (
    click.option(
        "--variants",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Variants made of each text that teachers answer, to learn from.",
    ),
    click.option(
        "--students",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="How many students are taught; the best, or their mean, is kept.",
    ),
)


def student_options(command: Command) -> Command:
    """Give `command` --variants and --students: what a better student may cost."""
    return with_options(command, _STUDENT_OPTIONS)


@click.command()
@labelled_options
@click.option(
    "--teacher",
    type=_PATH,
    multiple=True,
    required=True,
    help="Network kept by `train --weights`, their directory, or a bundle. Students are cut from the first one.",
)
@leave_out_option
@language_option
@click.option("--weights", type=_DIRECTORY, help="Keep answers and students here, and go on from them.")
@click.option("--unlabelled", type=_PATH, help='More texts to learn from: lines {"text": ...}, gzip too.')
@click.option(
    "--most", type=click.IntRange(0), default=MOST_UNLABELLED, show_default=True, help="Unlabelled texts taken."
)
@student_options
@click.option("--out", type=_DIRECTORY, required=True, help="Directory the bundle is written to.")
@click.option("--name", default="newstide-small", show_default=True, help="Name of the bundle.")
@click.option("--report", type=_DIRECTORY, help="Directory of report.md and report.html; beside --out by default.")
@click.option("--budget", default=DEFAULT_BUDGET, show_default=True, help="What may be lost, and the size.")
@click.option("--layers", type=click.IntRange(1), help="This many layers; any of these options replaces the search.")
@click.option("--heads", type=click.IntRange(1), help="Attention heads of each layer.")
@click.option("--inner", type=click.IntRange(1), help="Inner neurons of each layer.")
@click.option("--activation", type=click.Choice(["gelu", "relu"]), help="Activation; relu is free in eight bits.")
@click.option("--rank", type=click.FloatRange(0, 1, min_open=True), help="Weights that factorized products keep.")
@click.option("--vocabulary", type=click.IntRange(1), default=DEFAULT_VOCABULARY, show_default=True, help="Words kept.")
@click.option("--calibration", type=click.Choice(["minmax", "percentile", "mse"]), help="Best of all by default.")
@click.option("--epochs", type=click.IntRange(1), default=6, show_default=True, help="Epochs of teaching.")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    default=2e-4,
    show_default=True,
    help="Learning rate of teaching.",
)
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Texts of a step.")
@click.option("--max-length", type=click.IntRange(3), default=64, show_default=True, help="Tokens of a text.")
@click.option("--true-labels", type=click.FloatRange(0, 1), default=0.3, show_default=True, help="Their weight.")
@click.option(
    "--temperature",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Softens the teachers' labels.",
)
@click.option("--hidden", type=click.FloatRange(0), default=0.0, show_default=True, help="Weight of hidden states.")
@click.option("--probes", type=click.IntRange(0), default=3, show_default=True, help="Plans tried for one epoch.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all that chance decides.")
@click.option("--threads", type=click.IntRange(1), help="Torch threads; all cores by default.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def compress(**options: Any) -> None:
    """Search for the smallest and fastest student that keeps a budget, and write it as an eight-bit bundle."""
    need_trainer()
    refuse_without(("unlabelled",), "most")
    for option in _SHAPE:
        refuse_beside(option, ("probes",), "it describes the only plan there is;")
    import torch

    from trainer.compress.plan import parse_budget
    from trainer.pipeline import compress_bundle

    if options["threads"]:
        torch.set_num_threads(options["threads"])
    budget = parse_budget(options["budget"])
    check_target(options["out"], options["name"])
    material = load_material(
        options["data"], options["dataset"], options["corpora"], options["leave_out"], options["language"]
    )
    trained = load_teachers(options["teacher"], material)
    texts = read_texts(options["unlabelled"], options["most"]) if options["unlabelled"] else []
    report = options["report"] or options["out"].with_name(f"{options['out'].name}-report")
    with reported_miss(report, options["name"], trained):
        bundle, found = compress_bundle(
            trained,
            texts,
            choose_plans(trained, options),
            budget,
            choose_settings(options),
            options["out"],
            name=options["name"],
            command=_command_line(options),
            keep=options["weights"] / STUDENTS if options["weights"] is not None else None,
            quiet=options["as_json"] or not sys.stderr.isatty(),
            log=lambda line: click.echo(line, err=True),
        )
    write(report, found, options["name"], trained)
    show(found, report, bundle.path, options["as_json"])


def load_teachers(paths: tuple[Path, ...], material: Material) -> Trained:
    """What `read_teachers` finds. Raises InputError where one does not fit the labels, and as that does."""
    from trainer.runs import Trained

    found = read_teachers(paths)
    if paths[0].is_dir():
        kinds = {one.backbone for file, one in found if file.parent == paths[0]}
        if len(kinds) > 1:
            raise InputError(
                f"{paths[0]} holds networks of {' and '.join(sorted(kinds))}; name first the file that students are to "
                "be cut from"
            )
    for file, one in found:
        if one.network.labels != material.labels:
            raise InputError(f"{file} was trained on other labels than the texts given have; use the same data")
    return Trained([one for _, one in found], material)


def read_texts(path: Path, most: int) -> list[str]:
    """Up to `most` texts of the records of `path` (JSON Lines, CSV or Parquet), spread evenly over the file.

    Raises InputError naming the record that has no text.
    """
    from core.readers import open_records

    texts = []
    with closing(open_records(path)) as file:
        for row in file.rows():
            text = (row.fields or {}).get("text")
            if not isinstance(text, str):
                raise InputError(f'{path} record {row.number} has no "text"; expected {{"text": "..."}} {row.reason}')
            texts.append(text)
    step = max(len(texts) / max(most, 1), 1)
    return [texts[int(place * step)] for place in range(min(most, len(texts)))]


def choose_plans(trained: Trained, options: dict[str, Any]) -> list[Plan]:
    """The one plan that the options describe, or all candidates where they describe none."""
    from trainer.compress.plan import Plan, candidates

    words = options["vocabulary"]
    if not any(options[name] for name in _SHAPE):
        return candidates(trained.learned[0].network.architecture, words)
    shape = {name: options[name] for name in ("layers", "heads", "inner", "activation")}
    return [Plan(**shape, vocabulary=words, rank_share=options["rank"] or 1.0)]


def choose_settings(options: dict[str, Any]) -> CompressionSettings:
    """How students are taught, from the options."""
    from trainer.compress.distil import Mixture
    from trainer.compress.search import TEACHING, CompressionSettings

    teaching = msgspec.structs.replace(
        TEACHING,
        epochs=options["epochs"],
        patience=options["epochs"],
        batch_size=options["batch_size"],
        max_length=options["max_length"],
        encoder_rate=options["rate"],
        seed=options["seed"],
    )
    mixture = Mixture(options["temperature"], options["true_labels"], options["hidden"])
    return CompressionSettings(
        teaching, mixture, options["calibration"], options["probes"], options["students"], options["variants"]
    )


@contextmanager
def reported_miss(directory: Path, name: str, trained: Trained) -> Iterator[None]:
    """Write the report of a compression inside that misses its budget too: what was measured says by how much."""
    from trainer.compress.search import BudgetMissed

    try:
        yield
    except BudgetMissed as missed:
        if missed.nearest is not None:
            write(directory, missed.nearest, name, trained)
            click.echo(f"report {directory / 'report.html'}", err=True)
        raise


def write(directory: Path, found: Compressed, name: str, trained: Trained) -> None:
    """Write the report of a compression to `directory`."""
    from trainer.compress.ensemble import in_words
    from trainer.compress.report import write_report

    material = trained.material
    sizes = ", ".join(f"{len(getattr(material.split, part))} {part}" for part in ("train", "validation", "test"))
    notes = [
        f"Texts: {sizes}. Chosen: {found.chosen.name}.",
        *(f"{line}." for line in in_words(found.ensemble, trained.learned)),
        "Accuracy, macro-F1 and expected calibration error on the test part; the choice was made on "
        f"{'sources that were left out' if material.unseen else 'validation'}. "
        "Messages per second of one thread's CPU time, tokenizer included. What was cut is not taught yet in the rows "
        "that begin with cut.",
        *(f"{line}." for line in _spread_lines(found)),
    ]
    write_report(directory, f"Compression of {name}", found.variants, found.chosen, notes)


def _spread_lines(found: Compressed) -> list[str]:
    """Mean and standard deviation over all students, a line per task; nothing where there is one student only."""
    lines = []
    for task in found.spread:
        figures = (("accuracy", task.accuracy), ("macro-F1", task.macro_f1), ("ECE", task.ece))
        words = ", ".join(f"{name} {figure.mean:.4f} ± {figure.deviation:.4f}" for name, figure in figures)
        lines.append(f"{task.task}, {task.runs} students in eight bits: {words}")
    return [] if found.spread[0].runs == 1 else lines


def show(found: Compressed, report: Path, bundle: Path | None, as_json: bool) -> None:
    """Print the variants as a table, or all as one JSON object."""
    from trainer.compress.report import table

    if as_json:
        content = {"bundle": str(bundle), "report": str(report), "plan": found.plan, "calibration": found.method}
        content |= {"chosen": found.chosen.name, "variants": found.variants, "spread": found.spread}
        click.echo(msgspec.json.encode({**content, "ensemble": found.ensemble}).decode())
        return
    head, rows = table(found.variants)
    console = open_console()
    columns = [place for place, name in enumerate(head) if console.width >= _WIDE or name not in _LEFT_OUT]
    shown = Table(*(head[place] for place in columns), title="test part", title_justify="left")
    for variant, row in zip(found.variants, rows, strict=True):
        style = "bold" if variant.name == found.chosen.name else None
        shown.add_row(*(row[place] for place in columns), style=style)
    console.print(shown)
    for line in _spread_lines(found):
        click.echo(line)
    click.echo(f"bundle {bundle}, report {report / 'report.html'}")


def _command_line(options: dict[str, Any]) -> str:
    words = ["newstide", "compress", *labelled_words(options["data"], options["dataset"], options["corpora"])]
    words += [word for source in options["leave_out"] for word in ("--leave-out", source)]
    words += ["--language", options["language"]] if options["language"] else []
    for path in options["teacher"]:
        words += ["--teacher", path.name]
    words += ["--budget", options["budget"]]
    if options["unlabelled"]:
        words += ["--unlabelled", options["unlabelled"].name, "--most", str(options["most"])]
    for name in ("layers", "heads", "inner", "activation", "rank", "vocabulary", "calibration", "epochs", "rate"):
        if options[name] is not None:
            words += [f"--{name}", str(options[name])]
    for name in (
        "batch_size",
        "max_length",
        "true_labels",
        "temperature",
        "hidden",
        "probes",
        "students",
        "variants",
        "seed",
    ):
        if name != "probes" or not any(options[each] for each in _SHAPE):
            words += [f"--{name.replace('_', '-')}", str(options[name])]
    return shlex.join([*words, "--out", options["out"].name])


COMMANDS = [compress]
