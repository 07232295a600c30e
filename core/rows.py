"""What every file of records offers, whatever its format: rows in file order, bad ones with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

Quoting = Literal["auto", "csv", "none"]


class Row(NamedTuple):
    """One record of a file. `number` counts lines (rows of Parquet) from 1; a bad row has a `reason` and no fields.

    `raw` are its bytes as they stand in the file (as UTF-8, where the file is UTF-16 or UTF-32). `replaced`: bytes that
    are no text in the file's encoding stand as U+FFFD in the fields.
    """

    number: int
    raw: bytes
    fields: Mapping[str, Any] | None
    reason: str = ""
    replaced: bool = False

    def original(self) -> bytes:
        """The bytes of the record as they stand in the file; a Parquet row has none, so JSON stands for it."""
        return self.raw or json.dumps(self.fields, default=str).encode()


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What an operator states about a file; all that is empty is found out from the file.

    `encoding` and `delimiter` as they are; `quoting`: "csv" as RFC 4180 says, "none" takes every quote as it stands,
    "auto" decides row by row. `columns` are names that the header should have, which tells it from lines above it.
    """

    encoding: str = ""
    delimiter: str = ""
    quoting: Quoting = "auto"
    columns: tuple[str, ...] = ()


class RecordFile(Protocol):
    """An open file of records."""

    def rows(self, after: int = 0) -> Iterator[Row]:
        """Rows whose number is above `after`. Raises InputError where the file itself is damaged."""

    @property
    def progress(self) -> float:
        """The share of the file that has been read, 0 to 1."""

    @property
    def encoding(self) -> str:
        """The encoding of its text."""

    @property
    def doubtful(self) -> bool:
        """Whether that encoding is a choice among several that fit."""

    def unreadable(self, sample: Sequence[Row]) -> str:
        """Why none of the `sample` can be read, and the way out, as a sentence without the file's name."""

    def close(self) -> None:
        """Release the file."""
