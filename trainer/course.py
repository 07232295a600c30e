"""What a training begins with and what it learns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
from tokenizers import Tokenizer
from torch import Tensor

from core.bundle import Manifest
from trainer.learn.backbone import backbone_name, load_encoder
from trainer.learn.batches import Encoded, encode
from trainer.learn.network import Network
from trainer.learn.objectives import Objective
from trainer.learn.recipe import Recipe
from trainer.learn.tokenizer import load_tokenizer
from trainer.material import Material


class Course(msgspec.Struct, frozen=True):
    """`network` makes the network as it is before the first step; `choice` is what epochs are chosen by; `objective`
    None stands for the labels' cross-entropy; `begun` is the manifest of the bundle it goes on from, if one; `taught`
    are the targets per task where others than that bundle answer too."""

    backbone: str
    tokenizer: Tokenizer
    network: Callable[[], Network]
    train: Encoded
    choice: Encoded
    objective: Objective | None = None
    begun: Manifest | None = None
    taught: dict[str, Tensor] = {}


def from_backbone(directory: Path, material: Material, recipe: Recipe) -> Course:
    """All of `material`, by the encoder in a model `directory` and heads that know nothing yet.

    Raises InputError for a directory that can't be used.
    """
    tokenizer = load_tokenizer(directory)
    entity_labels = () if recipe.few_shot else material.entity_labels  # too few to learn from there
    train, choice = (
        encode(part, tokenizer, material.labels, recipe.max_length, entity_labels, apart)
        for part, apart in ((material.split.train, False), (material.choice, bool(material.unseen)))
    )

    def network() -> Network:
        return Network(load_encoder(directory), material.labels, recipe.dropout, entity_labels)

    return Course(backbone_name(directory), tokenizer, network, train, choice)
