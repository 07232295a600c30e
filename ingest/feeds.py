"""A feed to poll, and the `[[feed]]` table of feeds.toml that describes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from core.columns import closest
from core.encoding import codec_of
from core.errors import InputError, UndecodableMessage
from core.records import Kind
from core.sources import EXPECTED_SOURCE, source_name
from core.web import is_header, is_web_address
from ingest.times import PLAIN
from ingest.written_times import TimeFormat
from ingest.zones import time_zone

SHORTEST_INTERVAL_S = 1.0
LONGEST_INTERVAL_S = 86_400.0
_KEYS = ("source", "url", "kind", "interval_s", "headers", "encoding", "time_zone", "day_first", "private")


@dataclass(frozen=True)
class Feed:
    """One RSS or Atom feed, asked every `interval_s` seconds with the extra request `headers`.

    `encoding`: the label of what its documents are written in, where they can't be trusted to say; empty: by evidence.
    `times`: the zone of times that name none, and the order in 03/04/2024, where its documents do not tell.
    `private`: its host may have a private address though its name is one of the public DNS.
    """

    source: str
    url: str
    kind: Kind = "news"
    interval_s: float = 300.0
    headers: dict[str, str] = field(default_factory=dict)
    encoding: str = ""
    times: TimeFormat = PLAIN
    private: bool = False


def feed_of(table: dict[str, Any]) -> Feed:
    """The feed of a `[[feed]]` table without faults."""
    return Feed(
        source=source_name(table["source"]),
        url=table["url"],
        kind=table.get("kind", "news"),
        interval_s=float(table.get("interval_s", Feed.interval_s)),
        headers=dict(table.get("headers", {})),
        encoding=table.get("encoding", ""),
        times=TimeFormat(
            day_first=table.get("day_first"),
            stated="day_first" in table,
            zone=time_zone(table["time_zone"]) if "time_zone" in table else UTC,
        ),
        private=table.get("private", False),
    )


def faults_of(table: dict[str, Any]) -> list[str]:
    """What is wrong with a `[[feed]]` table."""
    faults = []
    for key in table:
        if key not in _KEYS:
            near = closest(key, _KEYS)
            advice = f"did you mean `{near}`?" if near else f"keys: {', '.join(_KEYS)}"
            faults.append(f"unknown key `{key}`; {advice}")
    source, url = table.get("source"), table.get("url")
    try:
        source_name(source)
    except UndecodableMessage:
        faults.append(f"`source` is {source!r}; expected {EXPECTED_SOURCE}")
    if not isinstance(url, str) or not is_web_address(url):
        faults.append(f"`url` is {url!r}; expected http://... or https://...")
    kind = table.get("kind", "news")
    if kind not in ("news", "comment"):
        faults.append(f"`kind` is {kind!r}; expected `news` or `comment`")
    interval = table.get("interval_s", Feed.interval_s)
    if isinstance(interval, bool) or not isinstance(interval, (int, float)):
        faults.append(f"`interval_s` is {interval!r}; expected a number of seconds")
    elif not SHORTEST_INTERVAL_S <= interval <= LONGEST_INTERVAL_S:
        faults.append(f"`interval_s` is {interval}; expected {SHORTEST_INTERVAL_S:g} to {LONGEST_INTERVAL_S:g} seconds")
    headers = table.get("headers", {})
    if not isinstance(headers, dict) or not all(is_header(name, value) for name, value in headers.items()):
        faults.append(
            "`headers` is not a table of plain texts without spaces around them, "
            "for example headers = { Authorization = 'Bearer ...' }"
        )
    encoding = table.get("encoding", "")
    try:
        if not isinstance(encoding, str):
            raise InputError(f"{encoding!r} is no text")
        if encoding:
            codec_of(encoding)
    except InputError as error:
        faults.append(f"`encoding`: {error}")
    faults += [
        f"`{name}` is {table[name]!r}; expected true or false"
        for name in ("day_first", "private")
        if not isinstance(table.get(name, True), bool)
    ]
    try:
        time_zone(str(table.get("time_zone", "UTC")))
    except InputError as error:
        faults.append(f"`time_zone`: {error}")
    return faults
