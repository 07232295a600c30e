"""What sources give as entities, in whatever shape, as names and symbols of companies. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from core.errors import UndecodableMessage
from core.records import MAX_ENTITIES
from core.text import clean

_LONGEST = 64  # characters of one entity
_MOST_READ = 10 * MAX_ENTITIES
_DEEPEST = 3
_BREAK = re.compile(r"[,;|、，；\t\r\n\[\](){}\"“”]+|(?<!\w)'|'(?!\w)")
_SPACES = re.compile(r"\s+")
_LEGAL_FORM = re.compile(
    r"(?:INC|CORP|CO|LTD|LLC|PLC|LP|AG|SA|NV|SE|THE|CORPORATION|LIMITED|INCORPORATED)\.?", re.ASCII
)
_NOTHING = frozenset(("N/A", "NA", "NONE", "NULL", "NAN", "-", "--", "UNKNOWN", "[]", "{}"))
_QUALIFIED = re.compile(r"[A-Z0-9&]+[./:][A-Z0-9]+")
# Names of an object's members, in small letters and without anything between their words.
_SYMBOL = ("ticker", "symbol", "ric", "code", "tickersymbol", "stocksymbol", "stockcode", "secucode", "tickercode")
_EXCHANGE = ("exchange", "market", "mic", "exchangecode", "exch", "exchangeshortname", "exchangeshort", "venue")
_NAME = ("name", "company", "companyname", "entity", "title", "label", "text", "word", "value", "shortname", "longname")
_MANY = ("tickers", "symbols", "stocks", "companies", "entities", "items", "data", "instrument", "security", "stock")


def clean_entities(value: Any) -> list[str]:
    """Names of companies or symbols, in upper case without '$', each once and in order.

    `value` is a text ("$AAPL, MSFT", "Apple Inc"; also JSON), an object ({"ticker": "AAPL"}, {"code": "700",
    "exchange": "HKEX"}, {"name": "Apple Inc"}) or a list of such. Raises UndecodableMessage for anything else.
    """
    if value is None:
        return []
    if not isinstance(value, (str, list, tuple, Mapping)):
        raise UndecodableMessage(
            f"field `entities` is {_kind(value)}; expected a list, a text such as 'AAPL, MSFT' or objects with `ticker`"
        )
    found: dict[str, None] = {}
    for name in _names(value, _DEEPEST):
        plain = name if name.isalnum() and name.isascii() else clean(name[: 4 * _LONGEST])
        plain = plain.lstrip("$＄#").upper().strip()
        if plain and len(plain) <= _LONGEST and plain not in _NOTHING and not _LEGAL_FORM.fullmatch(plain):
            found[plain] = None
            if len(found) == MAX_ENTITIES:
                break
    if (
        not found
        and isinstance(value, (list, tuple))
        and value
        and not isinstance(value[0], (str, Mapping, type(None)))
    ):
        raise UndecodableMessage(
            f"field `entities` is {_kind(value[0])}; expected names as text, or objects with `ticker`"
        )
    return list(found)


def _names(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield from _of_text(value, depth)
    elif isinstance(value, Mapping) and depth:
        yield from _of_object(value, depth)
    elif isinstance(value, (list, tuple)) and depth:
        for item in value[:_MOST_READ]:
            if isinstance(item, str):
                yield item
            else:
                yield from _names(item, depth - 1)


def _of_text(text: str, depth: int) -> Iterator[str]:
    text = text[: 2 * MAX_ENTITIES * _LONGEST].strip()
    if depth == _DEEPEST and text[:1] in ("[", "{"):
        try:
            yield from _names(msgspec.json.decode(text), depth - 1)
            return
        except (msgspec.DecodeError, RecursionError):
            pass  # brackets of another language: {AAPL,MSFT}, ['AAPL']
    for part in _BREAK.split(text):
        words = part.split()
        # "Apple Inc" is one name, "$AAPL $MSFT" and "600519.SH 0700.HK" are two symbols.
        if len(part) > _LONGEST or all(word[0] in "$＄#" or _QUALIFIED.fullmatch(word) for word in words):
            yield from words
        else:
            yield _SPACES.sub(" ", part).strip()


def _of_object(value: Mapping[Any, Any], depth: int) -> Iterator[str]:
    members = {re.sub(r"[\W_]+", "", str(key)[:40]).lower(): member for key, member in list(value.items())[:_MOST_READ]}
    exchange = _first(members, _EXCHANGE)
    symbol, name = _first(members, _SYMBOL), _first(members, _NAME)
    if not symbol and exchange and name.isupper() and " " not in name:
        symbol = name
    if symbol:
        yield f"{exchange}:{symbol}" if exchange and symbol.isalnum() else symbol
    elif name:
        yield name
    else:
        nested = [member for key, member in members.items() if isinstance(member, (Mapping, list, tuple))]
        if any(key in members for key in (*_MANY, *_NAME, *_SYMBOL)):
            for member in nested:
                yield from _names(member, depth - 1)
        else:  # symbols as keys: {"AAPL": 0.9, "MSFT": 0.4}
            yield from (str(key) for key in list(value)[:_MOST_READ] if str(key).isupper() or str(key).isdigit())


def _first(members: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        member = members.get(key)
        if isinstance(member, int) and not isinstance(member, bool) and member < 10**12:
            member = str(member)
        if isinstance(member, str) and member.strip() and member.strip().upper() not in _NOTHING:
            return member.strip()[: 4 * _LONGEST]
    return ""


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return kinds.get(type(value), type(value).__name__)
