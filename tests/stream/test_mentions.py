"""Symbols in texts, in all the notations people use."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.entities import MAX_LINKED, load_watchlist

shipped = load_watchlist()


@pytest.mark.parametrize(
    ("text", "linked"),
    [
        ("$600036.SS slips, $600036.SH too", ["600036.SS"]),
        ("$0005.HK and $00005.HK", ["HSBC"]),
        ("$3333.HK halted", ["3333.HK"]),
        ("$INFY.NS, $TATASTEEL.NS and $M&M.NS", ["INFY", "M&M.NS", "TATASTEEL.NS"]),
        ("卖出$NVDA股票，买入$AMD。", ["AMD", "NVDA"]),
        ("看好$NVDA$和$00700.HK$，不看好$贵州茅台(SH600519)$，花了$20$", ["0700.HK", "600519.SS", "NVDA"]),
        ("＄MSFT 決算、＄KO も", ["KO", "MSFT"]),
        ("$KO$PEP$MCD all green", ["KO", "MCD", "PEP"]),
        ("$KO/$PEP, ($T) '$V.' \"$MA\"", ["KO", "MA", "PEP", "T", "V"]),
        ("$ETH-USD, $ETH.X, $ETH and $SOL-EUR", ["ETH-USD", "SOL-EUR"]),
        ("$btc.x", ["BTC-USD"]),
        ("$BRK.B, $BRK-B and $BRK/B", ["BRK-B"]),
        ("$HEI.A $HEI/A; $RDS.B", ["HEI-A", "RDS-B"]),
        ("$RCI/B.TO and $BB.CA", ["BB.TO", "RCI-B.TO"]),
        ("$ko.Great quarter, $PEP.is it? $T.To the moon", ["KO", "PEP", "T"]),
        ("$ZZTOP is a small cap, $tiny too", ["TINY", "ZZTOP"]),
        ("$KO-led rally, $PEP's loss, $MCD& more", ["KO", "MCD", "PEP"]),
        ("$贵州茅台(SH600519)$ 和 $腾讯控股(00700)$", ["0700.HK", "600519.SS"]),
        ("Orion (NASDAQ: ORNX) and Vega (NYSE:VGAX)", ["ORNX", "VGAX"]),
        ("Orion (NYSE: ORNX; TSX: ORX)", ["ORNX", "ORX.TO"]),
        ("Orion (NYSE: A; NASDAQ: B)", ["A", "B"]),
        ("Orion (NASDAQ \u2013 ORNX) and Vega (NYSE-VGAX; TSX \u2014 VGA)", ["ORNX", "VGA.TO", "VGAX"]),
        ("Orion (Nasdaq: ORNX, ORNXW) [NYSE American: VGAX]", ["ORNX", "ORNXW", "VGAX"]),
        ("Orion (NYSE/TSX: ORX) (OTCQB: ORXXF) (TSX-V: ORV)", ["ORV.V", "ORX.TO", "ORXXF"]),
        ("Berkshire (NYSE: BRK.A, BRK.B)", ["BRK-A", "BRK-B"]),
        ("NYSE: BRK.A fell", ["BRK-A"]),
        ("Tencent (HKEX: 0700) and [SEHK: 9988]", ["0700.HK", "BABA"]),
        ("茅台（上交所：600519）、腾讯（港交所: 00700）", ["0700.HK", "600519.SS"]),
        ("证券代码：000858 公告，股票代码：600036", ["000858.SZ", "600036.SS"]),
        ("(Stock Code: 700) Announcement", ["0700.HK"]),
        ("LON:TSCO beats XETRA:BMW", ["BMW.DE", "TSCO.L"]),
        ("五粮液（000858.SZ）与万科A(000002)", ["000002.SZ", "000858.SZ"]),
        ("600519.SH上涨，sh600036下跌，0700.HK收平", ["0700.HK", "600036.SS", "600519.SS"]),
        ("小盘股（301236）涨停", ["301236.SZ"]),
        ("任天堂(7974)と日産（7201）", ["7201.T", "7974.T"]),
        ("카카오(035720) 하락", ["035720.KS"]),
        ("Orion <ORNX.O> fell, Vega <VGAX.N> rose, <0005.HK> too", ["HSBC", "ORNX", "VGAX"]),
        ("Siemens <SIEGn.DE>, Berkshire <BRKb.N> (BA.N)", ["BA", "BRK-B", "SIE.DE"]),
        ("KO US Equity, 5 HK Equity, BRK/B US Equity", ["BRK-B", "HSBC", "KO"]),
        ("(700 HK), (KO US)", ["0700.HK", "KO"]),
        ("(ORNX:US) and KO:US, 700:HK", ["0700.HK", "KO", "ORNX"]),
        ("Orion (Ticker: ORNX), (NYSE AMER: VGAX)", ["ORNX", "VGAX"]),
        ("Gartner (IT), Tesla (TSLA), Acme (NVDA)", ["NVDA", "TSLA"]),
    ],
)
def test_symbols_as_people_write_them(text: str, linked: list[str]) -> None:
    assert shipped.link(text, []) == linked


@pytest.mark.parametrize(
    "text",
    [
        "paid $20, $5M, $1.2bn, US$3, HK$700, C$5.HK, A$AP, CA$H, $$KO",
        "$KO_PEP, x$KO, $KOé, $Dólar, $2$HOT$3",
        "=$A$1+$B$2",
        "up $3K, $4.5B, $600000 raised, $100.To spend",
        "NASDAQ: Stocks fall; NYSE: STOCKS FALL",
        "Note: A fine day. Time: 12:30. Set: UP. http://t.co/KO",
        "the CEO (USA), an ETF (SPDRX), (IPO), (AI), (EPS), (GDP)",
        "in (2024) and (2018)沪01刑初, revenue (600000), (12345)",
        "the (U.S) and (U.K) and D.C",
        "700 HK dollars, 5 HK$",
        "v1.2.T, 10.5.HK is no host, file.600519.SH.txt",
        "mail me at a@600519.SH",
    ],
)
def test_what_only_looks_like_a_symbol(text: str) -> None:
    assert shipped.link(text, []) == []


@given(
    st.lists(
        st.sampled_from(
            [
                "$",
                "＄",
                "(",
                ")",
                "（",
                "）",
                "<",
                ">",
                "[",
                "]",
                ":",
                "：",
                ".",
                "/",
                "-",
                ",",
                ";",
                "700",
                "HK",
                "SH",
                "600519",
                ".SS",
                "KO",
                "BRK",
                "B",
                "茅台",
                "Apple",
                "INC",
                "'s",
                "&",
                "NYSE",
            ]
        ),
        max_size=40,
    )
)
def test_linking_any_mix_is_total(parts: list[str]) -> None:
    for text in ("".join(parts), " ".join(parts)):
        linked = shipped.link(text, parts)
        assert linked == sorted(set(linked))
        assert len(linked) <= MAX_LINKED
        assert not any(not symbol or symbol != symbol.upper() for symbol in linked)


# Superlinear code would take hours on the longer inputs and be ended by its limit; linear code takes seconds.
PROGRAM = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (240, 240))
from stream.entities import load_watchlist
watchlist = load_watchlist()
for unit in json.load(sys.stdin):
    for length in (1_000, 300_000):
        watchlist.link(unit * (length // len(unit)), [unit * 100])
"""
HOSTILE = [
    "$", "$A", "$A$1", "$A.B-", "$1", "(", "(((A", "NYSE:", "NYSE: A, ", "(NYSE: A, ", "a b:", ": A", "：A", "0",
    "0.HK ", "A.", "A.NS", "A-B&", " HK", "1 HK", "sh6", "Bank of ", "bank of america ", "Apple ", "APPLE AND ",
    "茅", "茅台", "ア", "www.", "//", "a//", "&", "J.P.", "a.b", "A/B US Equity ", "<A.O", "<A.O>", "\u0130",
]  # fmt: skip


def test_time_is_linear_in_hostile_input() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", PROGRAM], input=json.dumps(HOSTILE).encode(), env=environment, check=True)
