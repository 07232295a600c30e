"""`feeds.toml`: feeds as `[[feed]]`, other sources as `[[source]]`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.logs import hide
from core.redaction import names_secret, passwords, secret_headers
from core.sources import source_key
from core.toml_file import read_toml
from ingest.feeds import Feed, faults_of, feed_of
from ingest.sources.interface import Source
from ingest.sources.registry import make_source


@dataclass(frozen=True)
class FeedsFile:
    """What is polled and listened to."""

    feeds: list[Feed] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)

    @property
    def longest_interval_s(self) -> float:
        """Seconds between two polls of what is polled least often."""
        return max(*(feed.interval_s for feed in self.feeds), *(source.interval_s for source in self.sources), 0.0)


def load_feeds_file(path: Path) -> FeedsFile:
    """The feeds and sources in the TOML file at `path`, whose secrets no log shows from now on.

    Raises InputError naming each fault.
    """
    document = read_toml(path, "feeds file", "write one (feeds.example.toml shows how) or name it with ingest.feeds")
    feeds, sources = _tables(path, document, "feed"), _tables(path, document, "source")
    hide(secret for table in (*feeds, *sources) for secret in _secrets(table))
    faults = [
        f"unknown key `{key}`; feeds are written as [[feed]], other sources as [[source]]"
        for key in document
        if key not in ("feed", "source")
    ]
    for number, table in enumerate(feeds, start=1):
        faults.extend(f"feed {number}: {fault}" for fault in faults_of(table))
    made = []
    for number, table in enumerate(sources, start=1):
        try:
            made.append(make_source(table))
        except InputError as error:
            faults.extend(f"source {number}: {fault}" for fault in str(error).splitlines())
    faults.extend(_doubles([*feeds, *sources]))
    if not feeds and not sources:
        faults.append("there is no [[feed]] and no [[source]] in it")
    if faults:
        raise InputError("\n".join(f"{path}: {fault}" for fault in faults))
    return FeedsFile([feed_of(table) for table in feeds], made)


def _secrets(table: dict[str, Any]) -> list[str]:
    """What the log must not show of a table: headers, passwords in addresses, options named like a secret."""
    headers = table.get("headers")
    found = secret_headers(headers) if isinstance(headers, dict) else []
    for name, value in table.items():
        if isinstance(value, str):
            found += [*passwords(value), *([value] if names_secret(name) else [])]
    return [secret for secret in found if isinstance(secret, str)]


def _tables(path: Path, document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    tables = document.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{path}: `{key}` is a single table; write [[{key}]] with two brackets")
    return tables


def _doubles(tables: list[dict[str, Any]]) -> list[str]:
    """Faults of tables whose sources are the same, as names are compared: by their keys."""
    spellings: dict[str, list[str]] = {}
    for table in tables:
        if isinstance(source := table.get("source"), str):
            spellings.setdefault(source_key(source), []).append(source)
    return [
        f"two feeds have the source {' and '.join(f'`{name}`' for name in dict.fromkeys(names))}; each needs its own"
        for names in spellings.values()
        if len(names) > 1
    ]
