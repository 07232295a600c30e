"""Server-sent events (text/event-stream, WHATWG HTML 9.2) from the bytes of a body. Bounded; no I/O."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from core.errors import InputError

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Event:
    """One event: its type ("message" if it names none), its data, and the last id that the stream has named."""

    kind: str
    data: bytes
    id: str = ""

    def __len__(self) -> int:
        return len(self.data)


async def read_events(body: AsyncIterator[bytes], most_bytes: int) -> AsyncIterator[Event]:
    """The events in `body`; an unfinished one at its end is dropped, as the standard says.

    Raises InputError for an event of more than `most_bytes`.
    """
    kind, last_id, size = "", "", 0
    data: list[bytes] = []
    async for line in _lines(body, most_bytes):
        if not line:
            if data:
                yield Event(kind or "message", b"\n".join(data), last_id)
            kind, data, size = "", [], 0
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
            size += len(value) + 1
            if size > most_bytes:
                raise InputError(f"an event of the stream has more than {most_bytes} bytes")
        elif name == b"event":
            kind = value.decode(errors="replace")
        elif name == b"id" and b"\x00" not in value:
            last_id = value.decode(errors="replace")


async def _lines(body: AsyncIterator[bytes], most_bytes: int) -> AsyncIterator[bytes]:
    """Lines that end in LF, CR or CRLF, also where a chunk ends between the two; a mark in front is passed over."""
    open_line: list[bytes] = []
    size = 0
    first = True
    after_cr = False
    async for chunk in body:
        if after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        after_cr = chunk.endswith(b"\r")
        *ended, rest = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for piece in ended:
            line = b"".join((*open_line, piece))
            open_line, size = [], 0
            yield line.removeprefix(_BOM) if first else line
            first = False
        open_line.append(rest)
        size += len(rest)
        if size > most_bytes:
            raise InputError(f"a line of the stream has more than {most_bytes} bytes")
