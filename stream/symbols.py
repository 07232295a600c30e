"""The symbol master: one canonical spelling for whatever way a listing is written. Pure.

`canonical` goes by syntax alone, so that small companies count as well; `load_known` reads the listings that ship, by
which a code without its exchange is told from a number and a ticker in brackets from an acronym.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from pathlib import Path

from stream.exchanges import BY_BLOOMBERG, BY_NAME, BY_PREFIX, BY_SUFFIX, HK, US, Exchange, mainland, named

SHIPPED = Path(__file__).with_name("symbols.toml")

QUOTES = frozenset(
    ["USD", "USDT", "USDC", "BUSD", "EUR", "GBP", "JPY", "CNY", "KRW", "AUD", "CAD", "CHF", "HKD", "INR", "BTC", "ETH"]
)
COINS = frozenset(
    [
        "BTC",
        "ETH",
        "SOL",
        "XRP",
        "DOGE",
        "ADA",
        "BNB",
        "LTC",
        "DOT",
        "AVAX",
        "LINK",
        "MATIC",
        "SHIB",
        "TRX",
        "BCH",
        "XLM",
        "UNI",
        "ATOM",
        "ETC",
        "FIL",
        "NEAR",
        "XMR",
        "TON",
        "PEPE",
        "SUI",
    ]
)
_COIN_MARKETS = frozenset(
    ["BINANCE", "COINBASE", "KRAKEN", "BITSTAMP", "BITFINEX", "CRYPTO", "CCC", "CCCAGG", "BYBIT", "OKX"]
)
_QUALIFIED = re.compile(r"([A-Z0-9&]{1,15})(?:(?:[-/]([A-Z]{1,6})| ([A-D])))?(?:\.([A-Z]{1,6}))?")
_BLOOMBERG = re.compile(r"([A-Z0-9&/-]{1,15}(?: [A-Z])?) ([A-Z]{2}|C1|C2)(?: EQUITY)?")
_PREFIXED = re.compile(r"(SH|SZ|BJ|HK)\.?([0-9]{4,6})")
_YEAR = re.compile(r"19[89][0-9]|20[0-4][0-9]")
_REUTERS_CLASS = re.compile(r"([A-Z]{1,5})([a-d])\.([A-Z]{1,2})")
_TICKER = re.compile(r"[A-Z]{1,6}")


@lru_cache(maxsize=50_000)
def canonical(written: str) -> str | None:
    """The canonical spelling of one symbol, None where `written` can't be one.

    Reads tickers ("AAPL"), classes ("BRK.B", "BRK/B"), suffixes ("600519.SH", "AAPL.O"), exchanges before a colon
    ("NASDAQ:AAPL", "SHA: 600519"), Bloomberg's ("700 HK Equity"), prefixes ("SH600519") and pairs ("BTC-USD").
    """
    text = written.strip().lstrip("$＄")
    if match := _REUTERS_CLASS.fullmatch(text):  # <BRKb.N>
        return _qualified(match[1], match[2].upper(), match[3])
    text = text.upper()
    if len(text) > 40 or not text:
        return None
    exchange, colon, code = text.replace("：", ":").rpartition(":")
    if colon:
        return listed(exchange.strip(), code.strip().lstrip("$"))
    if match := _PREFIXED.fullmatch(text):
        return BY_PREFIX[match[1]].spelling(match[2])
    if match := _BLOOMBERG.fullmatch(text):
        market = BY_BLOOMBERG.get(match[2]) or (mainland(match[1]) if match[2] == "CH" else None)
        return _spelling(market, match[1].replace("/", "-").replace(" ", "-")) if market is not None else None
    match = _QUALIFIED.fullmatch(text)
    return _qualified(match[1], match[2] or match[3] or "", match[4] or "") if match else None


def listed(exchange: str, code: str) -> str | None:
    """The canonical symbol of `code` on the exchange called `exchange` ("NASDAQ", "HKEX", "港交所"), else None."""
    code = code.upper()
    if exchange.upper() in _COIN_MARKETS:
        return _pair(code) or (f"{code}-USD" if code in COINS else None)
    market = named(exchange, code)
    if market is None:
        return None
    code = code.removeprefix("$").replace("/", "-").replace(" ", "-")
    if code.isdigit() and market.suffix in ("SS", "SZ", "BJ", "KS", "KQ"):
        code = code.rjust(6, "0")  # 000001, taken for a number on its way here
    base, dot, end = code.partition(".")
    if dot and BY_SUFFIX.get(end) is not market:
        base = f"{base}-{end}"
    return _spelling(market, base)


def is_exchange(name: str) -> bool:
    """Whether an exchange, a data vendor's market or a list of coins is called `name`."""
    upper = name.upper()
    return upper in BY_NAME or upper in _COIN_MARKETS or upper == "TSE"


def _spelling(market: Exchange, code: str) -> str | None:
    base, _, share = code.partition("-")
    return market.spelling(f"{base}-{_class(share)}" if share else base)


def _qualified(base: str, share: str, end: str) -> str | None:
    """The parts of BASE-SHARE.END, each possibly empty but the first."""
    if share in QUOTES and not end:
        return f"{base}-{share}" if base.isalpha() else None
    code = f"{base}-{_class(share)}" if share else base
    if not end:
        return (_pair(base) if not share else None) or (US.spelling(code) if base.isalpha() else None)
    if end == "X" and not share:
        return f"{base}-USD" if base.isalpha() else _pair(base)
    market = mainland(base) if end in ("CN", "CH") and base.isdigit() else BY_SUFFIX.get(end)
    spelled = market.spelling(code) if market is not None else None
    if spelled is not None:
        return spelled
    return US.spelling(f"{base}-{_class(end)}") if not share and _TICKER.fullmatch(base) and len(end) <= 2 else None


def _class(letters: str) -> str:
    """Class letters; a preferred share is -PL, however it is written (PRL, PR.L, PL)."""
    return "P" + letters[2:] if len(letters) == 3 and letters.startswith("PR") else letters


def _pair(text: str) -> str | None:
    for length in (3, 4):
        if text[:-length] in COINS and text[-length:] in QUOTES:
            return f"{text[:-length]}-{text[-length:]}"
    base, _, quote = text.replace("/", "-").partition("-")
    return f"{base}-{quote}" if quote in QUOTES and base.isalpha() else None


def unqualified(code: str, known: frozenset[str], before: str = "") -> str | None:
    """The canonical symbol of a code of digits that names no exchange; `before`, the character in front of it.

    Mainland codes tell their exchange, five digits are Hong Kong's; four digits may be a year, so they must be known.
    """
    if len(code) == 6:
        if "\uac00" <= before <= "\ud7a3":
            return f"{code}.KS"
        market = mainland(code)
        return market.spelling(code) if market is not None else None
    if _YEAR.fullmatch(code):
        return None
    if len(code) == 5 and code[0] in "08":
        return HK.spelling(code)
    candidates = (f"{code}.T", f"{code}.TW", f"{code.lstrip('0').rjust(4, '0')}.HK", f"{code}.KL")
    return next((symbol for symbol in candidates if symbol in known), None)


@cache
def load_known() -> frozenset[str]:
    """The canonical symbols that ship."""
    listings = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))["listings"]
    return frozenset(
        f"{code}.{suffix}" if suffix != "US" else code for suffix, codes in listings.items() for code in codes.split()
    )
