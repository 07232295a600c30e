"""Files of tensors (safetensors): written complete or not at all, and only data when read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from core.errors import InputError


def save_tensors(tensors: Mapping[str, Tensor], described: Mapping[str, str], path: Path) -> None:
    """Write `tensors` with `described` as metadata. Raises InputError where `path` can't be written."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in tensors.items()}, partial, dict(described))
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} can't be written: {error}; free space, or name another directory") from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """Tensors and metadata; None where there is no such file. Raises InputError if it can't be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, RuntimeError) as error:
        raise InputError(f"{path} can't be read: {error}; remove it to have it made again") from error
