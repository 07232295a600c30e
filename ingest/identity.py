"""Which message an entry of a feed is: the one with its guid, the one that says the same, or a new one. Pure.

A guid is believed as far as it identifies: unique in its document, and of a message with which the entry still shares
something. Aggregators give the same item a new guid, link and tracking parameters at each fetch: what an item says, and
when it says it was published, then tells that it is known. An edited text under a lasting guid is the same message.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from ingest.entries import Entry, Said, hash_of

MOST_KNOWN = 5_000
_LONGEST_ID = 512


class Known(msgspec.Struct, array_like=True):
    """A message of the feed, as its entry stood in the last document that held it. Hashes of 63 bits, 0 for nothing."""

    id: str
    guid: int
    link: int
    title: int
    text: int
    published: int

    @property
    def said(self) -> Said:
        return Said(self.title, self.text, self.published)


class Identified(NamedTuple):
    """An entry, the id of its message, whether that id is derived from what it says, and whether it was known."""

    entry: Entry
    id: str
    derived: bool
    known: Known | None


class FeedMemory:
    """The messages of one feed that are known by now, at most MOST_KNOWN, those not listed for longest forgotten."""

    def __init__(self, known: Iterable[Known] = ()) -> None:
        self._known: OrderedDict[str, Known] = OrderedDict((message.id, message) for message in known)

    def __len__(self) -> int:
        return len(self._known)

    def known(self) -> list[Known]:
        """All known messages, the longest unlisted first."""
        return list(self._known.values())

    def identify(self, entries: Sequence[Entry]) -> list[Identified]:
        """What each of `entries`, all those of one document, is. No two of them are the same message."""
        matches = _Matching(self._known.values()).match(entries)
        taken = set(self._known)
        found = []
        for entry, known in zip(entries, matches, strict=True):
            if known is not None:
                found.append(Identified(entry, known.id, _is_derived(known.id), known))
                continue
            own = _own_id(entry.guid)
            id = own if own and own not in taken else _derived(entry, taken)
            taken.add(id)
            found.append(Identified(entry, id, id != own, None))
        return found

    def remember(self, identified: Iterable[Identified]) -> bool:
        """Take note of what the entries of a document are; whether anything changed."""
        changed = False
        for entry, id, *_ in identified:
            now = Known(id, hash_of(entry.guid), hash_of(entry.link), *entry.said)
            changed = changed or self._known.get(id) != now
            self._known[id] = now
            self._known.move_to_end(id)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return changed


Rule = Callable[[Entry], Known | None]


class _Matching:
    """Finds the known messages that entries are, surest matches first; a message is at most one entry.

    Time is linear in the number of entries and messages, also where thousands say the same.
    """

    def __init__(self, known: Iterable[Known]) -> None:
        self._free: set[str] = set()
        self._by_guid: defaultdict[int, list[Known]] = defaultdict(list)
        self._by_link: defaultdict[int, list[Known]] = defaultdict(list)
        self._by_said: defaultdict[Said, list[Known]] = defaultdict(list)
        self._by_words: defaultdict[tuple[Said, int, bool], list[Known]] = defaultdict(list)
        self._by_title: defaultdict[tuple[int, int], list[Known]] = defaultdict(list)
        for message in known:
            self._free.add(message.id)
            self._by_guid[message.guid].append(message)
            self._by_link[message.link].append(message)
            self._by_said[message.said].append(message)
            self._by_words[message.said, message.link, message.guid != 0].append(message)
            self._by_title[message.title, message.published].append(message)

    def match(self, entries: Sequence[Entry]) -> list[Known | None]:
        """For each entry the message that it is, or None."""
        found: list[Known | None] = [None] * len(entries)
        by_guid = self._apply(self._same_guid_and_words, entries, found)
        self._apply(self._same_link_and_words, entries, found)
        by_guid += self._apply(self._same_guid, entries, found)
        self._apply(self._same_words, entries, found)
        self._apply(self._same_link, entries, found)
        if not by_guid:  # guids of this feed do not last, so a changed text tells no two items apart
            self._apply(self._same_title_and_time, entries, found)
        return found

    def _apply(self, rule: Rule, entries: Sequence[Entry], found: list[Known | None]) -> int:
        """Match by `rule` what is not matched yet; the number of new matches."""
        count = 0
        for place, entry in enumerate(entries):
            if found[place] is None and (message := rule(entry)) is not None:
                found[place] = message
                self._free.remove(message.id)
                count += 1
        return count

    def _first(self, messages: list[Known] | None) -> Known | None:
        """The first of `messages` that is no entry's yet, those before it removed."""
        while messages:
            if messages[-1].id in self._free:
                return messages[-1]
            messages.pop()
        return None

    def _free_of(self, messages: Iterable[Known]) -> Iterator[Known]:
        return (message for message in messages if message.id in self._free)

    def _same_guid_and_words(self, entry: Entry) -> Known | None:
        guid = hash_of(entry.guid)
        alike = self._free_of(self._by_guid.get(guid, ())) if guid else ()
        return next((known for known in alike if known.said == entry.said), None)

    def _same_link_and_words(self, entry: Entry) -> Known | None:
        link = hash_of(entry.link)
        if not link or not any(entry.said):
            return None
        sorts = (False,) if entry.guid and not entry.said.published else (False, True)
        return next(filter(None, (self._first(self._by_words.get((entry.said, link, sort))) for sort in sorts)), None)

    def _same_guid(self, entry: Entry) -> Known | None:
        guid = hash_of(entry.guid)
        # Where nothing else agrees, the guid is a place in a list or a constant, and the item another one.
        alike = self._free_of(self._by_guid.get(guid, ())) if guid else ()
        return next((known for known in alike if _agrees(known, entry)), None)

    def _same_words(self, entry: Entry) -> Known | None:
        if entry.said.published:
            return self._first(self._by_said.get(entry.said))
        # Words without a time may be said twice, by two items that have guids or links of their own.
        if entry.guid or entry.link:
            return None
        return self._first(self._by_words.get((entry.said, 0, False)))

    def _same_link(self, entry: Entry) -> Known | None:
        link = hash_of(entry.link)
        alike = self._free_of(self._by_link.get(link, ())) if link else ()
        return next((known for known in alike if _is_edit(known, entry)), None)

    def _same_title_and_time(self, entry: Entry) -> Known | None:
        title, _, published = entry.said
        return self._first(self._by_title.get((title, published))) if title and published else None


