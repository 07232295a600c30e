"""Tokenizers of model directories, which anybody may have written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError
from trainer.learn.tokenizer import load_tokenizer, mask_number

_MERGED: dict[str, Any] = {
    "type": "BPE",
    "vocab": {"a": 0, "##é": 1, "aé": 2, "[MASK]": 3},
    "merges": [["a", "##é"]],
    "continuing_subword_prefix": "##",
}


def _written(directory: Path, **parts: Any) -> Path:
    (directory / "tokenizer.json").write_text(json.dumps({"version": "1.0", "model": _MERGED, **parts}))
    return directory


def test_what_a_directory_says_of_padding_and_length_is_left_out(tmp_path: Path) -> None:
    truncation = {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0}
    tokenizer = load_tokenizer(_written(tmp_path, truncation=truncation))
    assert tokenizer.truncation is None
    assert tokenizer.padding is None
    assert mask_number(tokenizer, tmp_path) == 3


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"model": {}}, "holds no tokenizer"),
        ({"model": {**_MERGED, "merges": [["a", "é"]]}}, "holds no tokenizer: 'é' in `merges` lacks the prefix '##'"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}, "holds no tokenizer"),
    ],
    ids=["no model", "merges that abort the process", "a panic"],
)
def test_a_file_that_is_no_tokenizer_or_would_end_the_process(parts: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        load_tokenizer(_written(tmp_path, **parts))


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="holds no tokenizer"):
        load_tokenizer(tmp_path)
