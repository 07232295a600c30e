"""Multi-task fine-tuning: all tasks in one pass, the epoch chosen on validation macro-F1."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from core.scoring import TaskScore, score_task, softmax
from trainer.batches import UNLABELLED, Batch, Encoded, bucketed
from trainer.network import Network


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
    max_length: int = 64
    seed: int = 0
    runs: int = 1  # fine-tunings from consecutive seeds; their weights are averaged where validation gains by it


class Epoch(msgspec.Struct, frozen=True):
    """What one epoch gave: mean training loss and validation figures per task."""

    number: int
    loss: float
    validation: dict[str, TaskScore]

    @property
    def macro_f1(self) -> float:
        """Mean over the tasks."""
        return float(np.mean([score.macro_f1 for score in self.validation.values()]))


def fine_tune(
    network: Network,
    labels: dict[str, tuple[str, ...]],
    train: Encoded,
    validation: Encoded,
    mask_id: int,
    recipe: Recipe,
    on_epoch: Callable[[Epoch], None] | None = None,
    quiet: bool = False,
) -> list[Epoch]:
    """Train `network` in place, leave the weights of its best epoch in it, and return all epochs.

    The same data, recipe and machine give the same weights. A GPU is used where torch sees one.
    """
    torch.manual_seed(recipe.seed)
    generator = random.Random(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    steps = recipe.epochs * -(-len(train.ids) // recipe.batch_size)
    optimizer, schedule = _optimizer(network, recipe, steps)
    epochs: list[Epoch] = []
    best: dict[str, Tensor] = {}
    with _progress(quiet) as progress:
        bar = progress.add_task("fine-tuning", total=steps)
        for number in range(1, recipe.epochs + 1):
            network.train()
            losses = []
            for batch in bucketed(train, recipe.batch_size, generator):
                losses.append(_step(network, batch, mask_id, recipe, optimizer, device))
                schedule.step()
                progress.update(bar, advance=1, description=f"epoch {number} loss {np.mean(losses[-100:]):.3f}")
            scores = {
                task: judge(task, labels[task], logits, validation)
                for task, logits in predict_logits(network, validation).items()
            }
            epochs.append(Epoch(number, float(np.mean(losses)), scores))
            if epochs[-1].macro_f1 >= max(epoch.macro_f1 for epoch in epochs):
                best = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
            if on_epoch is not None:
                on_epoch(epochs[-1])
            if number - best_epoch(epochs).number >= recipe.patience:
                break
    network.load_state_dict(best)
    network.cpu().eval()
    return epochs


def best_epoch(epochs: Sequence[Epoch]) -> Epoch:
    """The epoch with the highest validation macro-F1, the later one of equals."""
    return max(epochs, key=lambda epoch: (epoch.macro_f1, epoch.number))


@torch.no_grad()
def predict_logits(network: Network, data: Encoded, batch_size: int = 64) -> dict[str, NDArray[np.float32]]:
    """Logits (n, labels) per task, in the order of `data`."""
    network.eval()
    device = next(network.parameters()).device
    rows: list[int] = []
    parts: dict[str, list[Tensor]] = {task: [] for task in data.targets}
    for batch in bucketed(data, batch_size):
        rows.extend(batch.rows)
        for task, logits in network(batch.ids.to(device), batch.mask.to(device)).items():
            parts[task].append(logits.cpu())
    order = np.argsort(np.array(rows))
    return {task: torch.cat(logits).numpy()[order] for task, logits in parts.items()}


def judge(
    task: str, labels: tuple[str, ...], logits: NDArray[np.float32], data: Encoded, temperature: float = 1.0
) -> TaskScore:
    """Figures of `logits` on those rows of `data` that have a label for `task`."""
    truth = np.array(data.targets[task])
    labelled = truth != UNLABELLED
    return score_task(task, labels, truth[labelled], softmax(logits[labelled], temperature))


def _step(
    network: Network,
    batch: Batch,
    mask_id: int,
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> float:
    ids, mask = batch.ids, batch.mask
    if recipe.masked_words:
        hidden = (torch.rand(ids.shape) < recipe.masked_words) & (mask == 1)
        hidden[:, 0] = False  # the classification token stays
        ids = torch.where(hidden, mask_id, ids)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        logits = network(ids.to(device), mask.to(device))
    loss = torch.zeros((), device=device)
    count = 0
    for task, values in logits.items():
        target = batch.targets[task].to(device)
        count += int((target != UNLABELLED).sum())
        loss = loss + nn.functional.cross_entropy(
            values.float(), target, ignore_index=UNLABELLED, label_smoothing=recipe.label_smoothing, reduction="sum"
        )
    loss = loss / max(count, 1)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())


def _optimizer(
    network: Network, recipe: Recipe, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
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


def _progress(quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), disable=quiet
    )
