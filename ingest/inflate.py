"""Packed bodies of HTTP answers, unpacked with a bound. Pure.

What the first bytes say counts more than the header: servers send gzip without saying so, and say so without doing it.
One layer is unpacked, never two: 658 bytes can stand for half a gigabyte that way.
"""

from __future__ import annotations

import zlib

from core.errors import InputError

ACCEPTED = "gzip, deflate"
_GZIP = b"\x1f\x8b\x08"
_MOST_MEMBERS = 10_000
_PIECE = 16_384


class TooLarge(InputError):
    """A document has more bytes than are read."""


def inflate(body: bytes, content_encoding: str, most: int) -> tuple[bytes, bool]:
    """`body` unpacked, and whether it is whole: a body cut short gives what came before.

    Raises TooLarge for more than `most` bytes, InputError for a second layer, for an encoding not asked for and for
    more than 10,000 members of gzip. Time is linear in `body` and `most`.
    """
    named = [part for name in content_encoding.lower().split(",") if (part := name.strip()) not in ("", "identity")]
    if len(named) > 1:
        raise InputError(f"the answer is packed more than once ({', '.join(named)[:100]}); one layer is unpacked")
    kind = named[0].removeprefix("x-") if named else ""
    if body.startswith(_GZIP):
        data, whole = _gunzip(body, most)
    elif kind == "deflate" and not _is_text(body):
        data, whole = _unpack(body, zlib.MAX_WBITS if _has_zlib_header(body) else -zlib.MAX_WBITS, most)[:2]
    elif kind in ("", "gzip", "deflate") or _is_text(body):
        _check_size(len(body), most)
        return body, True
    else:
        raise InputError(f"the answer is packed as {kind[:40]!r}, which was not asked for (asked for: {ACCEPTED})")
    if data.startswith(_GZIP):
        raise InputError("the answer is packed more than once; one layer is unpacked")
    return data, whole


def _gunzip(body: bytes, most: int) -> tuple[bytes, bool]:
    """All members of a gzip stream; zeros and rubbish after the last one are left aside."""
    parts: list[bytes] = []
    start = held = 0
    for _ in range(_MOST_MEMBERS):
        part, whole, start = _unpack(body, 16 + zlib.MAX_WBITS, most, start, held)
        parts.append(part)
        held += len(part)
        if not whole or not body.startswith(_GZIP, start):
            return b"".join(parts), whole
    raise InputError(f"the answer is packed in more than {_MOST_MEMBERS} members of gzip")


def _unpack(body: bytes, window: int, most: int, start: int = 0, held: int = 0) -> tuple[bytes, bool, int]:
    """What is packed in `body` from `start` on, whether it is whole, and where it ends.

    Raises TooLarge for more than `most` bytes with the `held` ones that came before.
    """
    unpacker = zlib.decompressobj(window)
    parts: list[bytes] = []
    view = memoryview(body)
    while start < len(body) and not unpacker.eof:
        # In pieces: the unpacker copies all that lies behind the end of what is packed.
        piece = view[start : start + _PIECE]
        try:
            part = unpacker.decompress(piece, most - held + 1)
        except zlib.error as error:
            raise InputError(f"the answer is packed, but damaged ({error})") from error
        parts.append(part)
        held += len(part)
        _check_size(held, most)
        start += len(piece) - len(unpacker.unused_data)
    return b"".join(parts), unpacker.eof, start


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise TooLarge(f"the document has more than {most} bytes (ingest.feed_max_bytes)")


def _has_zlib_header(body: bytes) -> bool:
    return len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0


def _is_text(body: bytes) -> bool:
    """Whether `body` begins like a document that is not packed: with markup, perhaps after a mark or white space."""
    return body[:200].lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\x00")[:1] in (b"<", b"{", b"[", b"")
