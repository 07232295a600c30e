"""The options of `newstide train` that say how it learns, and the recipe they stand for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from core.errors import InputError
from newstide.commands.option_conflicts import given_options
from newstide.commands.options import Command, with_options

if TYPE_CHECKING:
    from trainer.learn.recipe import ClassWeights, Recipe
    from trainer.material import Material

AGREEMENT = "agreement"
# Defaults of a training that goes on from a bundle, by option.
_CONTINUING: dict[str, Any] = {"epochs": 1, "smoothing": 0.0}
_POSITIVE = click.FloatRange(0, min_open=True)
_SHARE = click.FloatRange(0, 1, max_open=True)
# Option name -> field of the recipe, in the order in which they are shown.
_FIELDS = {
    "epochs": "epochs",
    "stop_after": "stop_after",
    "patience": "patience",
    "batch_size": "batch_size",
    "max_length": "max_length",
    "rate": "encoder_rate",
    "head_rate": "head_rate",
    "warmup": "warmup",
    "weight_decay": "weight_decay",
    "dropout": "dropout",
    "masked_words": "masked_words",
    "smoothing": "label_smoothing",
    "clip_norm": "clip_norm",
    "freeze_layers": "frozen_layers",
    "lora": "lora_rank",
    "lora_rate": "lora_rate",
    "source_bias": "source_bias",
    "source_balance": "source_balance",
    "known_labels": "known_labels",
    "old_weights": "old_weights",
    "rehearsed": "rehearsed",
    "seed": "seed",
    "runs": "runs",
}
_OPTIONS = (
    click.option("--epochs", type=click.IntRange(1), default=5, show_default=True, help="Passes over the texts."),
    click.option("--stop-after", type=click.IntRange(1), help="End after this many epochs, the rate still high."),
    click.option(
        "--patience", type=click.IntRange(1), default=2, show_default=True, help="Epochs without a better macro-F1."
    ),
    click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Texts of a step."),
    click.option("--max-length", type=click.IntRange(3), default=64, show_default=True, help="Tokens of a text."),
    click.option("--rate", type=_POSITIVE, default=1e-4, show_default=True, help="Encoder's learning rate."),
    click.option("--head-rate", type=_POSITIVE, default=5e-4, show_default=True, help="Heads' learning rate."),
    click.option("--warmup", type=_SHARE, default=0.06, show_default=True, help="Share of all steps."),
    click.option("--weight-decay", type=click.FloatRange(0), default=0.01, show_default=True, help="Of AdamW."),
    click.option("--dropout", type=_SHARE, default=0.1, show_default=True, help="On what the heads see."),
    click.option("--masked-words", type=_SHARE, default=0.05, show_default=True, help="Share of words hidden."),
    click.option("--smoothing", type=_SHARE, default=0.05, show_default=True, help="Label smoothing."),
    click.option("--clip-norm", type=_POSITIVE, default=1.0, show_default=True, help="Largest norm of a gradient."),
    click.option(
        "--class-weights", help="none, balanced, sqrt, or a JSON file of numbers; those of the dataset by default."
    ),
    click.option("--freeze-words", is_flag=True, help="Leave word vectors as they are: faster by a quarter."),
    click.option(
        "--freeze-layers",
        type=click.IntRange(0),
        default=0,
        metavar="N",
        help="Leave the lowest N layers as they are too.",
    ),
    click.option(
        "--lora", type=click.IntRange(0), default=0, metavar="RANK", help="Learn low-rank adapters in the encoder."
    ),
    click.option("--lora-rate", type=_POSITIVE, default=1e-3, show_default=True, help="Adapters' learning rate."),
    click.option(
        "--source-bias",
        type=click.Choice(["none", "drop", "mean"]),
        default="none",
        show_default=True,
        help="A learnt bias per source for each label, dropped or averaged at the end.",
    ),
    click.option(
        "--source-balance",
        type=click.FloatRange(0, 1),
        default=0.0,
        show_default=True,
        help="0: sources as large as they are; 1: all alike in each batch.",
    ),
    click.option(
        "--source-smoothing",
        help="Label smoothing by source: `agreement`, by that of the dataset's annotators, or a JSON file.",
    ),
    click.option("--fusion", help="A learnt vector for each kind, group or language of sources, named by a JSON file."),
    click.option(
        "--known-labels",
        type=_SHARE,
        default=0.0,
        show_default=True,
        help="Going on from a bundle: weight of the true label of a text that it knows, beside its own answer.",
    ),
    click.option(
        "--old-weights",
        type=_SHARE,
        default=0.0,
        show_default=True,
        help="Going on from a bundle: share of its own weights in those of the result.",
    ),
    click.option(
        "--rehearsed",
        type=click.IntRange(1),
        default=4_000,
        show_default=True,
        help="Going on from a bundle: known texts that it rehearses at least, beside those that teachers answer.",
    ),
    click.option("--few-shot", is_flag=True, help="For tens of texts per label: by contrast, then regression."),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all that chance decides."),
    click.option(
        "--runs", type=click.IntRange(1), default=1, show_default=True, help="Runs whose weights are averaged."
    ),
)


def recipe_options(command: Command) -> Command:
    """Give `command` the options of a recipe; `choose_recipe` reads them."""
    return with_options(command, _OPTIONS)


def going_on(options: dict[str, Any]) -> dict[str, Any]:
    """`options` of the running command with the defaults of a training that goes on from a bundle."""
    return options | {name: value for name, value in _CONTINUING.items() if name not in given_options()}


def choose_recipe(options: dict[str, Any]) -> Recipe:
    """The recipe that `options` of the running command describe, without class weights where they name none.

    Smoothing by the agreement of a dataset is not in it yet: `agreed_smoothing` has that. Raises InputError for a file
    of class weights, smoothing or fusion that can't be read.
    """
    from trainer.learn.recipe import Recipe

    return Recipe(
        **{field: options[option] for option, field in _FIELDS.items()},
        class_weights=_class_weights(options["class_weights"] or "none"),
        source_smoothing=_source_smoothing(options["source_smoothing"]),
        fusion=_fusion(options["fusion"]),
        train_words=not options["freeze_words"],
        few_shot=options["few_shot"],
    )


def recipe_words(options: dict[str, Any]) -> list[str]:
    """The same options as words of a command line, those at their defaults left out but for the usual ones."""
    defaults = {parameter.name: parameter.default for parameter in click.get_current_context().command.params}
    words = []
    for option in _FIELDS:
        if options[option] is None or (options[option] == defaults[option] and option not in ("epochs", "seed")):
            continue
        words += [f"--{option.replace('_', '-')}", str(options[option])]
    if options["class_weights"] is not None:
        words += ["--class-weights", Path(options["class_weights"]).name]
    if options["source_smoothing"] is not None:
        words += ["--source-smoothing", Path(options["source_smoothing"]).name]
    if options["fusion"] is not None:
        words += ["--fusion", Path(options["fusion"]).name]
    return words + [f"--{name.replace('_', '-')}" for name in ("freeze_words", "few_shot") if options[name]]


def _class_weights(given: str) -> ClassWeights:
    if given in ("none", "balanced", "sqrt"):
        return given  # type: ignore[return-value]
    path = Path(given)
    if not path.is_file():
        raise InputError(f"--class-weights {given}: expected none, balanced, sqrt, or a JSON file that exists")
    return _read_numbers(path, '{"<task>": {"<label>": 2.5, ...}, ...}')


def _source_smoothing(given: str | None) -> dict[str, dict[str, float]]:
    if given is None or given == AGREEMENT:
        return {}
    path = Path(given)
    if not path.is_file():
        raise InputError(f"--source-smoothing {given}: expected agreement, or a JSON file that exists")
    return _read_numbers(path, '{"<source>": {"<task>": 0.1, ...}, ...}')


def _fusion(given: str | None) -> dict[str, dict[str, str]]:
    if given is None:
        return {}
    try:
        return msgspec.json.decode(Path(given).read_bytes(), type=dict[str, dict[str, str]])
    except (OSError, msgspec.DecodeError) as error:
        shape = '{"<feature>": {"<source>": "<value>", ...}, ...}'
        raise InputError(f"--fusion {given}: expected a JSON file that holds {shape}: {error}") from error


def agreed_smoothing(material: Material) -> dict[str, dict[str, float]]:
    """The smoothing that the agreement of the annotators of `material` comes to.

    Raises InputError where none is known.
    """
    from trainer.learn.objectives import smoothing_of

    if not material.agreement:
        raise InputError("no annotators' agreement is known; build a --dataset whose spec has it, or give a JSON file")
    return smoothing_of(material.agreement, material.labels)


def _read_numbers(path: Path, shape: str) -> dict[str, dict[str, float]]:
    """Numbers by two names. Raises InputError for a file of another `shape`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} can't be read as JSON: {error}") from error
    numbers = isinstance(found, dict) and all(
        isinstance(weights, dict)
        and all(isinstance(weight, int | float) and not isinstance(weight, bool) for weight in weights.values())
        for weights in found.values()
    )
    if not numbers:
        raise InputError(f"{path}: expected {shape}")
    return {task: {label: float(weight) for label, weight in weights.items()} for task, weights in found.items()}
