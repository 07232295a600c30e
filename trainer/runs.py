"""Fine-tuning from one or several seeds: the networks that come of it, and the one that is their blend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import torch

from core.bundle import Manifest
from trainer.continuing import continued, is_bundle
from trainer.course import Course, from_backbone
from trainer.learn.averaging import between, mean_of
from trainer.learn.checkpoint import fingerprint
from trainer.learn.finetune import fine_tune
from trainer.learn.network import Learned, Network, load_network, save_network
from trainer.learn.recipe import Recipe
from trainer.learn.tokenizer import mask_number
from trainer.material import Material
from trainer.progress import epoch_line
from trainer.teachers import NOBODY, Teachers

ANSWERS = "answers"  # of teachers, in the directory of weights


class Training(msgspec.Struct, frozen=True):
    """How networks are fine-tuned: by `recipe`, `recipe.runs` times from consecutive seeds, from `backbone`, a model
    directory or a bundle.

    A bundle keeps what it knows, see `trainer.continuing`, the more the larger `recipe.old_weights`; `teachers` answer
    beside it. With a directory `weights`, each run's network is kept there as it was learned, and a later training with
    the same recipe and data takes it from there; one that was interrupted goes on. `log` is given a line per step and
    epoch, and progress bars are shown unless `quiet`.
    """

    recipe: Recipe
    backbone: Path
    weights: Path | None = None
    teachers: Teachers = NOBODY
    quiet: bool = False
    log: Callable[[str], None] = print


class Trained(msgspec.Struct, frozen=True):
    """Networks that were fine-tuned on one material; `begun`: the manifest of the bundle they went on from, if one."""

    learned: list[Learned]
    material: Material
    begun: Manifest | None = None

    def blended(self) -> Learned:
        """The mean of the weights that validation gains by, of the first network and those like it."""
        first = self.learned[0]
        architecture = first.network.architecture
        alike = [
            one for one in self.learned if one.network.architecture == architecture and one.backbone == first.backbone
        ]
        if len(alike) == 1:
            return first
        network, _ = mean_of(
            [one.network for one in alike],
            first.tokenizer,
            self.material.choice,
            first.recipe.max_length,
            bool(self.material.unseen),
        )
        return msgspec.structs.replace(first, network=network)


def train(material: Material, training: Training) -> Trained:
    """Fine-tune on `material`. Raises InputError for a backbone that can't be used, BundleError for a bundle."""
    split, recipe, weights = material.split, training.recipe, training.weights
    removed = ", ".join(f"{count} {reason}" for reason, count in material.removed.items())
    sizes = ", ".join(f"{len(getattr(split, part))} {part}" for part in ("train", "validation", "test"))
    training.log(f"texts: {sizes}; left out: {removed or 'none'}")
    course = _course(material, training)
    mask_id = mask_number(course.tokenizer, training.backbone)
    learned = []
    for seed in range(recipe.seed, recipe.seed + recipe.runs):
        single = msgspec.structs.replace(recipe, seed=seed, runs=1, old_weights=0.0)
        torch.manual_seed(seed)  # of heads that know nothing yet
        network = course.network()
        kept = weights / f"{_known_by(material, course, network, single)}.safetensors" if weights is not None else None
        if kept is not None and kept.exists():
            learned.append(load_network(kept))
            continue
        fine_tune(
            network,
            course.train,
            course.choice,
            mask_id,
            single,
            objective=course.objective,
            on_epoch=epoch_line(training.log),
            quiet=training.quiet,
            checkpoint=None if kept is None else kept.with_suffix(".checkpoint"),
        )
        learned.append(Learned(network, course.tokenizer, course.backbone, single))
        if kept is not None:
            save_network(learned[-1], kept)
    if course.begun is not None and recipe.old_weights:
        old = course.network().state_dict()
        for one in learned:
            one.network.load_state_dict(between(old, one.network.state_dict(), recipe.old_weights))
        learned = [
            msgspec.structs.replace(one, recipe=msgspec.structs.replace(one.recipe, old_weights=recipe.old_weights))
            for one in learned
        ]
    return Trained(learned, material, course.begun)


def _course(material: Material, training: Training) -> Course:
    if not is_bundle(training.backbone):
        return from_backbone(training.backbone, material, training.recipe)
    return continued(
        training.backbone,
        material,
        training.recipe,
        training.teachers,
        keep=training.weights / ANSWERS if training.weights is not None else None,
        log=training.log,
        quiet=training.quiet,
    )


def _known_by(material: Material, course: Course, network: Network, single: Recipe) -> str:
    """A name for all that one run depends on, before it learns."""
    texts = (material.split.train, material.choice, course.tokenizer.to_str())
    parts: tuple[object, ...] = (single, material.labels, network.entity_labels, texts, course.backbone)
    first = network.encoder.state_dict()
    if course.begun is not None:  # heads that know something already
        parts, first = (*parts, course.begun), network.state_dict() | course.taught
    return fingerprint(parts, first)[:16]
