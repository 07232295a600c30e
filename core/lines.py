"""Lines of a file, plain or gzip, in any encoding and with any line ends, read with bounded memory."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from core.encoding import SAMPLE_BYTES, codec_of, detect
from core.errors import InputError
from core.records import MAX_ENCODED_BYTES

MAX_LINE_BYTES = 1_000_000
GZIP_MAGIC = b"\x1f\x8b"
_BUFFER_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 16
_MOST_CHUNKS = 256  # searched for evidence of the encoding: 16 MB


class Line(NamedTuple):
    """One line without its end. `length` is its true length in bytes; `data` holds less where it is over the limit."""

    data: bytes
    length: int

    @property
    def complete(self) -> bool:
        return self.length == len(self.data)


class LineFile:
    """A file of lines; gzip is known by its content, and so are encoding and line ends, from the first 64,000 bytes.

    UTF-16 and UTF-32 are turned into UTF-8 as they are read. `head` are the first bytes of the content, as they stand;
    `encoding` is what a line decodes by. Raises InputError for a file named .gz that is none, or an unknown `encoding`.
    """

    def __init__(self, path: Path, encoding: str = "") -> None:
        self._path = path
        self._size = max(1, path.stat().st_size)
        self._raw: io.BufferedReader = io.BufferedReader(io.FileIO(path), _BUFFER_BYTES)
        magic = self._raw.read(2)
        self._raw.seek(0)
        if magic == GZIP_MAGIC:
            # Not buffered once more: a buffer would hold back lines that come right before a damaged place.
            self._stream: io.BufferedReader | gzip.GzipFile = gzip.GzipFile(fileobj=self._raw)
        elif path.suffix.lower() == ".gz":
            self._raw.close()
            raise InputError(f"{path} is named .gz but holds no gzip data; unpacked data needs no .gz in its name")
        else:
            self._stream = self._raw
        try:
            self.head, evidence = _head(self._stream)
            self._stream.seek(0)
            detected = detect(evidence)
            found = codec_of(encoding) if encoding else detected.encoding
        except BaseException:
            self.close()
            raise
        self.doubtful = detected.doubtful and not encoding
        self._decoder = _wide_decoder(found)
        self.encoding = "utf-8" if self._decoder or found == "utf-8-sig" else found
        self.described_encoding = found
        text = self.head.decode(found, errors="replace")
        if ("\r" in text and "\n" not in text) or self._decoder:
            only_returns = "\r" in text and "\n" not in text
            translated = _Translated(self._stream, self._decoder, only_returns)
            self._lines: io.BufferedReader | gzip.GzipFile = io.BufferedReader(translated, _CHUNK_BYTES)
        else:
            self._lines = self._stream

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
            while data := self._lines.readline(MAX_LINE_BYTES + 2):
                number += 1
                line = self._line(data)
                if line.data.startswith(codecs.BOM_UTF8):  # of this file, or of one that was appended to it
                    line = Line(line.data[3:], line.length - 3)
                yield line
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(
                f"{self._path} can't be read past line {number}: {error}; what came before was read, "
                "a mended file can go on from there"
            ) from error

    def text(self, line: Line) -> tuple[str, bool]:
        """The text of `line`, and whether bytes in it that are no text were replaced by U+FFFD."""
        try:
            return line.data.decode(self.encoding), False
        except UnicodeDecodeError:
            return line.data.decode(self.encoding, errors="replace"), True

    def _line(self, data: bytes) -> Line:
        if data.endswith(b"\n"):
            body = data[:-1].rstrip(b"\r")
            return Line(body, len(body)) if len(body) <= MAX_LINE_BYTES else Line(body[:MAX_ENCODED_BYTES], len(body))
        if len(data) <= MAX_LINE_BYTES:
            return Line(data, len(data))
        length = len(data)
        while rest := self._lines.readline(_BUFFER_BYTES):
            length += len(rest)
            if rest.endswith(b"\n"):
                length -= 1
                break
        return Line(data[:MAX_ENCODED_BYTES], length)


class _Translated(io.RawIOBase):
    """A stream of bytes as UTF-8 with lines that end in a line feed."""

    def __init__(
        self,
        source: io.BufferedReader | gzip.GzipFile,
        decoder: Callable[[bytes, bool], str] | None,
        only_returns: bool,
    ) -> None:
        self._source = source
        self._decoder = decoder
        self._only_returns = only_returns
        self._ready = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._ready and not self._ended:
            chunk = self._source.read(_CHUNK_BYTES)
            self._ended = not chunk
            if self._decoder is not None:
                chunk = self._decoder(chunk, self._ended).encode(errors="replace")
            self._ready = chunk.replace(b"\r", b"\n") if self._only_returns else chunk
        given = self._ready[: len(buffer)]
        self._ready = self._ready[len(given) :]
        buffer[: len(given)] = given
        return len(given)


def _head(stream: io.BufferedReader | gzip.GzipFile) -> tuple[bytes, bytes]:
    """The first bytes of the content, and the bytes that show its encoding: the first that go beyond ASCII.

    Both are less where the content is damaged.
    """
    head = b""
    chunk = b""
    try:
        while len(head) < SAMPLE_BYTES and (part := stream.read(min(_CHUNK_BYTES // 16, SAMPLE_BYTES - len(head)))):
            head += part
        if not head.isascii() or b"\x00" in head:
            return head, head
        for _ in range(_MOST_CHUNKS):
            chunk = stream.read(_CHUNK_BYTES)
            if not chunk or not chunk.isascii():
                break
    except (EOFError, OSError, zlib.error):
        pass
    # Cut at line ends: the first bytes may be the rest of a character.
    return head, chunk.partition(b"\n")[2] if chunk and not chunk.isascii() else head


def _wide_decoder(encoding: str) -> Callable[[bytes, bool], str] | None:
    if not encoding.startswith(("utf-16", "utf-32", "utf_16", "utf_32")):
        return None
    return codecs.getincrementaldecoder(encoding)(errors="replace").decode
