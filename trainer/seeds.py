"""The same training from several seeds: the spread of its figures."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from core.classifier import Classifier
from core.scoring import TaskScore
from trainer.export import served_bundle
from trainer.judge.sources import judge
from trainer.learn.recipe import Recipe
from trainer.material import Material
from trainer.runs import Trained, Training, train


def train_seeds(material: Material, training: Training, seeds: Sequence[int]) -> list[list[TaskScore]]:
    """Figures per task on the test part of `training` from each of `seeds`, by the eight-bit graph that would ship."""
    runs = []
    for seed in seeds:
        training.log(f"training from seed {seed}")
        single = msgspec.structs.replace(training.recipe, seed=seed)
        runs.append(judge_trained(train(material, msgspec.structs.replace(training, recipe=single))))
    return runs


def seeds_of(recipe: Recipe, count: int) -> list[int]:
    """The first seeds of `count` trainings that share no run: each takes `recipe.runs` consecutive ones."""
    return [recipe.seed + number * recipe.runs for number in range(count)]


def judge_trained(trained: Trained) -> list[TaskScore]:
    """Figures of `trained` in eight bits on the test part, its temperatures as they would ship."""
    material, learned = trained.material, trained.blended()
    bundle = served_bundle(learned.network, learned.tokenizer, material, begun=trained.begun)
    return judge(Classifier(bundle), material.split.test)
