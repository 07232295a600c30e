"""Exchanges: what they are called, how symbols name them, and what a code looks like on each.

The canonical spelling of a symbol is that of most free market data: the bare ticker for a listing in the United States
(`AAPL`, `BRK-B`), elsewhere the code, a dot and the suffix of the exchange (`0700.HK`, `600519.SS`, `SAP.DE`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LETTERS = r"(?=[A-Z0-9-]*[A-Z])[A-Z0-9]{1,7}(?:-[A-Z]{1,3})?"
_INDIAN = r"[A-Z][A-Z0-9&]{0,14}(?:-[A-Z]{1,6})?"


@dataclass(frozen=True)
class Exchange:
    """`suffix` in canonical symbols ("" in the United States); `code`, a pattern for upper-case codes without it.

    `names` stand before a colon, `suffixes` are what other vendors write behind the dot, `bloomberg` are the letters
    of "700 HK Equity", `prefixes` those of SH600519. All are in upper case.
    """

    suffix: str
    code: str
    names: tuple[str, ...]
    suffixes: tuple[str, ...] = ()
    bloomberg: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()

    def spelling(self, code: str) -> str | None:
        """The canonical symbol of `code` (upper case, class letters behind "-"), or None if it can't be one here."""
        if re.fullmatch(self.code, code) is None:
            return None
        if self.suffix == "HK":
            code = code.lstrip("0").rjust(4, "0")
        return f"{code}.{self.suffix}" if self.suffix else code


def _exchange(
    suffix: str, code: str, names: str, suffixes: str = "", bloomberg: str = "", prefixes: str = ""
) -> Exchange:
    return Exchange(
        suffix,
        code,
        tuple(names.upper().split("|")),
        tuple(suffixes.split()),
        tuple(bloomberg.split()),
        tuple(prefixes.split()),
    )


