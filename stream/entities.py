"""Linking a message to companies: tickers the source gave, cashtags in the text, and names on the watch-list."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from core.errors import InputError

SHIPPED = Path(__file__).with_name("watchlist.toml")
MAX_LINKED = 40  # a message that names more is a list, and a hostile one would open series without end

_CASHTAG = re.compile(r"(?<![\w$])\$([A-Za-z]{1,6}(?:[.-][A-Za-z]{1,2})?)(?![\w$])")
_TICKER = re.compile(r"[A-Z0-9][A-Z0-9.\-=^]{0,15}")
_WORD = re.compile(r"[^\W_][\w&.’'-]*")
_TAIL = re.compile(r"(?:['’]s?|[.,-])+$")


class Watchlist:
    """Companies by alias. Matching is by whole words and case-sensitive: "Apple" is a company, "apple" a fruit."""

    def __init__(self, companies: Mapping[str, Iterable[str]]) -> None:
        self._tickers: dict[str, str] = {}
        for ticker, aliases in companies.items():
            for alias in aliases:
                words = " ".join(_words(alias))
                if self._tickers.setdefault(words, ticker) != ticker:
                    raise InputError(
                        f"watch-list: the alias {alias!r} stands for both {self._tickers[words]} and {ticker}"
                    )
        self._longest = max((alias.count(" ") + 1 for alias in self._tickers), default=0)

    def link(self, text: str, given: Iterable[str]) -> list[str]:
        """Tickers, upper case, sorted, at most `MAX_LINKED`; those the source gave come before those found."""
        found = dict.fromkeys(ticker for raw in given if _TICKER.fullmatch(ticker := raw.upper().lstrip("$")))
        found.update(dict.fromkeys(match.upper() for match in _CASHTAG.findall(text)))
        words = _words(text)
        start = 0
        while start < len(words):
            for length in range(min(self._longest, len(words) - start), 0, -1):
                known = self._tickers.get(" ".join(words[start : start + length]))
                if known is not None:
                    found[known] = None
                    start += length - 1
                    break
            start += 1
        return sorted(list(found)[:MAX_LINKED])


def load_watchlist(path: Path | None = None) -> Watchlist:
    """The watch-list in the TOML file `path`, else the one that ships. Raises InputError naming the file and fault."""
    file = path or SHIPPED
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"watch-list {file} can't be read: {error}") from error
    companies = content.get("companies")
    if not isinstance(companies, dict):
        raise InputError(f'watch-list {file} has no [companies] table; expected lines such as AAPL = ["Apple"]')
    for ticker, aliases in companies.items():
        if not _TICKER.fullmatch(ticker):
            raise InputError(
                f"watch-list {file}: {ticker!r} is no ticker; expected capitals, digits, '.', '-', '=' or '^'"
            )
        if not isinstance(aliases, list) or not all(isinstance(alias, str) and _words(alias) for alias in aliases):
            raise InputError(f'watch-list {file}: {ticker} needs a list of names, for example ["Apple", "Apple Inc"]')
    return Watchlist(companies)


def _words(text: str) -> list[str]:
    return [word for raw in _WORD.findall(text) if (word := _TAIL.sub("", raw))]
