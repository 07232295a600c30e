"""Where a source stands, on disk: its cursor and what was sent last, in a small JSON file beside those of the feeds.

It is written only for what Kafka has acknowledged. A process killed between the acknowledgement and the writing reads
the last batch again, and its messages are recognised by their ids.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec

from core.settings import Settings
from core.sources import source_slug

log = logging.getLogger(__name__)

MOST_SENT = 4_000
MOST_PASSED = 4_000
_MOST_BYTES = 2_000_000


class _File(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    place: str
    cursor: dict[str, Any]
    sent: list[tuple[int, int]]
    passed: list[int] = []


class SourceState:
    """Cursor and memory of one source: of the last MOST_SENT messages, hashes of the id and of what it said.

    Of the last MOST_PASSED items that were passed over, hashes of what they are known by. The two do not share their
    room: what nobody asks for must not make forgotten what was sent, which would be sent again.
    """

    def __init__(self, settings: Settings, source: str, place: str) -> None:
        self.path = settings.embedded.directory / "sources" / f"{source_slug(source)}.json"
        self.cursor: dict[str, Any] = {}
        self.changed = False
        self._source = source
        self._place = place
        self._sent: OrderedDict[int, int] = OrderedDict()
        self._passed: OrderedDict[int, int] = OrderedDict()
        self._load()

    def said(self, id: str) -> int | None:
        """The hash of what the message `id` said when it was sent; None if it was not, or too long ago."""
        return self._sent.get(_hash(id))

    def remember(self, id: str, said: int) -> None:
        """`id` was sent, saying what has this hash, or is still listed: what is not for longest is forgotten first."""
        key = _hash(id)
        self.changed = self.changed or self._sent.get(key) != said
        _renew(self._sent, key, said, MOST_SENT)

    def passed_over(self, known_by: str) -> bool:
        """Whether what is known by this was passed over, not too long ago."""
        return _hash(known_by) in self._passed

    def pass_over(self, known_by: str) -> None:
        """What is known by this was passed over, or is still listed."""
        key = _hash(known_by)
        self.changed = self.changed or key not in self._passed
        _renew(self._passed, key, 0, MOST_PASSED)

    def move(self, cursor: Mapping[str, Any] | None) -> None:
        """Stand at `cursor` from now on; None changes nothing."""
        if cursor is not None and cursor != self.cursor:
            self.cursor = dict(cursor)
            self.changed = True

    def save(self) -> None:
        """Write it, whole or not at all, and through to the disk: a lost cursor is a gap. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(f".{os.getpid()}.tmp")
        content = _File(self._source, self._place, self.cursor, list(self._sent.items()), list(self._passed))
        try:
            with draft.open("wb") as file:
                file.write(msgspec.json.encode(content))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
            self.changed = False
        finally:
            draft.unlink(missing_ok=True)

    def _load(self) -> None:
        try:
            if self.path.stat().st_size > _MOST_BYTES:
                raise ValueError(f"it has more than {_MOST_BYTES} bytes")
            stored = msgspec.json.decode(self.path.read_bytes(), type=_File)
        except FileNotFoundError:
            return
        except (OSError, ValueError, msgspec.DecodeError) as error:
            log.warning(
                "%s can't be read (%s); source %s begins anew, and what came meanwhile may be missed",
                self.path,
                error,
                self._source,
            )
            return
        if stored.place != self._place:
            log.warning(
                "source %s has another address or other filters than before; it begins anew there", self._source
            )
            return
        self.cursor = stored.cursor
        self._sent = OrderedDict(stored.sent[-MOST_SENT:])
        self._passed = OrderedDict.fromkeys(stored.passed[-MOST_PASSED:], 0)


def _renew(memory: OrderedDict[int, int], key: int, value: int, most: int) -> None:
    """Make `key` the last that is forgotten; no more than `most` are kept."""
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > most:
        memory.popitem(last=False)


def _hash(id: str) -> int:
    return int.from_bytes(hashlib.blake2b(id.encode(errors="replace"), digest_size=8).digest(), "big", signed=True)
