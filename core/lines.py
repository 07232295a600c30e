"""Lines of a file, plain or gzip, read with bounded memory."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from core.errors import InputError
from core.records import MAX_ENCODED_BYTES

MAX_LINE_BYTES = 1_000_000
_GZIP_MAGIC = b"\x1f\x8b"
_BUFFER_BYTES = 1 << 20


class Line(NamedTuple):
    """One line without its end. `length` is its true length in bytes; `data` holds less where it is over the limit."""

    data: bytes
    length: int

    @property
    def complete(self) -> bool:
        return self.length == len(self.data)


class LineFile:
    """A file of lines; gzip is known by its content. `progress` is the share of the file that has been read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = max(1, path.stat().st_size)
        self._raw: io.BufferedReader = io.BufferedReader(io.FileIO(path), _BUFFER_BYTES)
        magic = self._raw.read(2)
        self._raw.seek(0)
        if magic == _GZIP_MAGIC:
            # Not buffered once more: a buffer would hold back lines that come right before a damaged place.
            self._stream: io.BufferedReader | gzip.GzipFile = gzip.GzipFile(fileobj=self._raw)
        elif path.suffix.lower() == ".gz":
            self._raw.close()
            raise InputError(f"{path} is named .gz but holds no gzip data; unpacked data needs no .gz in its name")
        else:
            self._stream = self._raw

    @property
    def progress(self) -> float:
        return min(1.0, self._raw.tell() / self._size)

    def close(self) -> None:
        self._stream.close()
        self._raw.close()

    def lines(self) -> Iterator[Line]:
        """Each line in order, empty ones included. Raises InputError where a gzip file is damaged."""
        number = 0
        try:
            while data := self._stream.readline(MAX_LINE_BYTES + 2):
                number += 1
                yield self._line(data)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(
                f"{self._path} can't be read past line {number}: {error}; what came before was read, "
                "a mended file can go on from there"
            ) from error

    def _line(self, data: bytes) -> Line:
        if data.endswith(b"\n"):
            body = data[:-2] if data.endswith(b"\r\n") else data[:-1]
            return Line(body, len(body)) if len(body) <= MAX_LINE_BYTES else Line(body[:MAX_ENCODED_BYTES], len(body))
        if len(data) <= MAX_LINE_BYTES:
            return Line(data, len(data))
        length = len(data)
        while rest := self._stream.readline(_BUFFER_BYTES):
            length += len(rest)
            if rest.endswith(b"\n"):
                length -= 1
                break
        return Line(data[:MAX_ENCODED_BYTES], length)
