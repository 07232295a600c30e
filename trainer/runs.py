"""Fine-tuning from one or several seeds: the networks that come of it, and the one that is their blend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import torch
from tokenizers import Tokenizer

from trainer.learn.averaging import blend
from trainer.learn.backbone import backbone_name, load_encoder
from trainer.learn.batches import encode, load_tokenizer, mask_number
from trainer.learn.course import Epoch
from trainer.learn.finetune import fine_tune
from trainer.learn.network import Network, load_network, save_network
from trainer.learn.recipe import Recipe
from trainer.material import Material, fingerprint


class Trained(msgspec.Struct, frozen=True):
    """Networks of several runs on one material, and the tokenizer they read with."""

    networks: list[Network]
    tokenizer: Tokenizer
    material: Material
    recipe: Recipe
    backbone: Path

    def blended(self) -> Network:
        """The mean of those runs' weights that validation gains by."""
        first = self.networks[0]
        if len(self.networks) == 1:
            return first
        network = Network(load_encoder(self.backbone), first.labels, self.recipe.dropout)
        validation = encode(self.material.split.validation, self.tokenizer, first.labels, self.recipe.max_length)
        blend(network, [member.state_dict() for member in self.networks], validation)
        return network


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
    it from there; one that was interrupted goes on. Class weights of the material apply where the recipe has none of
    its own. Raises InputError for a backbone that can't be used.
    """
    if material.class_weights and recipe.class_weights == "none":
        recipe = msgspec.structs.replace(recipe, class_weights=material.class_weights)
    tokenizer = load_tokenizer(backbone)
    mask_id = mask_number(tokenizer, backbone)
    train_data, validation = (
        encode(part, tokenizer, material.labels, recipe.max_length)
        for part in (material.split.train, material.split.validation)
    )
    networks = []
    for seed in range(recipe.seed, recipe.seed + recipe.runs):
        single = msgspec.structs.replace(recipe, seed=seed, runs=1)
        name = fingerprint(
            single, material.labels, material.split.train, material.split.validation, backbone_name(backbone)
        )
        kept = weights / f"{name}.safetensors" if weights is not None else None
        if kept is not None and kept.is_file():
            networks.append(load_network(kept))
            continue
        torch.manual_seed(seed)
        network = Network(load_encoder(backbone), material.labels, recipe.dropout)
        fine_tune(
            network,
            train_data,
            validation,
            mask_id,
            single,
            on_epoch=on_epoch,
            quiet=quiet,
            checkpoint=None if kept is None else kept.with_suffix(".checkpoint"),
        )
        if kept is not None:
            save_network(network, kept)
        networks.append(network)
    return Trained(networks, tokenizer, material, recipe, backbone)
