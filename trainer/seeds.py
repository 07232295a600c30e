"""The same training from several seeds: the spread of its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from core.classifier import Classifier
from core.scoring import TaskScore
from trainer.export import served_bundle
from trainer.judge.sources import judge
from trainer.learn.recipe import Recipe
from trainer.material import Material
from trainer.pipeline import train_material
from trainer.runs import Trained
from trainer.teachers import NOBODY, Teachers


def train_seeds(
    material: Material,
    recipe: Recipe,
    seeds: Sequence[int],
    *,
    backbone: Path | None = None,
    weights: Path | None = None,
    threads: int | None = None,
    teachers: Teachers = NOBODY,
    quiet: bool = False,
    log: Callable[[str], None] = print,
) -> list[list[TaskScore]]:
    """Figures per task on the test part of a training from each of `seeds`, by the eight-bit graph that would ship."""
    runs = []
    for seed in seeds:
        log(f"training from seed {seed}")
        single = msgspec.structs.replace(recipe, seed=seed)
        trained = train_material(
            material,
            recipe=single,
            backbone=backbone,
            weights=weights,
            threads=threads,
            teachers=teachers,
            quiet=quiet,
            log=log,
        )
        runs.append(judge_trained(trained))
    return runs


def seeds_of(recipe: Recipe, count: int) -> list[int]:
    """The first seeds of `count` trainings that share no run: each takes `recipe.runs` consecutive ones."""
    return [recipe.seed + number * recipe.runs for number in range(count)]


def judge_trained(trained: Trained) -> list[TaskScore]:
    """Figures of `trained` in eight bits on the test part, its temperatures as they would ship."""
    material, learned = trained.material, trained.blended()
    bundle = served_bundle(learned.network, learned.tokenizer, material, begun=trained.begun)
    return judge(Classifier(bundle), material.split.test)