# One row an exchange: suffix, code, names, other vendors' suffixes, Bloomberg's letters, prefixes.
EXCHANGES = (
    _exchange(
        "",
        r"[A-Z]{1,6}(?:-[A-Z]{1,2})?",
        "NASDAQ|NASDAQGS|NASDAQGM|NASDAQCM|NASDAQ GS|NASDAQ GM|NASDAQ CM|NASDAQ GLOBAL SELECT|NASDAQ GLOBAL MARKET"
        "|NASDAQ CAPITAL MARKET|NSDQ|NDAQ|XNAS|NMS|NYSE|XNYS|NYQ|NEW YORK STOCK EXCHANGE|NYSEARCA|NYSE ARCA|ARCX|ARCA"
        "|NYSEAMERICAN|NYSE AMERICAN|NYSE AMER|NYSEMKT|NYSE MKT|XASE|AMEX|BATS|CBOE|CBOE BZX|US|USA"
        "|OTC|OTCMKTS|OTC MARKETS|OTCQB|OTCQX|OTC PINK|OTCPK|OTCBB|PINK|PINX|GREY"
        "|TICKER|TICKER SYMBOL|STOCK SYMBOL|SYMBOL"
        "|纳斯达克|纽交所|纽约证券交易所|美股|美交所|纽约交易所|ナスダック|나스닥|뉴욕증권거래소",
        "US O OQ N NQ K P PK OB NYSE NASDAQ",
        "US UN UQ UW UA UP UR",
    ),
    _exchange("TO", _LETTERS, "TSX|XTSE|TORONTO", "TSX CA", "CN CT"),
    _exchange("V", _LETTERS, "TSXV|TSX-V|TSX VENTURE|CVE|XTSX|TSX VENTURE EXCHANGE", "", "CV"),
    _exchange("CN", _LETTERS, "CSE|XCNQ|CNSX", "CD", "CF"),
    _exchange("NE", _LETTERS, "NEO|CBOE CANADA|CBOE CA", "", ""),
    _exchange("L", _LETTERS, "LSE|LON|XLON|AIM|LONDON|LONDON STOCK EXCHANGE|伦敦证券交易所|伦敦", "LSE LN", "LN"),
    _exchange(
        "DE", _LETTERS, "XETRA|ETR|XETR|FRA|FWB|XFRA|FRANKFURT|DEUTSCHE BOERSE|GER|法兰克福",
        "F XETRA XE", "GR GY GF",
    ),
    _exchange("PA", _LETTERS, "EPA|EURONEXT PARIS|PARIS|XPAR|PAR", "", "FP"),
    _exchange("AS", _LETTERS, "AMS|EURONEXT AMSTERDAM|AMSTERDAM|XAMS|AEX", "", "NA"),
    _exchange("BR", _LETTERS, "EBR|EURONEXT BRUSSELS|BRUSSELS|XBRU", "", "BB"),
    _exchange("LS", _LETTERS, "ELI|EURONEXT LISBON|LISBON|XLIS", "", "PL"),
    _exchange("IR", _LETTERS, "EURONEXT DUBLIN|XDUB|ISE", "I", "ID"),
    _exchange("MI", _LETTERS, "BIT|BORSA ITALIANA|EURONEXT MILAN|MILAN|XMIL", "", "IM"),
    _exchange("MC", _LETTERS, "BME|MADRID|XMAD|BOLSA DE MADRID", "", "SM SQ"),
    _exchange("SW", _LETTERS, "SWX|SIX|VTX|XSWX|SIX SWISS EXCHANGE|ZURICH", "S VX", "SW SE"),
    _exchange("ST", _LETTERS, "STO|NASDAQ STOCKHOLM|STOCKHOLM|XSTO", "", "SS"),
    _exchange("CO", _LETTERS, "CPH|NASDAQ COPENHAGEN|COPENHAGEN|XCSE", "", "DC"),
    _exchange("HE", _LETTERS, "HEL|NASDAQ HELSINKI|HELSINKI|XHEL", "", "FH"),
    _exchange("OL", _LETTERS, "OSL|OSE|OSLO|OSLO BORS|XOSL", "", "NO"),
    _exchange("VI", _LETTERS, "VIE|WBAG|VIENNA|XWBO", "", "AV"),
    _exchange("WA", _LETTERS, "WSE|GPW|WARSAW|XWAR", "", "PW"),
    _exchange("AT", _LETTERS, "ATHEX|ATH|XATH", "", "GA"),
    _exchange("IS", _LETTERS, "BIST|IST|XIST|BORSA ISTANBUL", "", "TI"),
    _exchange("TA", _LETTERS, "TASE|TLV|XTAE", "", "IT"),
    _exchange("JO", _LETTERS, "JSE|XJSE|JOHANNESBURG", "J", "SJ"),
    _exchange("SR", r"[0-9]{4}", "TADAWUL|XSAU", "SE", "AB"),
    _exchange(
        "HK", r"0?[0-9]{1,5}", "HKEX|HKG|SEHK|HKSE|XHKG|HONG KONG|港交所|香港交易所|联交所|港股|香港",
        "HKG", "HK", "HK",
    ),
    _exchange(
        "SS", r"[0-9]{6}", "SSE|SHA|SHSE|XSHG|SHANGHAI|上交所|上海证券交易所|上证|沪市",
        "SH SHA XSHG", "CG C1", "SH",
    ),
    _exchange("SZ", r"[0-9]{6}", "SZSE|SHE|XSHE|SHENZHEN|深交所|深圳证券交易所|深市", "SHE XSHE", "CS C2", "SZ"),
    _exchange("BJ", r"[0-9]{6}", "BSE BEIJING|BJSE|XBSE|北交所|北京证券交易所", "", "", "BJ"),
    _exchange(
        "T", r"[1-9][0-9]{2}[0-9A-Z]", "TYO|JPX|XTKS|TOKYO|TSE PRIME|東証|東証プライム|东京证券交易所|东证",
        "JP TYO", "JP JT",
    ),
    _exchange("KS", r"[0-9]{5}[0-9A-Z]", "KRX|KOSPI|XKRX|KSE|코스피|韩交所", "KR", "KS KP"),
    _exchange("KQ", r"[0-9]{5}[0-9A-Z]", "KOSDAQ|XKOS|코스닥", "", "KQ"),
    _exchange("TW", r"[0-9]{4,6}[A-Z]?", "TPE|TWSE|XTAI|TAIEX|台交所|台股|臺股|台湾证券交易所", "", "TT"),
    _exchange("TWO", r"[0-9]{4,6}[A-Z]?", "TPEX|ROCO|TWO", "", ""),
    _exchange("NS", _INDIAN, "NSE|XNSE|NSEI", "NSE", "IN IS"),
    _exchange("BO", rf"[0-9]{{6}}|{_INDIAN}", "BSE|BOM|XBOM|BOMBAY", "BSE", "IB"),
    _exchange("SI", r"[A-Z0-9]{2,5}", "SGX|XSES|SINGAPORE", "SG", "SP"),
    _exchange("KL", r"[0-9]{4}|[A-Z]{2,10}", "KLSE|BURSA|XKLS|BURSA MALAYSIA", "", "MK"),
    _exchange("BK", _LETTERS, "SET|BKK|XBKK", "", "TB"),
    _exchange("JK", r"[A-Z]{4}", "IDX|XIDX|JKT", "", "IJ"),
    _exchange("PS", _LETTERS, "PSE|XPHS", "", "PM"),
    _exchange("AX", _LETTERS, "ASX|XASX|SYDNEY", "AU ASX", "AU AT"),
    _exchange("NZ", _LETTERS, "NZX|NZE|XNZE", "", "NZ"),
    _exchange("SA", r"[A-Z][A-Z0-9]{3}[0-9]{1,2}", "BVMF|B3|BOVESPA|XBSP", "", "BZ BS"),
    _exchange("MX", r"[A-Z0-9&*]{1,10}(?:-[A-Z0-9]{1,3})?", "BMV|XMEX|MEX", "", "MM"),
)  # fmt: skip

