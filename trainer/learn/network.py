"""The network that is fine-tuned: one encoder, mean pooling, one linear head per task, one for mentioned companies."""

from __future__ import annotations

from pathlib import Path

import msgspec
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from core.bundle import ENTITY
from core.errors import InputError
from trainer.learn.batches import Mentions
from trainer.learn.encoder import Architecture, Encoder
from trainer.learn.fusion import Fusion
from trainer.learn.recipe import Recipe
from trainer.learn.source_bias import SourceBias
from trainer.learn.tensors import load_tensors, save_tensors
from trainer.learn.tokenizer import read_tokenizer

_ARCHITECTURE, _LABELS, _TOKENIZER, _BACKBONE, _RECIPE = "architecture", "labels", "tokenizer", "backbone", "recipe"
_ENTITY_LABELS = "entity_labels"


class Network(nn.Module):
    """Encoder and heads. `forward`: token ids and mask (batch, length) to logits (batch, labels) per task.

    With `entity_labels` there is a head for companies that a text mentions. It reads the mean vector of a mention's
    tokens beside the pooled vector of the text; being linear, it can be asked token by token and its answers averaged.
    """

    def __init__(
        self,
        encoder: Encoder,
        labels: dict[str, tuple[str, ...]],
        dropout: float = 0.1,
        entity_labels: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.labels = labels
        self.dropout = nn.Dropout(dropout)
        heads = {task: nn.Linear(encoder.architecture.width, len(names)) for task, names in labels.items()}
        self.entity_labels = entity_labels
        self.entity = nn.Linear(2 * encoder.architecture.width, len(entity_labels)) if entity_labels else None
        for head in [*heads.values(), *([self.entity] if self.entity is not None else [])]:
            nn.init.normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)
        self.heads = nn.ModuleDict(heads)
        # While it learns, if its recipe says so.
        self.source_bias: SourceBias | None = None
        self.fusion: Fusion | None = None

    @property
    def architecture(self) -> Architecture:
        return self.encoder.architecture

    def forward(
        self, ids: Tensor, mask: Tensor, mentions: Mentions | None = None, sources: Tensor | None = None
    ) -> dict[str, Tensor]:
        return self.classify(self.encoder(ids, mask), mask, mentions, sources)

    def classify(
        self, hidden: Tensor, mask: Tensor, mentions: Mentions | None = None, sources: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Logits from the last hidden states (batch, length, width); under `entity` those of `mentions`, (mentions,
        labels), where there are any and the head for them. Texts of `sources` (batch,) may have vectors and biases of
        their own."""
        pooled = pool(hidden, mask)
        if self.fusion is not None and sources is not None:
            pooled = pooled + self.fusion(sources)
        pooled = self.dropout(pooled)
        logits = {task: head(pooled).float() for task, head in self.heads.items()}
        if self.source_bias is not None:
            logits = {task: values + self.source_bias(task, sources) for task, values in logits.items()}
        if self.entity is not None and mentions is not None:
            means = (mentions.weights.unsqueeze(1) @ hidden.float()[mentions.rows]).squeeze(1)
            logits[ENTITY] = self.entity(torch.cat([self.dropout(means), pooled[mentions.rows]], dim=-1)).float()
        return logits

    def plain_state(self) -> dict[str, Tensor]:
        """The state that the network would have without what it tells sources apart by: what biases leave is in the
        heads, vectors leave nothing."""
        state = {
            name: value for name, value in self.state_dict().items() if not name.startswith(("source_bias.", "fusion."))
        }
        if self.source_bias is not None:
            with torch.no_grad():
                for task in self.labels:
                    name = f"heads.{task}.bias"
                    state[name] = state[name] + self.source_bias(task, None)
        return state


def pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens that are no padding, (batch, width)."""
    weights = mask.unsqueeze(-1).to(torch.float32)
    return (hidden.float() * weights).sum(1) / weights.sum(1)


class Learned(msgspec.Struct, frozen=True):
    """A fine-tuned network with what it needs elsewhere: the tokenizer it reads with, the name of the backbone it was
    made from, and how it was taught."""

    network: Network
    tokenizer: Tokenizer
    backbone: str
    recipe: Recipe


def save_network(learned: Learned, path: Path) -> None:
    """Write `learned` to `path`, complete or not at all. Raises InputError where it can't be written."""
    network = learned.network
    described = {
        _ARCHITECTURE: msgspec.json.encode(network.architecture).decode(),
        _LABELS: msgspec.json.encode(network.labels).decode(),
        _ENTITY_LABELS: msgspec.json.encode(network.entity_labels).decode(),
        _TOKENIZER: learned.tokenizer.to_str(),
        _BACKBONE: learned.backbone,
        _RECIPE: msgspec.json.encode(learned.recipe).decode(),
    }
    save_tensors(network.state_dict(), described, path)


def load_network(path: Path) -> Learned:
    """What `save_network` wrote. Raises InputError if the file is missing, damaged or something else."""
    found = load_tensors(path)
    if found is None:
        raise InputError(f"{path} does not exist; `newstide train --weights DIR` writes such files")
    weights, described = found
    try:
        architecture = msgspec.json.decode(described[_ARCHITECTURE], type=Architecture)
        labels = msgspec.json.decode(described[_LABELS], type=dict[str, tuple[str, ...]])
        entity_labels = msgspec.json.decode(described.get(_ENTITY_LABELS, "[]"), type=tuple[str, ...])
        recipe = msgspec.json.decode(described[_RECIPE], type=Recipe)
        tokenizer = read_tokenizer(described[_TOKENIZER].encode(), path)
        if not architecture.layers:
            raise InputError("it has no layers")
        with torch.device("meta"):
            network = Network(Encoder(architecture), labels, recipe.dropout, entity_labels)
        network.load_state_dict(weights, assign=True)
        backbone = described[_BACKBONE]
    except (KeyError, msgspec.DecodeError, RuntimeError, InputError) as error:
        raise InputError(f"{path} holds no network that this version keeps: {error}; train it anew") from error
    if tokenizer.get_vocab_size() > architecture.vocabulary:
        raise InputError(f"{path}: its tokenizer does not fit its word vectors; train the network anew")
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    return Learned(network, tokenizer, backbone, recipe)
