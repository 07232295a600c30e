"""Which messages of one input repeat an earlier id, and whether they say the same. Bounded memory."""

from __future__ import annotations

import hashlib
from array import array

from core.records import Message

MOST_REMEMBERED = 1 << 21  # ids, in 64 MB
_FIRST_SLOTS = 1 << 12
_LOAD = 2  # slots for each id
_MOST_STEPS = 32


class Duplicates:
    """Counts the messages whose id an earlier one had: `same` with the same content, `changed` with another.

    Of an input with more than 2,000,000 ids some are forgotten, and the counts are lower bounds.
    """

    def __init__(self) -> None:
        self.same = 0
        self.changed = 0
        self._used = 0
        self._ids = array("Q", bytes(8 * _FIRST_SLOTS))
        self._contents = array("Q", bytes(8 * _FIRST_SLOTS))

    def see(self, message: Message) -> None:
        """Count `message`, and remember it."""
        name = int.from_bytes(message.uid.bytes[:8]) or 1
        content = _content(message)
        slot = self._slot(name)
        if self._ids[slot] == name:
            if self._contents[slot] == content:
                self.same += 1
            else:
                self.changed += 1
            return
        self._used += self._ids[slot] == 0
        self._ids[slot], self._contents[slot] = name, content
        if self._used * _LOAD > len(self._ids) and len(self._ids) < MOST_REMEMBERED * _LOAD:
            self._grow()

    def _slot(self, name: int) -> int:
        """Where `name` stands, or may be put: an empty slot nearby, or else its first one."""
        mask = len(self._ids) - 1
        for step in range(_MOST_STEPS):
            slot = (name + step) & mask
            if self._ids[slot] in (0, name):
                return slot
        return name & mask

    def _grow(self) -> None:
        ids, contents = self._ids, self._contents
        self._ids, self._contents = array("Q", bytes(16 * len(ids))), array("Q", bytes(16 * len(ids)))
        for name, content in zip(ids, contents, strict=True):
            if name:
                slot = self._slot(name)
                self._ids[slot], self._contents[slot] = name, content


def _content(message: Message) -> int:
    at = message.published_at.isoformat() if message.has_own_time else ""
    text = "\x00".join((message.title, message.text, message.url, at))
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest())
