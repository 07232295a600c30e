"""Companies by name: both directions, what must be linked and what must not."""

from __future__ import annotations

import pytest

from stream.entities import Watchlist, load_watchlist

shipped = load_watchlist()


@pytest.mark.parametrize(
    ("text", "linked"),
    [
        ("4 - BOEING CO (0000000001) (Issuer)", ["BA"]),
        ("8-K/A - LOCKHEED MARTIN CORP (0000000002) (Filer)", ["LMT"]),
        ("4 - BANK OF AMERICA CORP /DE/ (0000000003) (Issuer)", ["BAC"]),
        ("13F-HR - WELLS FARGO & COMPANY/MN (0000000004) (Filer)", ["WFC"]),
        ("10-Q - AMAZON COM INC (0000000005) (Filer)", ["AMZN"]),
        ("10-Q - COCA COLA CO (0000000006) (Filer)", ["KO"]),
        ("10-Q - JPMORGAN CHASE & CO (0000000007) (Filer)", ["JPM"]),
        ("10-Q - PROCTER & GAMBLE CO (0000000008) (Filer)", ["PG"]),
        ("10-Q - TARGET CORP (0000000009) (Filer)", ["TGT"]),
        ("10-Q - VISA INC. (0000000010) (Filer)", ["V"]),
        ("10-Q - Apple Inc. (0000000011) (Filer)", ["AAPL"]),
        ("10-Q - SNAP INC (0000000012) (Filer)", ["SNAP"]),
        ("10-Q - MCDONALDS CORP (0000000013) (Filer)", ["MCD"]),
        ("BOEING WINS ORDER, MORGAN STANLEY SAYS", ["BA", "MS"]),
        ("APPLE UNVEILS THIN TABLET", ["AAPL"]),
        ("APPLE'S THIN TABLET", ["AAPL"]),
        ("SHARES OF APPLE FALL", ["AAPL"]),
        ("APPLE, GOOGLE AND AMAZON SUED", ["AAPL", "AMZN", "GOOG"]),
        ("SHELL RAISES DIVIDEND", ["SHEL"]),
        ("FORD RECALLS 1,000 TRUCKS", ["F"]),
        ("UPS RAISES GUIDANCE", ["UPS"]),
        ("SHELL, BP PROFITS SOAR", ["BP", "SHEL"]),
        ("BUY APPLE, SELL ORACLE; INTEL DOWN", ["AAPL", "INTC", "ORCL"]),
        ("BANK RAISES TARGET PRICE FOR APPLE", ["AAPL"]),
        ("VISA SHARES FALL, Target CEO leaves", ["TGT", "V"]),
        ("10-K - UBER TECHNOLOGIES, INC (0000000014) (Filer)", ["UBER"]),
        ("10-K - AMERICAN AIRLINES GROUP INC. (0000000015) (Filer)", ["AAL"]),
        ("Merck KGaA and Merck & Co", ["MRK", "MRK.DE"]),
        ("Siemens Energy, Samsung SDI, 京东健康", ["006400.KS", "6618.HK", "ENR.DE"]),
        ("中国石油化工与中国石油", ["600028.SS", "601857.SS"]),
        ("GENERAL MOTORS CEO LEAVES", ["GM"]),
        ("microsoft and goldman sachs up, nvidia down", ["GS", "MSFT", "NVDA"]),
        ("apple inc. is cheap", ["AAPL"]),
        ("Target Corporation and Visa, Inc. report", ["TGT", "V"]),
        ("EBay, Ebay and eBay", ["EBAY"]),
        ("Boeing's and BOEING’S orders; a Boeing-led group", ["BA"]),
        ("J.P. Morgan, JP Morgan and JPMorgan Chase & Co", ["JPM"]),
        ("Johnson and Johnson; Johnson & Johnson", ["JNJ"]),
        ("Coca-Cola, Coca Cola", ["KO"]),
        ("Lowe's and Macy's sold off", ["LOW", "M"]),
        ("TotalEnergies SE, Nestlé SA, Volkswagen AG, Unilever PLC", ["NESN.SW", "TTE", "UL", "VOW3.DE"]),
        ("@Tesla and #Netflix", ["NFLX", "TSLA"]),
        ("İstanbul'da Tesla", ["TSLA"]),
        ("贵州茅台股价创新高，腾讯控股回购", ["0700.HK", "600519.SS"]),
        ("阿里巴巴与京东、拼多多竞争，苹果公司观望", ["AAPL", "BABA", "JD", "PDD"]),
        ("宁德时代与特斯拉签约Apple供应商", ["300750.SZ", "AAPL", "TSLA"]),
        ("トヨタ自動車とソニーが提携", ["SONY", "TM"]),
        ("삼성전자와 SK하이닉스 상승", ["000660.KS", "005930.KS"]),
        ("京东方涨停", ["000725.SZ"]),
    ],
)
def test_names_as_news_writes_them(text: str, linked: list[str]) -> None:
    assert shipped.link(text, []) == linked


