"""Detector state as bytes: a length, a JSON header, and the arrays as they lie in memory. No pickle."""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError

_KINDS = ("float64", "float32", "int64", "uint16", "bool")


def pack(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> bytes:
    """`header` (JSON-able) and `arrays` as compressed bytes; equal input gives equal bytes."""
    shapes = {name: [array.dtype.name, list(array.shape)] for name, array in sorted(arrays.items())}
    head = json.dumps({"header": header, "arrays": shapes}, sort_keys=True).encode()
    compressor = zlib.compressobj(1)
    parts = [compressor.compress(len(head).to_bytes(8, "little") + head)]
    # one after the other: the state of many series is large
    parts += [compressor.compress(np.ascontiguousarray(arrays[name]).tobytes()) for name in sorted(arrays)]
    return b"".join([*parts, compressor.flush()])


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What `pack` was given. Raises InputError if `data` is anything else."""
    try:
        raw = zlib.decompress(data)
        end = 8 + int.from_bytes(raw[:8], "little")
        head = json.loads(raw[8:end])
        arrays: dict[str, NDArray[Any]] = {}
        for name, (kind, shape) in head["arrays"].items():
            if kind not in _KINDS:
                raise ValueError(f"array {name!r} is of type {kind!r}")
            dtype = np.dtype(kind)
            count = int(np.prod(shape, dtype=np.int64))
            arrays[name] = np.frombuffer(raw, dtype, count, end).reshape(shape).copy()
            end += count * dtype.itemsize
        if end != len(raw):
            raise ValueError(f"{len(raw) - end} bytes are left over")
        return head["header"], arrays
    except (zlib.error, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"the stored state of the detector can't be read ({error}); delete the rows of table "
            "`detector_checkpoint` to let it learn again from the trends"
        ) from error
