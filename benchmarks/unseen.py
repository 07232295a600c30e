"""What recipes are worth on sources that they never learned from: a small backbone, frozen words, three epochs.

    newstide dataset build data/english.toml --base ../shared/data --out data/english --no-labels
    python -m benchmarks.unseen --dataset data/english --weights weights [--variants plain bias ...] [--folds 5]

Each variant of the recipe is trained `--folds` times, each time without a fifth of the sources that may be left out
(`--folds 0`: without one at a time), and once with all of them; what is judged is the eight-bit graph that would ship.
A training takes minutes of one core, and what it gave is kept in `--weights`: an interrupted benchmark goes on, and
more variants add to it. Sources named by --always are never left out: by default the large public corpora, without
which there is no training to speak of. `public` learns from these alone and is judged on all others: what the own texts
are worth.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch
from rich.table import Table

from core.terminal import PlainConsole
from core.unseen import MeanScore, SourceScore, mean_scores
from newstide.commands.compress import read_texts
from trainer.data.dataset import load_dataset
from trainer.learn.adapt import Reading, adapt_backbone
from trainer.learn.backbone import find_backbone
from trainer.learn.objectives import smoothing_of
from trainer.learn.recipe import Recipe
from trainer.material import Material, from_dataset
from trainer.runs import Training
from trainer.unseen import UnseenTable, judge_unseen

ALWAYS = ("sentfin", "twitter-fin-sentiment", "twitter-fin-topic")
PUBLIC = "public"
_FIGURES = ("left out: accuracy", "macro-F1", "ECE", "negative recall", "in domain: accuracy", "ECE")
# What each variant changes in the recipe.
VARIANTS: dict[str, Callable[[Recipe, Material], Recipe]] = {
    PUBLIC: lambda recipe, material: recipe,
    "plain": lambda recipe, material: recipe,
    "bias dropped": lambda recipe, material: msgspec.structs.replace(recipe, source_bias="drop"),
    "bias averaged": lambda recipe, material: msgspec.structs.replace(recipe, source_bias="mean"),
    "half balanced": lambda recipe, material: msgspec.structs.replace(recipe, source_balance=0.5),
    "balanced": lambda recipe, material: msgspec.structs.replace(recipe, source_balance=1.0),
    "agreement": lambda recipe, material: msgspec.structs.replace(
        recipe, source_smoothing=smoothing_of(material.agreement, material.labels)
    ),
    "bias, half balanced": lambda recipe, material: msgspec.structs.replace(
        recipe, source_bias="drop", source_balance=0.5
    ),
    "smoother": lambda recipe, material: msgspec.structs.replace(recipe, label_smoothing=0.15),
    "adapted": lambda recipe, material: recipe,
}


def folds(names: list[str], count: int) -> list[tuple[str, ...]]:
    """`names` dealt into `count` groups, those next to each other by name into different ones; each alone where 0."""
    if not count:
        return [(name,) for name in names]
    dealt = [tuple(names[start::count]) for start in range(count)]
    return [group for group in dealt if group]


def measure(options: argparse.Namespace) -> dict[str, UnseenTable]:
    """The table of each variant, as it becomes known told on standard error."""
    torch.set_num_threads(options.threads)
    material = from_dataset(load_dataset(options.dataset))
    backbone = find_backbone(options.backbone)
    plain = Recipe(epochs=options.epochs, train_words=False, patience=options.epochs)
    names = [source.name for source in material.sources() if source.name not in options.always]
    seeds = list(range(options.seeds))
    found = {}
    for variant in options.variants:
        begun = time.perf_counter()
        recipe, used = VARIANTS[variant](plain, material), backbone
        if variant == "adapted":
            if not options.adapt:
                _log("adapted is left out: name texts with --adapt")
                continue
            texts = [text for path in options.adapt for text in read_texts(path, options.adapt_most)]
            used = adapt_backbone(backbone, texts, Reading(), options.weights, quiet=True).backbone
        groups = [tuple(names)] if variant == PUBLIC else folds(names, options.folds)
        found[variant] = judge_unseen(
            material,
            Training(recipe, used, options.weights, quiet=True, log=_log),
            groups,
            seeds,
            in_domain=variant != PUBLIC,
        )
        _log(f"{variant}: {(time.perf_counter() - begun) / 60:.1f} minutes")
        show(found)
    return found


def show(found: dict[str, UnseenTable]) -> None:
    """One table of all variants: means over the sources left out, and in domain beside them."""
    for task in ("sentiment", "topic"):
        table = Table("recipe", "sources", *_FIGURES, title=task, title_justify="left", box=None)
        for variant, one in found.items():
            mean, inside = (_mean(scores, task) for scores in (one.left_out, one.in_domain))
            if mean is None:
                continue
            recall = "" if mean.negative_recall is None else f"{mean.negative_recall:.3f}"
            figures = [f"{value:.4f}" for value in (mean.accuracy, mean.macro_f1, mean.ece)]
            beside = [f"{inside.accuracy:.4f}", f"{inside.ece:.4f}"] if inside else ["", ""]
            table.add_row(variant, str(mean.sources), *figures, recall, *beside)
        PlainConsole().print(table)


def _mean(scores: list[SourceScore], task: str) -> MeanScore | None:
    return next((mean for mean in mean_scores(scores) if mean.task == task), None)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--always", nargs="*", default=list(ALWAYS))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--backbone")
    parser.add_argument("--adapt", type=Path, nargs="*", default=[])
    parser.add_argument("--adapt-most", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="Print one JSON object instead of the last table.")
    options = parser.parse_args()
    found = measure(options)
    if options.json:
        print(json.dumps(msgspec.to_builtins(found)))


if __name__ == "__main__":
    main()
