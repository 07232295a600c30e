"""The kinds of sources: newstide's own, and those that installed packages announce as `newstide.sources`."""

from __future__ import annotations

import importlib
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from core.columns import closest
from core.errors import InputError
from core.redaction import names_secret
from ingest.sources.interface import Source

GROUP = "newstide.sources"
# Own sources stand here and not among the entry points, so that a checkout that was not installed anew has them too.
_OWN = {
    "json": "ingest.sources.json_endpoint:JsonEndpoint",
    "websocket": "ingest.sources.websocket:WebSocket",
    "bluesky": "ingest.sources.bluesky:Bluesky",
    "mastodon": "ingest.sources.mastodon:Mastodon",
    "hackernews": "ingest.sources.hackernews:HackerNews",
    "reddit": "ingest.sources.reddit:Reddit",
    "edgar": "ingest.sources.edgar:Edgar",
    "gdelt": "ingest.sources.gdelt:Gdelt",
    "stocktwits": "ingest.sources.stocktwits:StockTwits",
}


def type_names() -> list[str]:
    """Names of all kinds of sources, newstide's own first."""
    return [*_OWN, *sorted({point.name for point in entry_points(group=GROUP)} - set(_OWN))]


def provider(name: str) -> str:
    """The distribution that brings the kind `name`."""
    point = _entry_point(name)
    return "newstide" if name in _OWN or point is None or point.dist is None else point.dist.name


def source_type(name: str) -> type[Source]:
    """The class of the kind `name`. Raises InputError if there is none, or if its package can't be used."""
    if name in _OWN:
        module, _, attribute = _OWN[name].partition(":")
        found: type[Source] = getattr(importlib.import_module(module), attribute)
        return found
    point = _entry_point(name)
    if point is None:
        near = closest(name, type_names())
        advice = f"did you mean `{near}`?" if near else f"there are: {', '.join(type_names())}"
        raise InputError(f"no source is of the type `{name}`; {advice}")
    try:
        loaded = point.load()
    except Exception as error:
        raise InputError(
            f"the source `{name}` of {provider(name)} can't be loaded ({type(error).__name__}: {error}); "
            "update that package or remove it"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Source)):
        raise InputError(f"the source `{name}` of {provider(name)} is no subclass of ingest.sources.interface.Source")
    return loaded


def type_of(source: Source) -> str:
    """The name of the kind of `source`."""
    own = f"{type(source).__module__}:{type(source).__qualname__}"
    points = {point.value: point.name for point in entry_points(group=GROUP)}
    return {value: name for name, value in _OWN.items()}.get(own) or points.get(own) or type(source).__name__.lower()


def make_source(table: dict[str, Any]) -> Source:
    """The source that a `[[source]]` table describes. Raises InputError, one line a fault."""
    options = dict(table)
    name = options.pop("type", None)
    if not isinstance(name, str):
        raise InputError(f"`type` is {name!r}; expected one of {', '.join(type_names())}")
    kind = source_type(name)
    try:
        return kind(**options)
    except ValidationError as error:
        raise InputError("\n".join(_explained(kind, fault) for fault in error.errors())) from None


def _explained(kind: type[Source], fault: ErrorDetails) -> str:
    key = ".".join(map(str, fault["loc"]))
    first = str(fault["loc"][0]) if fault["loc"] else ""
    field = kind.model_fields.get(first)
    about = f" ({field.description})" if field is not None and field.description else ""
    if fault["type"] == "missing":
        return f"`{key}` is missing{about}"
    if fault["type"] == "extra_forbidden" and field is None:
        near = closest(key, kind.model_fields)
        return f"unknown key `{key}`; " + (
            f"did you mean `{near}`?" if near else f"keys: type, {', '.join(kind.model_fields)}"
        )
    reason = fault["msg"].removeprefix("Value error, ")
    given = "" if first == "headers" or names_secret(first) else f" is {fault['input']!r:.200}"
    return f"`{key}`{given}: {reason}" if key else reason


def _entry_point(name: str) -> EntryPoint | None:
    return next(iter(entry_points(group=GROUP, name=name)), None)
