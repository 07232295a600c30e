"""Distillation: a small network learns what large ones say of many texts, labelled or not."""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor, nn

from core.bundle import ENTITY
from trainer.learn.batches import Batch
from trainer.learn.network import Network
from trainer.learn.objectives import Objective, labelled_loss
from trainer.learn.precision import half_precision


class Mixture(msgspec.Struct, frozen=True):
    """How the parts of the loss add up. `temperature` softens both sides; `hidden` weighs the last hidden states."""

    temperature: float = 1.0
    labels: float = 0.3  # weight of the true labels, where there are any; the rest goes to the teachers
    hidden: float = 0.0


def distillation(
    soft: dict[str, Tensor], mixture: Mixture, smoothing: float, guide: Network | None = None
) -> Objective:
    """The loss of Hinton, Vinyals and Dean 2015 over all tasks, rows of `soft` being those of the training data.

    Sentiment towards companies is one more task, whose rows are the mentions in the data: NaN where a teacher did not
    read one. Without it in `soft` the labels alone teach it. With a `guide` of the same width, `mixture.hidden` weighs
    the squared distance of the last hidden states from the guide's, as in Jiao et al. 2020; words hidden from the
    student are hidden from nobody else.
    """
    if guide is not None:
        guide.eval()

    def objective(network: Network, batch: Batch, ids: Tensor) -> Tensor:
        with half_precision(ids.device):
            hidden = network.encoder(ids, batch.mask)
            logits = network.classify(hidden, batch.mask, batch.mentions)
        towards = logits.pop(ENTITY, None)
        loss = mixture.labels * labelled_loss(logits, batch, smoothing)
        for task, values in logits.items():
            loss = loss + (1 - mixture.labels) * _divergence(values, soft[task][batch.rows], mixture) / len(logits)
        if towards is not None and batch.mentions is not None:
            share = mixture.labels if ENTITY in soft else 1.0
            loss = loss + share * labelled_loss({ENTITY: towards}, batch, smoothing)
            if ENTITY in soft:
                loss = loss + (1 - share) * _divergence(towards, soft[ENTITY][batch.mentions.numbers], mixture)
        if guide is not None and mixture.hidden:
            with torch.no_grad(), half_precision(ids.device):
                target = guide.encoder(batch.ids, batch.mask)
            gap = (hidden.float() - target.float())[batch.mask == 1]
            loss = loss + mixture.hidden * gap.square().mean()
        return loss

    return objective


def _divergence(values: Tensor, expected: Tensor, mixture: Mixture) -> Tensor:
    """Mean of KL(expected || softmax of `values`), both (n, labels), over the rows of `expected` that are known."""
    known = ~expected.isnan().any(dim=-1)
    found = (values[known.to(values.device)].float() / mixture.temperature).log_softmax(-1)
    divergence = nn.functional.kl_div(found, expected[known].to(values.device), reduction="sum")
    return mixture.temperature**2 * divergence / max(int(known.sum()), 1)
