"""Learnt vectors for what is known of a text beside its words, added to its pooled vector while a network learns.

A kind (news or comment), a group of sources or a language shifts labels that the words alone do not tell. With a vector
for each value the encoder need not bend the words to it. A network serves without them: docs/training.md has what it
would be worth to tell it the values, which is little.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trainer.learn.batches import Encoded


class Fusion(nn.Module):
    """Vectors (values, width) per feature, whose values are given by source. Those of the sources in `train` sum to 0:
    no vector stands for the average source. A source without a value gets none."""

    def __init__(self, train: Encoded, values: Mapping[str, Mapping[str, str]], width: int) -> None:
        super().__init__()
        self.vectors = nn.ParameterList()
        for number, by_source in enumerate(values.values()):
            known = sorted({by_source[name] for name in train.names if name in by_source})
            members = torch.tensor([[by_source.get(name) == value for value in known] for name in train.names])
            self.vectors.append(nn.Parameter(torch.zeros(len(known), width)))
            self.register_buffer(f"members_{number}", members.float(), persistent=False)

    def forward(self, sources: Tensor) -> Tensor:
        """What is added to the pooled vectors of texts of `sources` (batch,): (batch, width)."""
        total = torch.zeros((), device=sources.device)
        for number, vectors in enumerate(self.vectors):
            members = self.get_buffer(f"members_{number}")
            known = members.sum(1, keepdim=True)
            each = members @ vectors
            total = total + ((each - each.sum(0) / known.sum().clamp(min=1)) * known)[sources]
        return total
