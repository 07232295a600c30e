"""What a training minimises: cross-entropy over all tasks, with a weight per class where asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from core.errors import InputError
from trainer.learn.batches import UNLABELLED, Batch, Encoded
from trainer.learn.network import Network
from trainer.learn.precision import half_precision
from trainer.learn.recipe import ClassWeights, Recipe

SourceSmoothing = dict[str, dict[str, float]]  # per source and task
Objective = Callable[[Network, Batch, Tensor], Tensor]  # network, batch, its ids with some words hidden -> loss


def cross_entropy(
    smoothing: float,
    weights: dict[str, Tensor] | None = None,
    by_source: dict[str, Tensor] | None = None,
) -> Objective:
    """Mean cross-entropy over all labels in a batch, whatever their task, those of companies too; `weights` (labels,)
    per task, and a smoothing `by_source` (sources,) per task in place of `smoothing`."""

    def objective(network: Network, batch: Batch, ids: Tensor) -> Tensor:
        with half_precision(ids.device):
            logits = network(ids, batch.mask, batch.mentions, batch.sources)
        return labelled_loss(logits, batch, smoothing, weights, by_source)

    return objective


def labelled_loss(
    logits: dict[str, Tensor],
    batch: Batch,
    smoothing: float,
    weights: dict[str, Tensor] | None = None,
    by_source: dict[str, Tensor] | None = None,
) -> Tensor:
    """The same from `logits`; 0 where nothing of the batch is labelled."""
    device = batch.mask.device
    loss = torch.zeros((), device=device)
    count = 0
    for task, values in logits.items():
        target = batch.targets[task]
        count += int((target != UNLABELLED).sum())
        weight = weights[task].to(device) if weights and task in weights else None
        if by_source is not None and batch.sources is not None and task in by_source:
            loss = loss + _smoothed(values.float(), target, by_source[task].to(device)[batch.sources], weight)
            continue
        loss = loss + nn.functional.cross_entropy(
            values.float(), target, weight, ignore_index=UNLABELLED, label_smoothing=smoothing, reduction="sum"
        )
    return loss / max(count, 1)


def _smoothed(values: Tensor, target: Tensor, smoothing: Tensor, weight: Tensor | None) -> Tensor:
    """The sum of cross-entropies of `values` (batch, labels) with a `smoothing` (batch,) of each, as torch has it for
    one."""
    given = nn.functional.cross_entropy(values, target, weight, ignore_index=UNLABELLED, reduction="none")
    chances = values.log_softmax(-1)
    spread = -(chances if weight is None else chances * weight).mean(-1)
    each: Tensor = (1 - smoothing) * given + smoothing * spread
    return each[target != UNLABELLED].sum()


def source_smoothing(recipe: Recipe, labels: dict[str, tuple[str, ...]], train: Encoded) -> dict[str, Tensor] | None:
    """The smoothing of `recipe` for the sources of `train`, (sources,) per task; None where it is the same for all."""
    if not recipe.source_smoothing:
        return None
    return {
        task: torch.tensor(
            [recipe.source_smoothing.get(name, {}).get(task, recipe.label_smoothing) for name in train.names]
        )
        for task in labels
    }


def smoothing_of(agreement: Mapping[str, Mapping[str, float]], labels: Mapping[str, Sequence[str]]) -> SourceSmoothing:
    """The smoothing per source and task with which the given one of k labels has the probability with which a second
    annotator gave it too: from 1 - s + s / k = a follows s = (1 - a) k / (k - 1)."""
    return {
        source: {
            task: min((1 - share) * len(labels[task]) / (len(labels[task]) - 1), 0.99)
            for task, share in by_task.items()
            if task in labels
        }
        for source, by_task in agreement.items()
    }


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
