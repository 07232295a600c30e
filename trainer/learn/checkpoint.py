"""What an interrupted training goes on from: one file, written complete or not at all, and only data when read."""

from __future__ import annotations

import hashlib
import logging
import os
import time
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from core.errors import InputError

log = logging.getLogger(__name__)

SAVE_EVERY_S = 300.0  # inside an epoch: what a kill costs at most, against a second or two per write
_VERSION = 1


class Checkpoint:
    """The file of one training. `fingerprint` names all that it depends on: another training's file is left alone.

    The record is a dict of tensors, numbers, strings and lists of these: what `torch.load` reads with `weights_only`.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self._written = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The record last saved; None where there is none that this training can go on from, with a warning why."""
        if not self.path.exists():
            return None
        try:
            if not zipfile.is_zipfile(self.path):
                raise ValueError("not what torch.save writes")
            found = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # a dozen unrelated classes on damaged bytes
            reason = str(error).strip().split("\n")[0][:200]
            log.warning("the checkpoint %s can't be read (%s); the training begins anew", self.path, reason)
            return None
        if not isinstance(found, dict) or found.get("version") != _VERSION or "record" not in found:
            log.warning("%s is no checkpoint of this version; the training begins anew", self.path)
            return None
        if found.get("fingerprint") != self.fingerprint:
            log.warning("%s is of another recipe, network or data; the training begins anew", self.path)
            return None
        record: dict[str, Any] = found["record"]
        return record

    def save(self, record: dict[str, Any]) -> None:
        """Replace the file. Raises InputError where it can't be written."""
        partial = self.path.with_name(f".{self.path.name}.partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                torch.save({"version": _VERSION, "fingerprint": self.fingerprint, "record": record}, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except (OSError, RuntimeError) as error:
            raise InputError(f"the checkpoint {self.path} can't be written: {error}; free space or move it") from error
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last write is so long ago that one inside an epoch is worth its time."""
        return time.monotonic() - self._written >= SAVE_EVERY_S

    def remove(self) -> None:
        """Take the file away: the training is over."""
        self.path.unlink(missing_ok=True)


def fingerprint(parts: Iterable[Any], weights: Mapping[str, Tensor]) -> str:
    """A name for a training: it changes with any of `parts` (what msgspec can encode) and of the first `weights`."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(msgspec.json.encode(part))
    for name, value in weights.items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
