"""What a source is: a table of options, and batches of raw messages with the cursor behind each.

A package adds its own by subclassing `Source` and naming the class in the entry point group `newstide.sources`.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from core.errors import UndecodableMessage
from core.records import Kind
from core.sources import source_name
from core.web import is_header, is_web_address
from ingest.feeds import LONGEST_INTERVAL_S, SHORTEST_INTERVAL_S
from ingest.reread import reading_context

if TYPE_CHECKING:
    from ingest.sources.session import Session

Cursor = Mapping[str, Any]
"""Where a source stands: plain JSON, as small as it can be. Empty before anything was read."""

Fields = Mapping[str, Any]
"""Raw values by the names of a message's fields: id, title, text, published_at, url, author, kind, entities, ..."""


@dataclass(frozen=True)
class Unreadable:
    """Something that came and could not be read: its bytes and the reason. It becomes a dead letter."""

    value: bytes
    reason: str


@dataclass(frozen=True)
class Batch:
    """What came since the batch before it.

    `cursor` is kept once Kafka has acknowledged this batch and those before it: after a restart, what lies behind it is
    read again and nothing before it is needed. None keeps the one that was. An empty batch says that the source is up.
    `passed`: of what came and is not asked for, the bytes by which the source will know it again (`session.known`).
    """

    items: Sequence[Fields | Unreadable] = ()
    cursor: Cursor | None = None
    passed: Sequence[bytes] = ()


def _name(text: str) -> str:
    try:
        return source_name(text)
    except UndecodableMessage as error:
        raise ValueError(str(error)) from error


def _web(address: str) -> str:
    if not is_web_address(address):
        raise ValueError("expected http://... or https://...")
    return address


def _socket(address: str) -> str:
    if not is_web_address(re.sub(r"\Aws(s?)://", r"http\1://", address)) or urlsplit(address).scheme[:2] != "ws":
        raise ValueError("expected ws://... or wss://...")
    return address


def _headers(headers: dict[str, str]) -> dict[str, str]:
    if not all(is_header(name, value) for name, value in headers.items()):
        raise ValueError("names and values of headers are plain texts in ASCII, without spaces around them")
    return headers


WebAddress = Annotated[str, AfterValidator(_web)]
SocketAddress = Annotated[str, AfterValidator(_socket)]


class Source(BaseModel):
    """One `[[source]]` table of feeds.toml; its fields are the keys, their docstrings the documentation.

    The docstring of a subclass says in its first line what it reads.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    documentation: ClassVar[str] = ""
    """Where the protocol is described: an address."""
    apart_s: ClassVar[float] = 0.1
    """Least seconds between two requests to one host."""

    source: Annotated[str, AfterValidator(_name)]
    """Name of the source as people should see it; each has its own."""
    kind: Kind = "news"
    """`news` or `comment`, where the source itself does not say."""
    interval_s: float = Field(60.0, ge=SHORTEST_INTERVAL_S, le=LONGEST_INTERVAL_S)
    """Seconds between two rounds; of a stream, before it is opened again."""
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field({})
    """More request headers, such as a key; they stay with the origin of the address."""
    private: bool = False
    """Its host may have a private address (10.0.0.7) though its name is one of the public DNS."""
    words: list[str] = Field([])
    """Only messages that hold one of these words or phrases, in any case; empty: all."""

    @abstractmethod
    def batches(self, session: Session, cursor: Cursor) -> AsyncGenerator[Batch, None]:
        """Read on from `cursor`: one round of polls, or a stream until it ends.

        Called again after `interval_s`, or later if it raised: FetchFailed for what went wrong, with the server's wish
        for patience. What is given twice is recognised by its id; what is given once must not be skipped by a cursor.
        """
        raise NotImplementedError

    @property
    def place(self) -> str:
        """What a cursor belongs to: a cursor of another place is not used."""
        return f"{type(self).__name__} {getattr(self, 'url', '')}"

    @property
    def request_headers(self) -> dict[str, str]:
        """The headers of every request."""
        return self.headers

    @property
    def unreadable_context(self) -> Mapping[str, str]:
        """How another try reads what the source gives as Unreadable (`ingest.reread`)."""
        return reading_context("fields", source=self.source, kind=self.kind)

    def wants(self, fields: Fields) -> bool:
        """Whether a message of these raw fields is asked for."""
        if not self.words:
            return True
        return self._pattern.search(f"{fields.get('title') or ''} {fields.get('text') or ''}") is not None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # Letters of scripts without spaces stand next to any other: only plain words have edges.
        parts = (
            rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])" if word.isascii() else re.escape(word)
            for word in map(str.strip, self.words)
            if word
        )
        return re.compile("|".join(parts), re.IGNORECASE)
