"""Where a replay stood, so that it can go on: a small JSON file, written only for what Kafka acknowledged."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from core.errors import InputError
from core.settings import Settings

_HEAD_BYTES = 64 * 1024


class Checkpoint(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Everything up to row `row` of the file with this beginning is in Kafka.

    `end_offsets`: per partition of `messages`, the offset after the last record of it. `marks`: of its messages.
    """

    file: str
    head_bytes: int
    head_hash: str
    row: int = 0
    end_offsets: dict[int, int] = {}
    marks: dict[str, int] = {}


def checkpoint_path(settings: Settings, path: Path) -> Path:
    """Where the checkpoint of the replay of `path` lives."""
    whole = str(path.resolve())
    digest = hashlib.blake2b(whole.encode(errors="surrogateescape"), digest_size=6).hexdigest()
    return settings.embedded.directory / "replay" / f"{path.name[:80]}-{digest}.json"


def begin(path: Path) -> Checkpoint:
    """The checkpoint of a replay of `path` that has not read anything yet."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return Checkpoint(file=path.name, head_bytes=len(head), head_hash=_hash(head))


def load(checkpoint: Path, path: Path) -> Checkpoint:
    """The checkpoint stored for `path`; a fresh one if there is none.

    Raises InputError if it is damaged or the file has another beginning now (growing at its end is fine).
    """
    if not checkpoint.exists():
        return begin(path)
    advice = "replay it from the beginning, without --resume: what is there already is recognised by its id"
    try:
        stored = msgspec.json.decode(checkpoint.read_bytes(), type=Checkpoint)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the checkpoint {checkpoint} can't be read: {error}; {advice}") from error
    with path.open("rb") as file:
        head = file.read(max(0, min(stored.head_bytes, _HEAD_BYTES)))
    if _hash(head) != stored.head_hash or stored.row < 0:
        raise InputError(f"{path} has changed since the checkpoint {checkpoint} was written; {advice}")
    return stored


def save(checkpoint: Path, state: Checkpoint) -> None:
    """Write `state`, whole or not at all."""
    try:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        draft = checkpoint.with_suffix(f".{os.getpid()}.tmp")
        draft.write_bytes(msgspec.json.encode(state))
        draft.replace(checkpoint)
    except OSError as error:
        raise InputError(f"the checkpoint {checkpoint} can't be written: {error.strerror}; check the folder") from error


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
