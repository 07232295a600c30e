"""Tokenizers as the trainer uses them: without padding and truncation of their own."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from core.errors import InputError
from core.tokenizer import parse_tokenizer


def load_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer of a model directory. Raises InputError if it can't be read."""
    path = directory / "tokenizer.json"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} can't be read: {error}") from error
    return read_tokenizer(content, path)


def read_tokenizer(content: bytes, where: Path) -> Tokenizer:
    """The tokenizer whose JSON is `content`, found in `where`. Raises InputError if it is none."""
    try:
        tokenizer = parse_tokenizer(content)
    except ValueError as error:
        raise InputError(f"{where} holds no tokenizer: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def mask_number(tokenizer: Tokenizer, where: Path | str) -> int:
    """Id of the token that stands for a hidden word. Raises InputError where the tokenizer, of `where`, has none."""
    for token in ("<mask>", "[MASK]"):  # MPNet has both, and hides words behind the first
        number = tokenizer.token_to_id(token)
        if number is not None:
            return int(number)
    raise InputError(f"the tokenizer in {where} has no [MASK] token; use a BERT or RoBERTa model directory")
