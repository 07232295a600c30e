"""What may come before a training: a backbone that reads texts of the field, a search for the recipe."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.table import Table

from core.errors import InputError
from newstide.commands.options import Command, with_options
from newstide.commands.output import open_console
from newstide.commands.recipe_options import AGREEMENT, agreed_smoothing

if TYPE_CHECKING:
    from trainer.learn.recipe import Recipe
    from trainer.learn.search import SearchResult
    from trainer.material import Material

_PATH = click.Path(path_type=Path, dir_okay=False)
STUDY = "search.sqlite3"
_OPTIONS = (
    click.option(
        "--adapt",
        type=_PATH,
        multiple=True,
        help='Let the backbone read these first: lines {"text": ...} or CSV, gzip too; may be repeated.',
    ),
    click.option("--adapt-epochs", type=click.IntRange(1), default=3, show_default=True, help="How often it does."),
    click.option(
        "--adapt-most",
        type=click.IntRange(1),
        default=100_000,
        show_default=True,
        help="Texts of each --adapt taken.",
    ),
    click.option("--search", type=click.IntRange(1), metavar="N", help="Try N recipes first, and take the best."),
)


def preparation_options(command: Command) -> Command:
    """Give `command` --adapt and --search; `prepare_training` reads them."""
    return with_options(command, _OPTIONS)


def prepare_training(
    material: Material,
    recipe: Recipe,
    weights: Path | None,
    options: dict[str, Any],
    log: Callable[[str], None],
    backbones: Path | None = None,
) -> tuple[Recipe, Path]:
    """The recipe and the directory of the backbone to train with, once all that the options ask for is done.

    The class weights of a dataset are taken into the recipe before anything learns by it, unless the options name some
    or the training goes on from a bundle, which has no use for them.
    The study of a search is kept in `weights`, an adapted backbone in `backbones`, or there too. Raises InputError
    where adapting has no such directory, and as its parts do.
    """
    from trainer.continuing import is_bundle
    from trainer.learn.backbone import find_backbone

    quiet = options["as_json"] or not sys.stderr.isatty()
    backbone = find_backbone(options["backbone"])
    anew = not is_bundle(backbone)
    if anew and options["class_weights"] is None and material.class_weights:
        recipe = msgspec.structs.replace(recipe, class_weights=material.class_weights)
    if options["source_smoothing"] == AGREEMENT:
        recipe = msgspec.structs.replace(recipe, source_smoothing=agreed_smoothing(material))
    if anew:  # a bundle knows labels that are few here
        _warn_of_few(material, recipe, log)
    if options["adapt"]:
        backbone = _adapt(backbone, recipe, backbones or weights, options, quiet, log)
    if options["search"]:
        recipe = _search(material, backbone, recipe, weights, options, quiet, log)
    return recipe, backbone


def preparation_words(options: dict[str, Any]) -> list[str]:
    """The same options as words of a command line, the path shortened to its name."""
    words = [word for path in options["adapt"] for word in ("--adapt", path.name)]
    if words:
        words += ["--adapt-epochs", str(options["adapt_epochs"]), "--adapt-most", str(options["adapt_most"])]
    return words + (["--search", str(options["search"])] if options["search"] else [])


def _warn_of_few(material: Material, recipe: Recipe, log: Callable[[str], None]) -> None:
    from trainer.learn.fewshot import FEW, scarce_labels

    if recipe.few_shot:
        return
    seen = Counter(pair for example in material.split.train for pair in example.labels.items())
    counts = {task: {label: seen[task, label] for label in names} for task, names in material.labels.items()}
    scarce = scarce_labels(counts)
    if scarce:
        shown = ", ".join(f"{label} ({task}) {count}" for task, label, count in scarce[:5])
        more = f" and {len(scarce) - 5} more" if len(scarce) > 5 else ""
        log(
            f"fewer than {FEW} texts to learn from: {shown}{more}; label more of these, or try --few-shot if most "
            "labels have as few, else --class-weights balanced"
        )


def _adapt(
    backbone: Path,
    recipe: Recipe,
    home: Path | None,
    options: dict[str, Any],
    quiet: bool,
    log: Callable[[str], None],
) -> Path:
    from newstide.commands.compress import read_texts
    from trainer.learn.adapt import Reading, adapt_backbone

    if home is None:
        raise InputError("--adapt makes a backbone that is used again; say with --weights DIR where it is kept")
    reading = Reading(epochs=options["adapt_epochs"], seed=recipe.seed, max_length=recipe.max_length)
    adapted = adapt_backbone(
        backbone,
        [text for path in options["adapt"] for text in read_texts(path, options["adapt_most"])],
        reading,
        home,
        on_epoch=lambda number, loss, held_out: log(
            f"reading, epoch {number}: loss per hidden word {loss:.4f}; on texts held out {held_out:.4f}"
        ),
        quiet=quiet,
    )
    log(f"the backbone adapted to {adapted.texts} texts is {adapted.backbone}")
    return adapted.backbone


def _search(
    material: Material,
    backbone: Path,
    recipe: Recipe,
    weights: Path | None,
    options: dict[str, Any],
    quiet: bool,
    log: Callable[[str], None],
) -> Recipe:
    from trainer.learn.search import search

    found = search(
        backbone,
        material.labels,
        material.split.train,
        material.choice,
        recipe,
        options["search"],
        weights / STUDY if weights is not None else None,
        apart=bool(material.unseen),
        on_trial=lambda tried: log(f"recipe {tried.number}: {tried.outcome}, validation macro-F1 {tried.worth:.4f}"),
        quiet=quiet,
    )
    show_search(found)
    return found.recipe


def show_search(found: SearchResult) -> None:
    """Print a table of all recipes tried, the best first, to standard error."""
    names = list(found.tried[0].changes)
    table = Table("recipe", "outcome", "macro-F1", *(name.replace("_", " ") for name in names))
    for tried in sorted(found.tried, key=lambda one: (one.outcome != "finished", -one.worth)):
        values = (f"{tried.changes[name]:.3g}" for name in names)
        table.add_row(str(tried.number), tried.outcome, f"{tried.worth:.4f}", *values)
    open_console(stderr=True).print(table)