@pytest.mark.parametrize(
    "text",
    [
        "apple pie and an apple a day",
        "APPLE PIE SALES RISE",
        "Apple Orchards Hit By Frost",
        "APPLE GROWERS FEAR FROST",
        "TARGET PRICE RAISED TO 40",
        "Target price raised; price target cut",
        "GAP UP AT THE OPEN, GAP DOWN AT NOON",
        "SHELL COMPANIES USED TO HIDE MONEY",
        "Shell companies and a shell corporation",
        "a shell hit the village, SHELL HITS VILLAGE",
        "VISA RULES TIGHTENED FOR STUDENTS",
        "the visa was refused",
        "ORACLE OF OMAHA SPEAKS",
        "the oracle spoke",
        "INTEL AGENCIES WARN OF ATTACK, US INTEL SAYS",
        "the People's Bank of China cut rates",
        "China mobile phone shipments, US steel imports, US STEEL IMPORTS",
        "GAP CLOSES, VISA TIGHTENED, TARGET OF ATTACK",
        "good intel from the floor",
        "AMAZON RAINFOREST FIRES SPREAD",
        "START-UPS HAVE UPS AND DOWNS",
        "rates up 25 bp, ups and downs",
        "the best buy of the week",
        "uber bullish on gold",
        "a meta analysis, Meta-analysis",
        "our salesforce grew",
        "a block of shares, the match, a snap election, SNAP ELECTION CALLED",
        "Harrison Ford and Nikola Tesla",
        "DELTA VARIANT SPREADS",
        "Dow Jones slips",
        "Bob McDonald was named",
        "see https://www.facebook.com/tesla/boeing and //google.com/x",
        "高通胀打击消费",
        "中国银行业利润下滑，美国银行业动荡",
        "苹果期货主力合约上涨",
        "小米粥和小米辣",
        "大力拓展业务，提高通行效率，北京东城区，南京东路",
        "略微软化，优惠普及，美光伏关税，主推特色产品",
        "パイナップルの輸入",
    ],
)
def test_words_of_the_language_are_no_companies(text: str) -> None:
    assert shipped.link(text, []) == []


def test_names_found_by_the_same_words_with_other_legal_forms() -> None:
    watchlist = Watchlist({"GAPX": ["Gap Inc"], "TGTX": ["Target Corp"]})
    assert watchlist.link("GAP INC. AND TARGET CORPORATION; Gap Corp", []) == ["GAPX", "TGTX"]
    assert watchlist.link("gap year, target, Gap, Target", []) == []


def test_users_add_words_and_phrases() -> None:
    plain = Watchlist({"HRBR": ["Harbor"]})
    assert plain.link("HARBOR CLOSED, harbor open", []) == ["HRBR"]
    taught = Watchlist({"HRBR": ["Harbor"]}, everyday=["harbor"], phrases=["Pearl Harbor"])
    assert taught.link("HARBOR CLOSED, harbor open, Pearl Harbor", []) == []
    assert taught.link("HARBOR SHARES FALL", []) == ["HRBR"]
    assert taught.link("Harbor cuts jobs", []) == ["HRBR"]


def test_chinese_names_win_by_length() -> None:
    watchlist = Watchlist({"AA": ["东方"], "BB": ["东方财富"]})
    assert watchlist.link("东方财富上涨", []) == ["BB"]
    assert watchlist.link("东方上涨", []) == ["AA"]
