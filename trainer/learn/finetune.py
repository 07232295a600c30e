"""Multi-task fine-tuning: all tasks in one pass, the weights chosen on validation macro-F1."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from core.errors import InputError
from trainer.learn.averaging import blend, judge_all
from trainer.learn.batches import Encoded, balanced, grouped, hide_words, make_batch
from trainer.learn.checkpoint import Checkpoint, fingerprint
from trainer.learn.fewshot import learn_from_few
from trainer.learn.fusion import Fusion
from trainer.learn.lora import attach_adapters, merge_adapters, merged_state
from trainer.learn.network import Network
from trainer.learn.objectives import Objective, cross_entropy, label_weights, labelled_loss, source_smoothing
from trainer.learn.recipe import Recipe
from trainer.learn.source_bias import SourceBias
from trainer.learn.training_loop import Epoch, Rates, TrainingLoop, best_device

__all__ = ["Epoch", "Objective", "Recipe", "cross_entropy", "fine_tune", "labelled_loss"]


def fine_tune(
    network: Network,
    train: Encoded,
    validation: Encoded,
    mask_id: int,
    recipe: Recipe,
    *,
    objective: Objective | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    quiet: bool = False,
    checkpoint: Path | None = None,
) -> list[Epoch]:
    """Train `network` in place and return its epochs. Its weights are then a blend of those after each epoch.

    `objective` is what is minimised, the labels' cross-entropy by default; a few-shot recipe has its own. Averaging
    along the way does what a long decay of the rate does (Izmailov et al. 2018), for nothing. The same data, recipe and
    machine give the same weights, also where a training was interrupted and is called again with the same `checkpoint`,
    a file that is gone at the end; `on_epoch` is not called again for epochs that ended before. A checkpoint of another
    training is passed over with a warning; trainings with objectives of their own need files of their own. A GPU is
    used where torch sees one.

    Raises InputError for class weights of unknown labels, adapters that are too large, more frozen layers than there
    are, an objective of its own beside what minds sources, a checkpoint on a full disk.
    """
    if objective is not None and recipe.minds_sources:
        raise InputError(
            "biases, vectors, balance and smoothing of sources are for true labels; leave them out for students"
        )
    network.dropout.p = recipe.dropout
    place = _checkpoint(checkpoint, network, train, validation, mask_id, recipe, objective)
    if recipe.few_shot:
        return learn_from_few(
            network, train, validation, mask_id, recipe, on_epoch=on_epoch, quiet=quiet, checkpoint=place
        )
    device = best_device()
    chosen = objective or cross_entropy(
        recipe.label_smoothing,
        label_weights(recipe.class_weights, network.labels, train),
        source_smoothing(recipe, network.labels, train),
    )
    network.to(device)
    steps = recipe.epochs * -(-len(train.ids) // recipe.batch_size)
    rates = {
        "heads.": recipe.head_rate,
        "entity.": recipe.head_rate,
        "source_bias.": recipe.head_rate,
        "fusion.": recipe.head_rate,
        "": recipe.lora_rate if recipe.lora_rank else recipe.encoder_rate,
    }

    def loss(rows: list[int]) -> Tensor:
        batch = make_batch(train, rows)
        return chosen(network, batch.to(device), hide_words(batch, mask_id, recipe.masked_words).to(device))

    def groups(generator: random.Random) -> list[list[int]]:
        if recipe.source_balance:
            return balanced(train, recipe.batch_size, recipe.source_balance, generator)
        return grouped(train, recipe.batch_size, generator)

    with _learning(network, train, recipe):
        loop = TrainingLoop(
            network, Rates(rates, recipe.weight_decay, recipe.warmup, recipe.clip_norm, steps), recipe.seed, place
        )
        loop.resume()
        loop.run(
            groups,
            loss,
            last=recipe.stop_after or recipe.epochs,
            patience=recipe.patience,
            evaluate=lambda: judge_all(network, validation),
            keep=lambda: merged_state(network),
            on_epoch=on_epoch,
            quiet=quiet,
        )
    blend(network, loop.states, validation)
    network.cpu()
    loop.finish()
    return loop.epochs


@contextmanager
def _learning(network: Network, train: Encoded, recipe: Recipe) -> Iterator[None]:
    """Inside, only what `recipe` teaches has gradients; afterwards `network` is plain and all of it has."""
    if recipe.source_bias != "none":
        network.source_bias = SourceBias(train, network.labels, recipe.source_bias).to(best_device())
    if recipe.fusion:
        network.fusion = Fusion(train, recipe.fusion, network.architecture.width).to(best_device())
    if recipe.lora_rank:
        torch.manual_seed(recipe.seed)
        attach_adapters(network, recipe.lora_rank)
        network.to(best_device())
    still = [network.encoder.words.weight] if recipe.lora_rank or not recipe.train_words else []
    depth = len(network.architecture.layers)
    if recipe.frozen_layers > depth:
        raise InputError(f"{recipe.frozen_layers} layers are to be frozen; the network has {depth}")
    if recipe.frozen_layers:
        below = [network.encoder.words, network.encoder.positions, network.encoder.norm]
        still = [p for module in [*below, *network.encoder.layers[: recipe.frozen_layers]] for p in module.parameters()]
    for parameter in still:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        network.source_bias = None
        network.fusion = None
        merge_adapters(network)


def _checkpoint(
    path: Path | None,
    network: Network,
    train: Encoded,
    validation: Encoded,
    mask_id: int,
    recipe: Recipe,
    objective: Objective | None,
) -> Checkpoint | None:
    if path is None:
        return None
    name = "" if objective is None else getattr(objective, "__qualname__", type(objective).__qualname__)
    parts = (recipe, network.labels, network.entity_labels, network.architecture, train, validation, mask_id, name)
    return Checkpoint(path, fingerprint(parts, network.state_dict()))
