"""Fine-tuning from one or several seeds: the networks that come of it, and the one that is their blend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import torch

from trainer.learn.averaging import mean_of
from trainer.learn.backbone import backbone_name, load_encoder
from trainer.learn.batches import encode
from trainer.learn.checkpoint import fingerprint
from trainer.learn.finetune import fine_tune
from trainer.learn.network import Learned, Network, load_network, save_network
from trainer.learn.recipe import Recipe
from trainer.learn.tokenizer import load_tokenizer, mask_number
from trainer.learn.training_loop import Epoch
from trainer.material import Material


class Trained(msgspec.Struct, frozen=True):
    """Networks that were fine-tuned on one material."""

    learned: list[Learned]
    material: Material

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


def train(
    material: Material,
    backbone: Path,
    recipe: Recipe,
    weights: Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    quiet: bool = False,
) -> Trained:
    """Fine-tune `backbone`, `recipe.runs` times from consecutive seeds.

    With a directory `weights`, each run's network is kept there, and a later call with the same recipe and data takes
    it from there; one that was interrupted goes on. Raises InputError for a backbone that can't be used.
    """
    tokenizer = load_tokenizer(backbone)
    mask_id = mask_number(tokenizer, backbone)
    entity_labels = () if recipe.few_shot else material.entity_labels  # too few to learn from there
    train_data, choice = (
        encode(part, tokenizer, material.labels, recipe.max_length, entity_labels, apart)
        for part, apart in ((material.split.train, False), (material.choice, bool(material.unseen)))
    )
    name = backbone_name(backbone)
    learned = []
    for seed in range(recipe.seed, recipe.seed + recipe.runs):
        single = msgspec.structs.replace(recipe, seed=seed, runs=1)
        encoder = load_encoder(backbone)
        kept = None
        if weights is not None:
            texts = (material.split.train, material.choice, tokenizer.to_str())
            known_by = fingerprint((single, material.labels, entity_labels, texts, name), encoder.state_dict())
            kept = weights / f"{known_by[:16]}.safetensors"
            if kept.exists():
                learned.append(load_network(kept))
                continue
        torch.manual_seed(seed)
        network = Network(encoder, material.labels, recipe.dropout, entity_labels)
        fine_tune(
            network,
            train_data,
            choice,
            mask_id,
            single,
            on_epoch=on_epoch,
            quiet=quiet,
            checkpoint=None if kept is None else kept.with_suffix(".checkpoint"),
        )
        learned.append(Learned(network, tokenizer, name, single))
        if kept is not None:
            save_network(learned[-1], kept)
    return Trained(learned, material)
