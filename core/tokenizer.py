"""A tokenizer out of its file, which may be damaged or hostile."""

from __future__ import annotations

import msgspec
from tokenizers import Tokenizer


class _Model(msgspec.Struct):
    """What the file says of pieces that are joined (BPE)."""

    merges: list[str | tuple[str, str]] = []
    continuing_subword_prefix: str | None = None


class _File(msgspec.Struct):
    model: _Model


def parse_tokenizer(content: bytes) -> Tokenizer:
    """The tokenizer whose JSON is `content`. Raises ValueError if it is none, or one that would end the process."""
    _check_merges(content)
    try:
        return Tokenizer.from_buffer(content)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # plain Exception from Rust, and for a panic one that is no Exception at all
        raise ValueError(str(error)) from error


def _check_merges(content: bytes) -> None:
    """Raise ValueError where the second part of a merge does not begin with the prefix of parts that go on: the library
    cuts so many bytes off it, and in the middle of a character the whole process is aborted."""
    model = msgspec.json.decode(content, type=_File).model
    for merge in model.merges if model.continuing_subword_prefix else ():
        second = merge.rpartition(" ")[2] if isinstance(merge, str) else merge[1]
        if not second.startswith(model.continuing_subword_prefix or ""):
            raise ValueError(f"{second[:80]!r} in `merges` lacks the prefix {model.continuing_subword_prefix!r}")