BY_SUFFIX = {suffix: exchange for exchange in EXCHANGES for suffix in (exchange.suffix, *exchange.suffixes) if suffix}
BY_NAME = {name: exchange for exchange in EXCHANGES for name in exchange.names} | {
    suffix: exchange for suffix, exchange in BY_SUFFIX.items() if len(suffix) > 1
}
BY_BLOOMBERG = {letters: exchange for exchange in EXCHANGES for letters in exchange.bloomberg}
BY_SUFFIX = BY_BLOOMBERG | BY_SUFFIX  # "ALO.FP" is seen as well
BY_PREFIX = {prefix: exchange for exchange in EXCHANGES for prefix in exchange.prefixes}
US, HK = EXCHANGES[0], BY_SUFFIX["HK"]

_MAINLAND = (
    (re.compile(r"(?:60[0135]|68[89]|900|5[0168][0-9])[0-9]{3}"), BY_SUFFIX["SS"]),
    (re.compile(r"(?:00[0-3]|30[012]|200|159)[0-9]{3}"), BY_SUFFIX["SZ"]),
    (re.compile(r"(?:43|83|87|92)[0-9]{4}"), BY_SUFFIX["BJ"]),
)


def mainland(code: str) -> Exchange | None:
    """The Chinese exchange that gives out codes such as `code`, six digits; their beginnings are laid down."""
    return next((exchange for pattern, exchange in _MAINLAND if pattern.fullmatch(code)), None)


def named(name: str, code: str) -> Exchange | None:
    """The exchange called `name`, in any case; `code` decides where a name is shared (TSE: Toronto or Tokyo)."""
    upper = name.upper()
    if upper in ("TSE", "CH", "CHINA", "CN"):
        if upper == "TSE":
            return BY_SUFFIX["T" if code[:1].isdigit() else "TO"]
        return mainland(code) or BY_NAME.get(upper)
    return BY_NAME.get(upper)
