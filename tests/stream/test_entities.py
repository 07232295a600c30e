from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from stream.entities import MAX_LINKED, Watchlist, load_watchlist

shipped = load_watchlist()


@pytest.mark.parametrize(
    ("text", "given_tickers", "linked"),
    [
        ("$BABA opens at 92.70", [], ["BABA"]),
        ("Alibaba's IPO prices at $68, $yhoo rises", ["baba"], ["BABA", "YHOO"]),
        ("Apple and Bank of America lead; an apple a day", [], ["AAPL", "BAC"]),
        ("Procter & Gamble, AT&T and McDonald's report", [], ["MCD", "PG", "T"]),
        ("Berkshire buys $BRK.B", [], ["BRK-B"]),
        ("costs $5B, up $1.2", [], []),
        ("email me@$$AAPL", [], []),
        ("", ["$MSFT", "not a ticker", ""], ["MSFT"]),
        ("", ["APPLE INC.", "DEUTSCHE BANK", "THE BOEING COMPANY", "VISA", "TARGET"], ["AAPL", "BA", "DB", "TGT", "V"]),
        ("", ["NASDAQ:AAPL", "HKEX:700", "SSE:600519", "NOWHERE:MSFT"], ["0700.HK", "600519.SS", "AAPL", "MSFT"]),
        (
            "",
            ["BRK.B", "BRK/B", "AAPL.US", "00700", "600519", "RELIANCE"],
            ["0700.HK", "600519.SS", "AAPL", "BRK-B", "RELIANCE.NS"],
        ),
        (
            "",
            ["贵州茅台", "腾讯控股有限公司", "AAPL MSFT", "INC", "ACME WIDGETS"],
            ["0700.HK", "600519.SS", "AAPL", "MSFT"],
        ),
        ("", ["^GSPC", "EURUSD=X", "BTC/USD"], ["BTC-USD", "EURUSD=X"]),
    ],
)
def test_linking(text: str, given_tickers: list[str], linked: list[str]) -> None:
    assert shipped.link(text, given_tickers) == linked


@given(st.text(max_size=400), st.lists(st.text(max_size=10)))
def test_linking_is_total_and_bounded(text: str, given_tickers: list[str]) -> None:
    linked = shipped.link(text, given_tickers)
    assert linked == sorted(set(linked))
    assert len(linked) <= MAX_LINKED


def test_a_flood_of_cashtags_is_cut() -> None:
    flood = " ".join(f"$A{chr(65 + i // 26)}{chr(65 + i % 26)}" for i in range(200))
    linked = shipped.link(flood, ["ZZZZ"])
    assert len(linked) == MAX_LINKED
    assert "ZZZZ" in linked, "what the source gave comes first"


def test_the_longest_name_wins() -> None:
    watchlist = Watchlist({"GM": ["General Motors"], "GE": ["General"]})
    assert watchlist.link("General Motors recalls", []) == ["GM"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("[companies", "not valid TOML"),
        ("x = 1", "no \\[companies\\] table"),
        ("[companies]\nacme = ['Acme']", "'acme' is no ticker"),
        ("[companies]\nACME = 'Acme'", "needs a list of names"),
        ("[companies]\nACME = ['!!']", "needs a list of names"),
        ("[companies]\nACME = ['$!!']", "no ticker"),
        ("[companies]\nACME = ['Acme', 7]", "needs a list of names"),
        ("[companies]\nA = ['0700.HK']\nB = ['00700.HK']", "stands for both A and B"),
        ("[companies]\n'BRK.B' = []\n'BRK-B' = ['Berkshire']", "one share"),
        ("[companies]\nA = ['阿克梅']\nB = ['阿克梅']", "stands for both A and B"),
        ("[companies]\nA = []\n[words]\nphrase = ['x']", "may hold `everyday` and `phrases`"),
        ("[companies]\nA = []\n[words]\nphrases = 'x'", "must be a list of texts"),
        ("[companies]\nA = ['Acme']\nB = ['Acme']", "stands for both A and B"),
    ],
)
def test_a_faulty_watchlist_is_refused(tmp_path: Path, content: str, fault: str) -> None:
    file = tmp_path / "watchlist.toml"
    file.write_text(content)
    with pytest.raises(InputError, match=fault):
        load_watchlist(file)


def test_a_missing_watchlist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.toml can't be read"):
        load_watchlist(tmp_path / "nowhere.toml")


def test_an_entry_names_further_tickers_and_languages(tmp_path: Path) -> None:
    file = tmp_path / "watchlist.toml"
    file.write_text(
        """[companies]
ORNX = ["Orion Mines", "猎户矿业", "$ORNW", "1234.HK", "NYSE:ORN.A"]
"600000.SH" = ["Vega"]
[words]
phrases = ["Vega Star"]
""",
        encoding="utf-8",
    )
    watchlist = load_watchlist(file)
    for text in ("ORION MINES", "猎户矿业上涨", "$ORNW", "$ornx", "(HKEX: 01234)", "$ORN/A", "Orion Mines, Inc."):
        assert watchlist.link(text, []) == ["ORNX"], text
    assert watchlist.link("Vega", []) == ["600000.SS"], "its spelling is canonical"
    assert watchlist.link("Vega Star", []) == []


def test_the_cases_of_one_share_make_one_series() -> None:
    texts = [
        "Berkshire Hathaway slips",
        "$BRK.B slips",
        "$BRK-B slips",
        "Why is $BRK/B down",
        "(NYSE: BRK.B)",
        "BRK/B US Equity",
    ]
    assert {tuple(shipped.link(text, [])) for text in texts} == {("BRK-B",)}
