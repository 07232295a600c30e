from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.exchanges import EXCHANGES
from stream.symbols import canonical, load_known

WRITTEN = {
    "AAPL": ["AAPL", "aapl", "$AAPL", "NASDAQ:AAPL", "Nasdaq: AAPL", "XNAS:AAPL", "AAPL.O", "AAPL.OQ", "AAPL.US",
             "AAPL US", "AAPL US Equity", "AAPL UW Equity", "纳斯达克：AAPL"],
    "BRK-B": ["BRK.B", "BRK-B", "BRK/B", "brk.b", "$BRK/B", "NYSE:BRK.B", "NYSE: BRK/B", "BRK B",
              "BRK/B US", "BRK/B US Equity", "BRKb.N"],
    "BF-B": ["BF.B", "BF-B", "BF/B", "BFb.N"],
    "HEI-A": ["HEI.A", "HEI-A", "HEI/A"],
    "RDS-A": ["RDS.A", "RDS-A", "NYSE: RDS.A"],
    "BAC-PL": ["BAC-PL", "BAC-PRL", "BAC/PL"],
    "SPY": ["SPY", "SPY.P", "NYSEARCA:SPY", "NYSE Arca: SPY"],
    "600519.SS": ["600519.SS", "600519.SH", "600519.ss", "SHA:600519", "SSE: 600519", "SH600519", "sh600519",
                  "600519 CH", "600519.CN", "上交所：600519", "XSHG:600519"],
    "000001.SZ": ["000001.SZ", "SHE:000001", "SZ000001", "深交所: 000001", "SZSE:1"],
    "0700.HK": ["0700.HK", "00700.HK", "700.HK", "700 HK", "0700 HK Equity", "HKEX: 0700", "HKG:0700", "HKEX:700",
                "HK00700", "港交所：00700", "SEHK: 700"],
    "7203.T": ["7203.T", "TYO:7203", "TSE: 7203", "7203 JP", "7203 JP Equity"],
    "RY.TO": ["RY.TO", "TSX: RY", "TSE: RY", "RY CN Equity", "RY.CA"],
    "AC-B.TO": ["AC-B.TO", "AC/B.TO", "TSX: AC.B"],
    "SAP.DE": ["SAP.DE", "XETRA:SAP", "ETR: SAP", "FRA:SAP", "SAP.F", "SAP GR Equity"],
    "VOD.L": ["VOD.L", "LON: VOD", "LSE:VOD", "VOD LN"],
    "NESN.SW": ["NESN.SW", "NESN.S", "SWX:NESN", "NESN SW Equity"],
    "VOLV-B.ST": ["VOLV-B.ST", "STO:VOLV-B", "Nasdaq Stockholm: VOLV B", "VOLV B SS"],
    "RELIANCE.NS": ["RELIANCE.NS", "NSE:RELIANCE", "NSE: RELIANCE"],
    "M&M.NS": ["M&M.NS", "NSE:M&M"],
    "BAJAJ-AUTO.NS": ["BAJAJ-AUTO.NS", "NSE: BAJAJ-AUTO"],
    "PETR4.SA": ["PETR4.SA", "BVMF:PETR4"],
    "005930.KS": ["005930.KS", "KRX:005930", "005930 KS"],
    "BTC-USD": ["BTC-USD", "BTC/USD", "BTCUSD", "BTC.X", "CRYPTO:BTC", "COINBASE:BTC-USD"],
    "BTC-USDT": ["BTC-USDT", "BTCUSDT", "BINANCE:BTCUSDT"],
    "SOL-EUR": ["SOL-EUR", "SOL/EUR"],
    "ACME": ["ACME", "$acme", "OTCQB: ACME", "NYSE American: ACME"],
}  # fmt: skip


@pytest.mark.parametrize(("symbol", "written"), [(s, w) for s, all_written in WRITTEN.items() for w in all_written])
def test_each_listing_has_one_spelling(symbol: str, written: str) -> None:
    assert canonical(written) == symbol


@pytest.mark.parametrize(
    "written",
    ["", "$", "20", "5M", "1.2", "600519", "ACMEWIDGETS", "Acme Widgets", "A B C", "::", "NASDAQ:", ":AAPL", "SSE:AAPL",
     "12.HKD", "$1.2bn", "U.S.", "AT&T", "^GSPC", "\ud800", "AAPL\x00", "x" * 100],
)  # fmt: skip
def test_what_is_no_symbol(written: str) -> None:
    assert canonical(written) is None


@given(st.text(max_size=50))
def test_a_canonical_spelling_stays(written: str) -> None:
    symbol = canonical(written)
    assert symbol is None or canonical(symbol) == symbol


@given(st.from_regex(r"\A[$]?[A-Z0-9]{1,6}([./-][A-Z]{1,4}){0,2}\Z"))
def test_a_canonical_spelling_of_what_looks_like_a_symbol_stays(written: str) -> None:
    symbol = canonical(written)
    assert symbol is None or canonical(symbol) == symbol


def test_the_symbols_that_ship_are_canonical() -> None:
    known = load_known()
    assert len(known) > 1000
    assert [symbol for symbol in known if canonical(symbol) != symbol] == []


def test_no_name_stands_for_two_exchanges() -> None:
    names = [name for exchange in EXCHANGES for name in exchange.names]
    assert len(names) == len(set(names))
    suffixes = [suffix for exchange in EXCHANGES for suffix in (exchange.suffix, *exchange.suffixes)]
    assert len(suffixes) == len(set(suffixes))
