"""A learnt bias for the logits of each source, which is gone when the network serves.

Corpora draw the border between labels each in a place of its own, most of all that to neutral. With a bias of its own a
source need not bend what the encoder makes of the words: the intercepts by group of a mixed model.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.learn.batches import UNLABELLED, Encoded
from trainer.learn.recipe import SourceBiases


class SourceBias(nn.Module):
    """Biases (sources, labels) per task that sum to 0 over the sources which label it.

    Texts of no source get none with `drop`: the border of the average source. With `mean` they get the biases' mean
    over the training texts: the border of the average text.
    """

    def __init__(self, train: Encoded, labels: dict[str, tuple[str, ...]], kind: SourceBiases) -> None:
        super().__init__()
        self.kind = kind
        self.biases = nn.ParameterDict(
            {task: nn.Parameter(torch.zeros(len(train.names), len(names))) for task, names in labels.items()}
        )
        for task, targets in train.targets.items():
            texts = torch.zeros(len(train.names))
            for source, target in zip(train.sources, targets, strict=True):
                texts[source] += target != UNLABELLED
            self.register_buffer(f"texts_{task}", texts, persistent=False)

    def forward(self, task: str, sources: Tensor | None) -> Tensor:
        """What is added to the logits of `task`: (batch, labels) for texts of `sources` (batch,), else (labels,)."""
        texts = self.get_buffer(f"texts_{task}")
        known = (texts > 0).float()[:, None]
        biases = (self.biases[task] - (self.biases[task] * known).sum(0) / known.sum().clamp(min=1)) * known
        if sources is not None:
            return biases[sources]
        if self.kind == "mean":
            return texts @ biases / texts.sum().clamp(min=1)
        return torch.zeros_like(biases[0])
