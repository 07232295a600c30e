"""Fine-tuning from one or several seeds: the networks that come of it, and the one that is their blend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import torch
from tokenizers import Tokenizer

from core.errors import InputError
from trainer.learn.averaging import blend
from trainer.learn.backbone import backbone_name, load_encoder
from trainer.learn.batches import Encoded, encode, load_tokenizer
from trainer.learn.finetune import Epoch, Objective, Recipe, cross_entropy, fine_tune
from trainer.learn.network import Network, load_network, save_network
from trainer.material import Labels, Material, fingerprint


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
    it from there. Raises InputError for a backbone that can't be used.
    """
    tokenizer = load_tokenizer(backbone)
    mask_id = mask_token(tokenizer, backbone)
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
        _fine_tune(network, train_data, validation, mask_id, single, material, on_epoch, quiet, kept)
        if kept is not None:
            save_network(network, kept)
        networks.append(network)
    return Trained(networks, tokenizer, material, recipe, backbone)


def mask_token(tokenizer: Tokenizer, where: Path) -> int:
    """Number of the token that hides a word. Raises InputError for a tokenizer without one."""
    for name in ("[MASK]", "<mask>"):
        number: int | None = tokenizer.token_to_id(name)
        if number is not None:
            return number
    raise InputError(f"the tokenizer in {where} has no [MASK] token; use the directory of a masked language model")


def weight_tensors(weights: dict[str, dict[str, float]], labels: Labels) -> dict[str, torch.Tensor]:
    """Class weights per task as tensors (labels,), in the order of the labels; 1 where none is given."""
    return {
        task: torch.tensor([given.get(label, 1.0) for label in labels[task]])
        for task, given in weights.items()
        if task in labels
    }


def _fine_tune(
    network: Network,
    train_data: Encoded,
    validation: Encoded,
    mask_id: int,
    recipe: Recipe,
    material: Material,
    on_epoch: Callable[[Epoch], None] | None,
    quiet: bool,
    kept: Path | None,
) -> None:
    objective: Objective = cross_entropy(
        recipe.label_smoothing, weight_tensors(material.class_weights, material.labels)
    )
    fine_tune(network, train_data, validation, mask_id, recipe, objective=objective, on_epoch=on_epoch, quiet=quiet)
