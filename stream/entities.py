"""Linking a message to companies: what the source gave, symbols in the text, and names on the watch-list. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.mentions import Span, Spans
from core.toml_file import read_toml
from stream.mentions import symbols_in
from stream.names import NameIndex, is_name, name_key
from stream.symbols import canonical, load_known, unqualified

SHIPPED = Path(__file__).with_name("watchlist.toml")
EVERYDAY = Path(__file__).with_name("everyday.toml")
MAX_PLACES = 16  # of one company in one text that are looked at
MAX_LINKED = 40  # a message that names more is a list, and a hostile one would open series without end

_TICKER = re.compile(r"[A-Z0-9][A-Z0-9.\-=^&]{0,15}")
_FURTHER = re.compile(
    r"\$.+|[A-Z0-9&]+[a-z]?(?:[-/][A-Z]+)?\.[A-Z]{1,6}|[A-Z]{1,5}[-/][A-Z]|[A-Z]{2,6}-USD[TC]?|[A-Z]+:[A-Z0-9.-]+"
)
# A ticker in a text, with or without its sign, class and exchange.
_CODE = re.compile(r"(?<![0-9A-Za-z_])([$＄]?)([A-Za-z0-9&]{1,15}(?:[-/.][A-Za-z]{1,6}){0,2})(?![0-9A-Za-z_])")
_LEGAL = frozenset(("INC", "CORP", "CO", "LTD", "PLC", "LLC", "AG", "SA", "NV", "SE", "GROUP", "HOLDINGS", "LIMITED"))
# What stands in brackets behind a word and is also somebody's ticker.
_NOT_TICKERS = frozenset(
    ("all", "app", "are", "best", "can", "car", "cost", "fast", "key", "low", "net", "now", "nice", "on")
)


class Watchlist:
    """Companies by name and ticker: one series each, however they are written.

    `companies` maps a ticker to names and further tickers of the same company; see docs/companies.md. `everyday` and
    `phrases` add to the words that ship.
    """

    def __init__(
        self, companies: Mapping[str, Iterable[str]], everyday: Iterable[str] = (), phrases: Iterable[str] = ()
    ) -> None:
        self._series: dict[str, str] = {}
        names: list[tuple[str, str]] = []
        owners: dict[str, str] = {}
        for written, aliases in companies.items():
            ticker = canonical(written) or written
            if ticker in self._series and self._series[ticker] == ticker:
                raise InputError(f"watch-list: {written!r} and another key are one share, {ticker}; keep one of them")
            self._own(self._series, ticker, ticker, written)
            for alias in aliases:
                if is_further_ticker(alias):
                    self._own(self._series, canonical(alias) or "", ticker, alias)
                else:
                    self._own(owners, name_key(alias), ticker, alias)
                    names.append((alias, ticker))
        words = _everyday()
        self._acronyms = frozenset(words["everyday"]) | _NOT_TICKERS
        self._names = NameIndex(
            names,
            everyday=[*words["everyday"], *everyday],
            in_small=words["in_small_letters"],
            phrases=[*words["phrases"], *phrases],
            beside=words["beside"],
        )
        self._known = load_known() | self._series.keys()

    def link(self, text: str, given: Iterable[str]) -> list[str]:
        """Tickers, upper case, sorted, at most `MAX_LINKED`; those the source gave come before those found."""
        found: dict[str, None] = {}
        for name in given:
            found.update(dict.fromkeys(self._given(name)))
        for symbol in symbols_in(text, self._known, self._acronyms):
            found[self._series.get(symbol, symbol)] = None
            if len(found) >= MAX_LINKED:
                break
        found.update(dict.fromkeys(self._names.find(text)))
        return sorted(list(found)[:MAX_LINKED])

    def locate(self, text: str, tickers: Collection[str]) -> dict[str, Spans]:
        """Where `text` names each of `tickers`, which were linked to it: by name, cashtag or code, the sign left out.

        Of those that it does not name (a source gave them) there is nothing. A code without a sign counts in capitals,
        and only in a text that is not all in capitals.
        """
        found: dict[str, set[Span]] = {ticker: set() for ticker in tickers}
        if not found:
            return {}
        for ticker, start, end in self._names.places(text):
            if ticker in found:
                found[ticker].add((start, end))
        bare = {_bare(ticker): ticker for ticker in sorted(found)}
        shouted = text.isascii() and text.isupper()
        for code in _CODE.finditer(text):
            sign, written = code[1], code[2]
            if not sign and (shouted or len(written) < 2 or written != written.upper()):
                continue
            base = written.partition(".")[0]
            symbols = {part: canonical(part) or part.upper() for part in (written, base)}
            owners = [(part, self._series.get(symbol, symbol)) for part, symbol in symbols.items()]
            owners.append((base, bare.get(_bare(symbols[base]), "")))
            part, owner = next(((part, owner) for part, owner in owners if owner in found), ("", ""))
            if owner:
                found[owner].add((code.start(2), code.start(2) + len(part)))
        return {ticker: tuple(sorted(spans)[:MAX_PLACES]) for ticker, spans in found.items() if spans}

    def companies(self, text: str, form: str) -> dict[str, Spans]:
        """Where `form`, a text as a classifier reads it, names the companies that are linked to `text`."""
        return self.locate(form, self.link(text, ()))

    def _given(self, written: str) -> list[str]:
        """What a source calls an entity is a known symbol, else a name, else any symbol, else a list of symbols."""
        text = written.strip().lstrip("$＄#").upper()
        symbol = canonical(text)
        if text.isdigit() and len(text) <= 6:
            symbol = unqualified(text.rjust(4, "0"), self._known)
        if symbol in self._known:
            return [self._series.get(symbol, symbol)]
        ticker = self._names.given(text)
        if ticker is None and symbol is None and f"{text}.NS" in self._known:  # no other exchange has such long codes
            ticker = self._series.get(f"{text}.NS", f"{text}.NS")
        if ticker is not None:
            return [ticker]
        if text in _LEGAL:
            return []
        if symbol is not None or _TICKER.fullmatch(text):
            return [symbol or text]
        if ":" in text:  # an exchange nobody knows
            return self._given(text.rpartition(":")[2])
        parts = [canonical(part) for part in text.split(" ")[:MAX_LINKED]]
        if all(part in self._known for part in parts):
            return [self._series.get(part, part) for part in parts if part is not None]
        return []

    @staticmethod
    def _own(owners: dict[str, str], key: str, ticker: str, written: str) -> None:
        if owners.setdefault(key, ticker) != ticker:
            raise InputError(f"watch-list: the alias {written!r} stands for both {owners[key]} and {ticker}")


def _bare(ticker: str) -> str:
    """A ticker without its exchange, quote currency and leading zeros: 0700.HK is 700, BTC-USD is BTC."""
    return ticker.partition(".")[0].partition("-")[0].lstrip("0")


def is_further_ticker(alias: str) -> bool:
    """Whether an entry of the watch-list is a ticker and no name: "9988.HK", "BRK.A", "NYSE:BABA", "$BTC"."""
    return bool(_FURTHER.fullmatch(alias)) and canonical(alias) is not None


def load_watchlist(path: Path | None = None) -> Watchlist:
    """The watch-list in the TOML file `path`, else the one that ships. Raises InputError naming the file and fault."""
    file = path or SHIPPED
    content = read_toml(file, "watch-list", "check the setting `stream.watchlist`")
    companies = content.get("companies")
    if not isinstance(companies, dict):
        raise InputError(f'watch-list {file} has no [companies] table; expected lines such as AAPL = ["Apple"]')
    entries = {ticker: _aliases(file, ticker, aliases) for ticker, aliases in companies.items()}
    words = content.get("words", {})
    try:
        return Watchlist(entries, _words(file, words, "everyday"), _words(file, words, "phrases"))
    except InputError as error:
        raise InputError(f"{error} (in {file})") from error


def _aliases(file: Path, ticker: str, aliases: Any) -> list[str]:
    if not _TICKER.fullmatch(ticker):
        raise InputError(
            f"watch-list {file}: {ticker!r} is no ticker; expected capitals, digits, '.', '-', '=' or '^', "
            f"such as AAPL, BRK-B or 0700.HK"
        )
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise InputError(f'watch-list {file}: {ticker} needs a list of names, for example ["Apple", "Apple Inc"]')
    for alias in aliases:
        if alias.startswith("$") and not is_further_ticker(alias):
            raise InputError(
                f"watch-list {file}: {ticker} lists {alias!r}, which is no ticker; write $GOOGL or 9988.HK"
            )
        if not is_name(alias):
            raise InputError(f"watch-list {file}: {ticker} needs a list of names, and {alias!r} holds no word")
    return aliases


def _words(file: Path, words: Any, name: str) -> list[str]:
    if not isinstance(words, dict) or words.keys() - {"everyday", "phrases"}:
        raise InputError(f"watch-list {file}: the table [words] may hold `everyday` and `phrases`, lists of texts")
    listed = words.get(name, [])
    if not isinstance(listed, list) or not all(isinstance(text, str) and is_name(text) for text in listed):
        raise InputError(f'watch-list {file}: `{name}` in [words] must be a list of texts, such as ["target price"]')
    return listed


@cache
def _everyday() -> dict[str, list[str]]:
    return tomllib.loads(EVERYDAY.read_text(encoding="utf-8"))
