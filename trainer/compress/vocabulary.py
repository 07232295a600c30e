"""A smaller vocabulary: the word pieces that texts use most, of WordPiece and of Unigram tokenizers."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from tokenizers import Tokenizer

from core.errors import InputError
from trainer.compress.prune import with_encoder
from trainer.learn.encoder import Encoder, rebuilt
from trainer.learn.network import Network

_CONTINUED = "##"  # before a piece that goes on with a word, in WordPiece
_SPACE = "\u2581"  # before a piece that begins a word, in Unigram
_SPECIAL = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}  # a tokenizer need not declare them as added
_COMMON_SCRIPT = 0.01  # share of the characters in texts from which texts are written in a script


def prune_vocabulary(
    network: Network, tokenizer: Tokenizer, texts: Iterable[str], size: int
) -> tuple[Network, Tokenizer]:
    """`network` and `tokenizer` with about `size` word pieces, as `prune_pieces` chooses them."""
    encoder, smaller = prune_encoder(network.encoder, tokenizer, texts, size)
    return with_encoder(network, encoder), smaller


def prune_encoder(encoder: Encoder, tokenizer: Tokenizer, texts: Iterable[str], size: int) -> tuple[Encoder, Tokenizer]:
    """The same of an encoder without heads."""
    smaller, kept = prune_pieces(tokenizer, texts, size)
    state = encoder.state_dict()
    state["words.weight"] = state["words.weight"][kept]
    return rebuilt(msgspec.structs.replace(encoder.architecture, vocabulary=len(kept)), state), smaller


def prune_pieces(tokenizer: Tokenizer, texts: Iterable[str], size: int) -> tuple[Tokenizer, list[int]]:
    """`tokenizer` with about `size` pieces, special ones, single characters, and the commonest in `texts`; and the
    numbers that these had.

    A word whose piece is gone is spelt with smaller ones, so no text becomes unreadable. Raises InputError for a
    tokenizer of another kind than WordPiece and Unigram.
    """
    check_prunable(tokenizer)
    described = json.loads(tokenizer.to_str())
    pieces = _pieces(described)
    counts: Counter[int] = Counter()
    characters: Counter[str] = Counter()
    listed = list(texts)
    for text, encoding in zip(listed, tokenizer.encode_batch(listed), strict=True):
        counts.update(encoding.ids)
        characters.update(text)
    special = {entry["content"] for entry in described["added_tokens"]} | (_SPECIAL & set(pieces))
    if "unk_id" in described["model"]:
        special.add(pieces[described["model"]["unk_id"]])
    scripts = _common_scripts(characters)
    always = set()
    used = []
    for number, piece in enumerate(pieces):
        letter = piece.removeprefix(_CONTINUED).removeprefix(_SPACE)
        # Characters of scripts that no text is written in would fill a third of a small vocabulary.
        spells = len(letter) < 2 and (counts[number] or letter.isascii() or _script(letter) in scripts)
        if piece in special or spells:
            always.add(number)
        elif counts[number]:
            used.append(number)
    used.sort(key=lambda number: (-counts[number], number))
    kept = sorted(always | set(used[: max(size - len(always), 0)]))
    return Tokenizer.from_str(json.dumps(_with_pieces(described, pieces, kept))), kept


def check_prunable(tokenizer: Tokenizer) -> None:
    """Raises InputError for a tokenizer whose vocabulary can't be pruned."""
    kind = type(tokenizer.model).__name__
    if kind not in ("WordPiece", "Unigram"):
        raise InputError(
            f"the vocabulary of a {kind} tokenizer can't be pruned, only one of WordPiece or Unigram; students are cut "
            "from the first teacher, so name one with a backbone of the BERT kind first"
        )


def _pieces(described: dict[str, Any]) -> list[str]:
    """Pieces by their number."""
    vocabulary = described["model"]["vocab"]
    if isinstance(vocabulary, dict):
        return sorted(vocabulary, key=vocabulary.__getitem__)
    return [piece for piece, _ in vocabulary]


def _with_pieces(described: dict[str, Any], pieces: Sequence[str], kept: Sequence[int]) -> dict[str, Any]:
    """`described` with those `pieces` alone whose number is `kept`, numbered anew."""
    model = described["model"]
    numbers = {pieces[old]: new for new, old in enumerate(kept)}
    if isinstance(model["vocab"], dict):
        model["vocab"] = numbers
    else:
        model["vocab"] = [model["vocab"][old] for old in kept]
        model["unk_id"] = numbers[pieces[model["unk_id"]]]
    for entry in described["added_tokens"]:
        entry["id"] = numbers[entry["content"]]
    _renumber(described.get("post_processor"), numbers)
    return described


def _renumber(part: Any, numbers: dict[str, int]) -> None:
    """Give the special tokens of a post-processor their new numbers; it may be a list of several."""
    if not isinstance(part, dict):
        return
    for inner in part.get("processors", []):
        _renumber(inner, numbers)
    for name, entry in (part.get("special_tokens") or {}).items():
        entry["ids"] = [numbers[token] for token in entry["tokens"]]
        entry["id"] = name
    for name in ("sep", "cls"):
        if isinstance(part.get(name), list):
            part[name] = [part[name][0], numbers[part[name][0]]]


def _common_scripts(characters: Counter[str]) -> set[str]:
    """Scripts that at least `_COMMON_SCRIPT` of the letters are of."""
    found: Counter[str] = Counter()
    for letter, count in characters.items():
        if letter.isalpha():
            found[_script(letter)] += count
    return {script for script, count in found.items() if count >= _COMMON_SCRIPT * found.total()}


def _script(letter: str) -> str:
    """The first word of a character's name, which for letters is the script: "LATIN", "CJK"; "" where it has none."""
    return unicodedata.name(letter, "").partition(" ")[0]
