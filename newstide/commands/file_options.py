"""Options that say how a file of records is read, the same for `ingest replay` and for `up --replay`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any, cast

import click

from core.encoding import codec_of
from core.readers import ReadOptions
from core.records import Kind
from core.rows import Quoting
from ingest.mapping import parse_map
from ingest.replay_plan import ReplayOptions
from ingest.written_times import TimeFormat
from ingest.zones import time_zone

MAP = click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="FIELD=COLUMN,...",
    help="Which column fills which field: text=body,published_at=ts. Dots reach into nested records, "
    "@value is a constant, COLUMN? may be missing, extra=* keeps the other columns.",
)
SOURCE = click.option("--source", default="", help="Source name of records that give none; of a file, its own name.")
KIND = click.option(
    "--kind",
    type=click.Choice(["news", "comment"]),
    default="news",
    show_default=True,
    help="Kind of records that give none.",
)
TIMES = (
    click.option(
        "--day-first/--month-first",
        "day_first",
        default=None,
        help="The order in dates such as 03/04/2024; found out from the file if not given.",
    ),
    click.option("--time-zone", default="", metavar="NAME", help="Zone of times that name none: Europe/Berlin; UTC."),
)
_FILE = (
    MAP,
    SOURCE,
    KIND,
    click.option("--encoding", default="", metavar="NAME", help="Encoding of the file: gbk, windows-1252."),
    click.option("--delimiter", default="", metavar="CHARACTER", help="What separates the columns of a table; `tab`."),
    click.option(
        "--quoting",
        type=click.Choice(["auto", "csv", "none"]),
        default="auto",
        show_default=True,
        help="Quotes in a table: by RFC 4180, as they stand, or found out row by row.",
    ),
    *TIMES,
)
_NAMES = {"source": "--source", "kind": "--kind", "encoding": "--encoding", "delimiter": "--delimiter"}
_NAMES |= {"quoting": "--quoting", "time_zone": "--time-zone"}

Command = Callable[..., None]


def file_options(command: Command) -> Command:
    """Give `command` the options; they arrive as keywords that `replay_options` reads."""
    for option in reversed(_FILE):
        command = option(command)
    return command


def time_options(command: Command) -> Command:
    """Give `command` the options about times alone, which `time_format` reads."""
    for option in reversed(TIMES):
        command = option(command)
    return command


def replay_options(given: Mapping[str, Any]) -> ReplayOptions:
    """What the keywords of `file_options` state. Raises InputError for what can't be meant."""
    if given["encoding"]:
        codec_of(given["encoding"])
    return ReplayOptions(
        fields=parse_map(given["maps"]),
        source=given["source"],
        kind=cast(Kind, given["kind"]),
        read=ReadOptions(given["encoding"], given["delimiter"], cast(Quoting, given["quoting"])),
        times=time_format(given),
    )


def time_format(given: Mapping[str, Any]) -> TimeFormat:
    """What the keywords of `time_options` state. Raises InputError for an unknown zone."""
    zone = time_zone(given["time_zone"]) if given["time_zone"] else UTC
    return TimeFormat(day_first=given["day_first"], stated=given["day_first"] is not None, zone=zone)


def as_arguments(given: Mapping[str, Any]) -> list[str]:
    """The keywords of `file_options` as arguments of a command line."""
    arguments = [part for text in given["maps"] for part in ("--map", text)]
    arguments += [part for key, option in _NAMES.items() if given[key] for part in (option, given[key])]
    if given["day_first"] is not None:
        arguments.append("--day-first" if given["day_first"] else "--month-first")
    return arguments