def _agrees(known: Known, entry: Entry) -> bool:
    """Whether a message and an entry with the same guid have anything else in common."""
    pairs = (*zip(known.said, entry.said, strict=True), (known.link, hash_of(entry.link)))
    return any(before and before == now for before, now in pairs)


def _is_edit(known: Known, entry: Entry) -> bool:
    """Whether an entry with the link of a message is that message with changes, and not something new at its place."""
    same = [before == now for before, now in zip(known.said, entry.said, strict=True)]
    if known.guid and entry.guid:
        return same[0] and same[2]
    return sum(same) >= 2 or (same[2] and known.published != 0)


def _own_id(guid: str) -> str:
    return guid if len(guid) <= _LONGEST_ID else f"guid:{hash_of(guid):016x}"


def _derived(entry: Entry, taken: set[str]) -> str:
    """The id of an entry without a guid: a hash of its words and time, and of its link where these are taken."""
    said = _digest(*map(str, entry.said))
    if said not in taken and any(entry.said):
        return said
    linked = _digest(*map(str, entry.said), str(entry.fields.get("url", "")))
    # What still tells it from the others of its document is in the digest of all that it says.
    return linked if linked not in taken else _digest(linked, entry.digest)


_PREFIX = "said:"


def _digest(*parts: str) -> str:
    return _PREFIX + hashlib.blake2b("\x00".join(parts).encode(errors="replace"), digest_size=16).hexdigest()


def _is_derived(id: str) -> bool:
    return id.startswith(_PREFIX)
