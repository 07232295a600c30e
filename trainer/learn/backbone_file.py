"""An encoder written as a model directory of the Hugging Face kind, to be a backbone again, here or elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from core.errors import InputError
from trainer.learn.encoder import Encoder

_OTHERS = {
    "attention": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "widen": "intermediate.dense",
    "narrow": "output.dense",
    "norm": "output.LayerNorm",
}


def save_backbone(encoder: Encoder, tokenizer: str, directory: Path) -> None:
    """Write `encoder` as a BERT to `directory`, with the JSON of its `tokenizer`, wholly or not at all.

    All families that `load_encoder` reads, MPNet apart, are the same network, so BERT's names serve for each of them.
    Raises InputError as `check_savable` does, and where it can't be written.
    """
    check_savable(encoder, directory)
    architecture = encoder.architecture
    shape = architecture.layers[0]
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": architecture.vocabulary,
        "hidden_size": architecture.width,
        "num_hidden_layers": len(architecture.layers),
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.inner,
        "hidden_act": architecture.activation,
        "max_position_embeddings": architecture.positions,
        "layer_norm_eps": architecture.epsilon,
        "type_vocab_size": 1,
    }
    partial = directory.with_name(f".{directory.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file(_bert_names(encoder), partial / "model.safetensors", {"format": "pt"})
        (partial / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (partial / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
        shutil.rmtree(directory, ignore_errors=True)
        partial.replace(directory)
    except OSError as error:
        raise InputError(f"the backbone can't be written to {directory}: {error}; check the directory") from error


def check_savable(encoder: Encoder, directory: Path) -> None:
    """Raises InputError for what no BERT can hold: uneven or factorized layers, fewer heads, relative positions."""
    architecture = encoder.architecture
    shape = architecture.layers[0]
    if architecture.relative_positions:
        raise InputError(f"{directory}: relative positions (MPNet) can't be saved; use a backbone of the BERT kind")
    if set(map(repr, architecture.layers)) != {repr(shape)} or shape.ranks:
        raise InputError(f"{directory}: an encoder whose layers differ or are factorized can't be saved as a backbone")
    if shape.heads * architecture.depth != architecture.width:
        raise InputError(f"{directory}: an encoder that lost attention heads can't be saved as a backbone")


def _bert_names(encoder: Encoder) -> dict[str, Tensor]:
    ours = {name: value.detach().cpu() for name, value in encoder.state_dict().items()}
    theirs = {
        "embeddings.word_embeddings.weight": ours["words.weight"],
        "embeddings.position_embeddings.weight": ours["positions.weight"],
        "embeddings.token_type_embeddings.weight": torch.zeros(1, encoder.architecture.width),
    }
    for kind in ("weight", "bias"):
        theirs[f"embeddings.LayerNorm.{kind}"] = ours[f"norm.{kind}"]
        for number in range(len(encoder.architecture.layers)):
            target = f"encoder.layer.{number}."
            parts = ours[f"layers.{number}.projection.{kind}"].chunk(3)
            for name, part in zip(("query", "key", "value"), parts, strict=True):
                theirs[f"{target}attention.self.{name}.{kind}"] = part
            for name, other in _OTHERS.items():
                theirs[f"{target}{other}.{kind}"] = ours[f"layers.{number}.{name}.{kind}"]
    return {name: value.clone().contiguous() for name, value in theirs.items()}
