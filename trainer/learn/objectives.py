"""What a training minimises: cross-entropy over all tasks, with a weight per class where asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from core.errors import InputError
from trainer.learn.batches import UNLABELLED, Batch, Encoded
from trainer.learn.network import Network
from trainer.learn.recipe import ClassWeights

Objective = Callable[[Network, Batch, Tensor], Tensor]  # network, batch, its ids with some words hidden -> loss


def cross_entropy(smoothing: float, weights: dict[str, Tensor] | None = None) -> Objective:
    """Mean cross-entropy over all labels in a batch, whatever their task, those of companies too; `weights` (labels,)
    per task."""

    def objective(network: Network, batch: Batch, ids: Tensor) -> Tensor:
        with torch.autocast(ids.device.type, dtype=torch.bfloat16):
            logits = network(ids, batch.mask, batch.mentions)
        return labelled_loss(logits, batch, smoothing, weights)

    return objective


def labelled_loss(
    logits: dict[str, Tensor], batch: Batch, smoothing: float, weights: dict[str, Tensor] | None = None
) -> Tensor:
    """The same from `logits`; 0 where nothing of the batch is labelled."""
    device = batch.mask.device
    loss = torch.zeros((), device=device)
    count = 0
    for task, values in logits.items():
        target = batch.targets[task]
        count += int((target != UNLABELLED).sum())
        weight = weights[task].to(device) if weights and task in weights else None
        loss = loss + nn.functional.cross_entropy(
            values.float(), target, weight, ignore_index=UNLABELLED, label_smoothing=smoothing, reduction="sum"
        )
    return loss / max(count, 1)


def label_weights(
    weights: ClassWeights, labels: dict[str, tuple[str, ...]], train: Encoded
) -> dict[str, Tensor] | None:
    """`weights` as a tensor (labels,) per task; None where every label weighs the same.

    `balanced` is the rule of King and Zeng 2001 that scikit-learn uses: over the texts of a task the weights average 1.
    Labels that no text has weigh 1. Raises InputError for a task or label that `labels` does not have.
    """
    if weights == "none":
        return None
    if isinstance(weights, dict):
        return _named_weights(weights, labels)
    power = 1.0 if weights == "balanced" else 0.5
    return {task: _counted_weights(train.targets[task], len(names), power) for task, names in labels.items()}


def _named_weights(weights: dict[str, dict[str, float]], labels: dict[str, tuple[str, ...]]) -> dict[str, Tensor]:
    found = {}
    for task, by_label in weights.items():
        if task not in labels:
            raise InputError(f"class weights name the task {task!r}, which nothing is labelled for; {list(labels)} are")
        unknown = sorted(set(by_label) - set(labels[task]))
        if unknown:
            raise InputError(f"class weights name {unknown[0]!r}, which is no label of {task!r}: {list(labels[task])}")
        found[task] = torch.tensor([float(by_label.get(name, 1.0)) for name in labels[task]])
    return found


def _counted_weights(targets: Sequence[int], labels: int, power: float) -> Tensor:
    counts = Counter(number for number in targets if number != UNLABELLED)
    total = sum(counts.values())
    values = [(total / (len(counts) * counts[number])) ** power if counts[number] else 1.0 for number in range(labels)]
    average = sum(values[number] * count for number, count in counts.items()) / max(total, 1)
    return torch.tensor(values) / (average or 1.0)
