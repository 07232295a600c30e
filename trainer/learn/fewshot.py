"""Learning from tens of texts per label: the encoder by contrast, then the heads by logistic regression.

The idea of SetFit (Tunstall et al. 2022): n texts give n^2 pairs to learn from, and a linear head on a good
representation needs few. The pairs of a batch are used at once, by the supervised contrastive loss.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from core.errors import InputError
from core.scoring import TaskScore
from trainer.learn.averaging import judge_all
from trainer.learn.batches import UNLABELLED, Encoded, hide_words, make_batch
from trainer.learn.checkpoint import Checkpoint
from trainer.learn.network import Network, pool
from trainer.learn.precision import half_precision
from trainer.learn.recipe import Recipe
from trainer.learn.training_loop import Epoch, Rates, TrainingLoop, best_device

FEW = 50  # texts per label below which this beats fine-tuning
TEMPERATURE = 0.1  # of the contrast, as in Khosla et al. 2020
STEPS = 20  # per epoch at least: a pass over a few texts is too short to be judged
ENCODER_RATE = 0.5  # of the recipe's: few texts are soon learnt by heart
_UNSEEN = -20.0  # logit below all others, for labels without a text


def learn_from_few(
    network: Network,
    train: Encoded,
    validation: Encoded,
    mask_id: int,
    recipe: Recipe,
    *,
    on_epoch: Callable[[Epoch], None] | None = None,
    quiet: bool = False,
    checkpoint: Checkpoint | None = None,
) -> list[Epoch]:
    """Train `network` in place and return its epochs, as `fine_tune` does with a recipe of this kind.

    Validation figures are given after each epoch and choose nothing: so few texts can't. Raises InputError for a task
    that has no two labels.
    """
    for task, targets in train.targets.items():
        if len(set(targets) - {UNLABELLED}) < 2:
            raise InputError(f"the texts have fewer than two labels of {task!r}; label some of another")
    device = best_device()
    network.to(device)
    size = min(recipe.batch_size, len(train.ids))
    repeats = max(1, -(-STEPS * size // len(train.ids)))
    steps = recipe.epochs * repeats * -(-len(train.ids) // size)
    rates = Rates({"": recipe.encoder_rate * ENCODER_RATE}, recipe.weight_decay, recipe.warmup, recipe.clip_norm, steps)

    def groups(generator: random.Random) -> list[list[int]]:
        return [group for _ in range(repeats) for group in _mixed(len(train.ids), size, generator)]

    def loss(rows: list[int]) -> Tensor:
        batch = make_batch(train, rows)
        hidden, batch = hide_words(batch, mask_id, recipe.masked_words).to(device), batch.to(device)
        mask = torch.cat([batch.mask, batch.mask])
        with half_precision(device):
            states = network.encoder(torch.cat([batch.ids, hidden]), mask)
        vectors = network.dropout(pool(states, mask))
        losses = [contrast(vectors, torch.cat([target, target])) for target in batch.targets.values()]
        return torch.stack(losses).mean()

    def evaluate() -> dict[str, TaskScore]:
        fit_heads(network, train)
        return judge_all(network, validation)

    loop = TrainingLoop(network, rates, recipe.seed, checkpoint)
    loop.resume()
    loop.run(
        groups,
        loss,
        last=recipe.stop_after or recipe.epochs,
        evaluate=evaluate,
        on_epoch=on_epoch,
        quiet=quiet,
        title="contrastive learning",
    )
    network.cpu().eval()
    loop.finish()
    return loop.epochs


def contrast(vectors: Tensor, targets: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """The supervised contrastive loss of Khosla et al. 2020 (equation 2, L_out) of `vectors` (n, width).

    Texts of the same number in `targets` (n,) attract each other, all others repel; UNLABELLED ones take no part. 0
    where no two texts share a label.
    """
    labelled = targets != UNLABELLED
    vectors, targets = nn.functional.normalize(vectors[labelled].float(), dim=-1), targets[labelled]
    itself = torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    positive = (targets[:, None] == targets[None, :]) & ~itself
    anchors = positive.any(1)
    if not bool(anchors.any()):
        return vectors.sum() * 0.0
    likeness = (vectors @ vectors.T / temperature).masked_fill(itself, -torch.inf)
    shares = likeness.log_softmax(-1).masked_fill(~positive, 0.0)
    means: Tensor = shares[anchors].sum(1) / positive[anchors].sum(1)
    return -means.mean()


def fit_heads(network: Network, train: Encoded, strength: float = 1.0) -> None:
    """Replace the heads of `network` by a logistic regression per task on the pooled vectors of `train`.

    Classes count alike. Vectors are centred and scaled for the fit, which the heads then hold in their own weights;
    `strength` is the inverse of the penalty, as in scikit-learn. A label without a text is never chosen.
    """
    vectors = pooled_vectors(network, train)
    for task, numbers in train.targets.items():
        truth = np.array(numbers)
        labelled = truth != UNLABELLED
        centre, scale = vectors[labelled].mean(0), float(np.linalg.norm(vectors[labelled], axis=1).mean())
        model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1_000)
        model.fit((vectors[labelled] - centre) / scale, truth[labelled])
        weights, biases = model.coef_, model.intercept_
        if len(model.classes_) == 2:  # one row, for the second class against the first
            weights, biases = np.concatenate([-weights, weights]) / 2, np.concatenate([-biases, biases]) / 2
        weights = weights / scale
        biases = biases - weights @ centre
        head = network.heads[task]
        assert isinstance(head, nn.Linear)
        with torch.no_grad():
            head.weight.zero_()
            head.bias.fill_(_UNSEEN)
            head.weight[model.classes_] = torch.from_numpy(weights).to(head.weight)
            head.bias[model.classes_] = torch.from_numpy(biases).to(head.bias)


@torch.no_grad()
def pooled_vectors(network: Network, data: Encoded, batch_size: int = 64) -> np.ndarray:
    """What the heads see of `data`: (n, width), in its order."""
    network.eval()
    device = next(network.parameters()).device
    parts = []
    for start in range(0, len(data.ids), batch_size):
        batch = make_batch(data, list(range(start, min(start + batch_size, len(data.ids))))).to(device)
        parts.append(pool(network.encoder(batch.ids, batch.mask), batch.mask).cpu())
    return torch.cat(parts).double().numpy()


def scarce_labels(texts: dict[str, dict[str, int]], few: int = FEW) -> list[tuple[str, str, int]]:
    """Task, label and number of texts, where `texts` counts fewer than `few` of them; the rarest first."""
    found = [(task, label, n) for task, counts in texts.items() for label, n in counts.items() if n < few]
    return sorted(found, key=lambda entry: (entry[2], entry[:2]))


def _mixed(count: int, size: int, generator: random.Random) -> list[list[int]]:
    """All rows in random groups; a rest of one, which has nothing to be held against, is left out."""
    order = list(range(count))
    generator.shuffle(order)
    groups = [order[start : start + size] for start in range(0, count, size)]
    return [group for group in groups if len(group) > 1]
