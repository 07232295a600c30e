"""How a network is taught: every number of a training, checked."""

from __future__ import annotations

from typing import Literal

import msgspec

from core.errors import InputError

SourceBiases = Literal["none", "drop", "mean"]
ClassWeights = dict[str, dict[str, float]] | Literal["none", "balanced", "sqrt"]


class Recipe(msgspec.Struct, frozen=True):
    """How to fine-tune. Rates are the peak of a linear warm-up, followed by a linear decay to zero.

    `class_weights`: a weight per task and label (1 where not named); `balanced` weighs a label with n / (k * count),
    the inverse of its share among the k labels of its task, and `sqrt` with the root of that. `source_smoothing`: a
    label smoothing per source and task in place of `label_smoothing`. `fusion`: per feature (kind, group, language) the
    value of each source; a learnt vector of each value is added to the texts' while the network learns.
    Raises InputError for a number out of its range.
    """

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
    class_weights: ClassWeights = "none"
    train_words: bool = True  # without, word vectors stay as they are, and a step takes a quarter less time
    frozen_layers: int = 0  # lowest layers that stay as they are, word vectors with them
    lora_rank: int = 0  # above 0: low-rank updates are learnt in place of the encoder's weights
    lora_rate: float = 1e-3  # of those updates
    few_shot: bool = False  # contrastive learning, then heads by logistic regression: for tens of texts per label
    source_bias: SourceBiases = "none"  # a learnt bias of each source's logits, dropped or averaged at the end
    source_balance: float = 0.0  # 0: sources as large as they are; 1: all alike in each batch; n ** (1 - this) between
    source_smoothing: dict[str, dict[str, float]] = {}
    fusion: dict[str, dict[str, str]] = {}
    known_labels: float = 0.0  # going on from a bundle: weight of the true label of a text that it knows,
    old_weights: float = 0.0  # the share of the bundle's own weights in those of the result,
    rehearsed: int = 4_000  # and the least number of known texts that it rehearses

    def __post_init__(self) -> None:
        positive = (
            "epochs",
            "batch_size",
            "encoder_rate",
            "head_rate",
            "lora_rate",
            "clip_norm",
            "patience",
            "runs",
            "rehearsed",
        )
        for name in positive:
            if not getattr(self, name) > 0:
                raise InputError(f"{name} of a recipe is {getattr(self, name)}; it must be above 0")
        for name in ("weight_decay", "seed", "lora_rank", "frozen_layers"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} of a recipe is {getattr(self, name)}; it must not be negative")
        for name in ("warmup", "dropout", "masked_words", "label_smoothing", "known_labels", "old_weights"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} of a recipe is {getattr(self, name)}; it must be from 0 to below 1")
        if not 0 <= self.source_balance <= 1:
            raise InputError(f"source_balance of a recipe is {self.source_balance}; it must be from 0 to 1")
        for source, by_task in self.source_smoothing.items():
            for task, value in by_task.items():
                if not 0 <= value < 1:
                    raise InputError(
                        f"the smoothing of {source!r} under {task!r} is {value}; it must be from 0 to below 1"
                    )
        if self.max_length < 3:
            raise InputError(f"max_length of a recipe is {self.max_length}; a text needs 3 tokens or more")
        if isinstance(self.class_weights, dict):
            for task, weights in self.class_weights.items():
                for label, weight in weights.items():
                    if not 0 <= weight < float("inf"):
                        raise InputError(f"the weight of {label!r} under {task!r} is {weight}; it must be 0 or more")
        if self.few_shot and (self.lora_rank or self.frozen_layers):
            raise InputError("few-shot learning changes the whole encoder; leave out adapters (LoRA) and frozen layers")
        if self.few_shot and self.minds_sources:
            raise InputError("few-shot learning knows no sources; leave out their biases, vectors, balance, smoothing")

    @property
    def minds_sources(self) -> bool:
        """Whether texts of different sources are treated differently."""
        return self.source_bias != "none" or self.source_balance > 0 or bool(self.source_smoothing or self.fusion)
