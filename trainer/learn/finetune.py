"""Multi-task fine-tuning: all tasks in one pass, the weights chosen on validation macro-F1."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from core.scoring import TaskScore
from trainer.learn.averaging import State, blend, judge_all, mean_f1
from trainer.learn.batches import UNLABELLED, Batch, Encoded, bucketed
from trainer.learn.network import Network


class Recipe(msgspec.Struct, frozen=True):
    """How to fine-tune. Rates are the peak of a linear warm-up, followed by a linear decay to zero."""

    epochs: int = 5
    batch_size: int = 32
    encoder_rate: float = 1e-4
    head_rate: float = 5e-4
    weight_decay: float = 0.01
    warmup: float = 0.06  # share of all steps
    dropout: float = 0.1  # on the pooled vector
    masked_words: float = 0.05  # share of tokens hidden behind the mask token while training
    label_smoothing: float = 0.05
    clip_norm: float = 1.0
    patience: int = 2  # epochs without a better validation macro-F1 before stopping
    stop_after: int | None = None  # end after this many of `epochs`, with the rate still high
    max_length: int = 64
    seed: int = 0
    runs: int = 1  # fine-tunings from consecutive seeds; their weights are averaged where validation gains by it


class Epoch(msgspec.Struct, frozen=True):
    """What one epoch gave: mean training loss and validation figures per task."""

    number: int
    loss: float
    validation: dict[str, TaskScore]


Objective = Callable[[Network, Batch, Tensor], Tensor]  # network, batch, its ids with some words hidden -> loss


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
) -> list[Epoch]:
    """Train `network` in place and return its epochs. Its weights are then a blend of those after each epoch.

    `objective` is what is minimised, the labels' cross-entropy by default. Averaging along the way does what a long
    decay of the rate does (Izmailov et al. 2018), for nothing. The same data, recipe and machine give the same weights.
    A GPU is used where torch sees one.
    """
    torch.manual_seed(recipe.seed)
    generator = random.Random(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    objective = objective or cross_entropy(recipe.label_smoothing)
    steps = recipe.epochs * -(-len(train.ids) // recipe.batch_size)
    optimizer, schedule = _optimizer(network, recipe, steps)
    epochs: list[Epoch] = []
    states: list[State] = []
    with progress_bar(quiet) as progress:
        bar = progress.add_task("fine-tuning", total=steps)
        for number in range(1, (recipe.stop_after or recipe.epochs) + 1):
            network.train()
            losses = []
            for batch in bucketed(train, recipe.batch_size, generator):
                loss = objective(network, batch.to(device), _hide_words(batch, mask_id, recipe).to(device))
                losses.append(_descend(network, loss, recipe, optimizer))
                schedule.step()
                progress.update(bar, advance=1, description=f"epoch {number} loss {np.mean(losses[-100:]):.3f}")
            epochs.append(Epoch(number, float(np.mean(losses)), judge_all(network, validation)))
            states.append({name: value.detach().cpu().clone() for name, value in network.state_dict().items()})
            if on_epoch is not None:
                on_epoch(epochs[-1])
            worth = [mean_f1(epoch.validation) for epoch in epochs]
            if len(worth) - worth.index(max(worth)) > recipe.patience:
                break
    blend(network, states, validation)
    network.cpu()
    return epochs


def cross_entropy(smoothing: float, weights: dict[str, Tensor] | None = None) -> Objective:
    """Mean cross-entropy over all labels in a batch, whatever their task; `weights` (labels,) per task."""

    def objective(network: Network, batch: Batch, ids: Tensor) -> Tensor:
        with torch.autocast(ids.device.type, dtype=torch.bfloat16):
            logits = network(ids, batch.mask)
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


def _hide_words(batch: Batch, mask_id: int, recipe: Recipe) -> Tensor:
    if not recipe.masked_words:
        return batch.ids
    hidden = (torch.rand(batch.ids.shape) < recipe.masked_words) & (batch.mask == 1)
    hidden[:, 0] = False  # the classification token stays
    return torch.where(hidden, mask_id, batch.ids)


def _descend(network: Network, loss: Tensor, recipe: Recipe, optimizer: torch.optim.Optimizer) -> float:
    loss.backward()
    nn.utils.clip_grad_norm_([p for p in network.parameters() if p.grad is not None], recipe.clip_norm)
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())


def _optimizer(
    network: Network, recipe: Recipe, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = recipe.head_rate if name.startswith("heads.") else recipe.encoder_rate
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    optimizer = torch.optim.AdamW(
        [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()],
        fused=True,
    )
    warmup = max(1, round(steps * recipe.warmup))

    def factor(step: int) -> float:
        return min((step + 1) / warmup, max(0.0, (steps - step) / max(1, steps - warmup)))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def progress_bar(quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), disable=quiet
    )
