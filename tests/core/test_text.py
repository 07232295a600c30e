from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.text import clean, headline_form, model_input, normalise_urls, story_form

any_text = st.text(alphabet=st.characters(codec=None), max_size=300)


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("<p>Profit <b>rises</b></p><p>again</p>", "Profit rises again"),
        ("AT&amp;T &lt;b&gt;up&lt;/b&gt;", "AT&T up"),
        ("P&amp;amp;G", "P&G"),
        ("a\x00b\u200bc\u202ed", "abcd"),
        ("cafe\u0301  \n\t open", "café open"),
        ("EPS < 2 and > 1", "EPS < 2 and > 1"),
        ("<script>alert(1)</script>Shares fall", "Shares fall"),
        ("broken \ud800 half", "broken half"),
    ],
)
def test_cleaning(raw: str, plain: str) -> None:
    assert clean(raw) == plain


@given(any_text)
def test_clean_text_can_be_stored_and_sent(raw: str) -> None:
    text = clean(raw)
    assert "\x00" not in text
    text.encode()
    assert text == text.strip()
    assert "  " not in text


@given(any_text)
def test_the_narrower_forms_are_total(raw: str) -> None:
    assert story_form(raw) == story_form(raw).casefold()
    model_input(raw).encode()
    normalise_urls(clean(raw)).encode()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RT @trader: Acme cuts 2,000 jobs http://t.co/a1", "Acme cuts 2,000 jobs https://t.co/zz9"),
        ("ACME CUTS JOBS!", "Acme cuts jobs"),
        ("Acme &amp; Co cuts jobs", "Acme & Co cuts jobs."),
    ],
)
def test_copies_have_the_same_form(one: str, other: str) -> None:
    assert story_form(one) == story_form(other)


HEADLINE = "Northmere cuts its yearly outlook after a weak winter"
FLASH = "北岭银行宣布暂停回购"


@pytest.mark.parametrize(
    ("headline", "ending"),
    [
        (HEADLINE, " - Reuters"),
        (HEADLINE, " – The Wall Street Journal"),
        (HEADLINE, " — Yahoo Finance Canada"),
        (HEADLINE, " | CNBC"),
        (HEADLINE, " - The Pinewood Gazette"),
        (HEADLINE, " - Markets News - Reuters | MSN"),
        (HEADLINE, " - example-finance.com"),
        (HEADLINE, " (Reuters)"),
        (HEADLINE, " | Investor's Business Daily"),
        (FLASH, "_新浪财经"),
        (FLASH, " - 财联社"),
        (FLASH, "-新华网"),
        (FLASH, "_财经频道_新浪网"),
        (FLASH, "｜华尔街见闻"),
        (FLASH, "（财联社）"),
        (FLASH, "【来源：证券时报】"),
    ],
)
def test_a_publisher_after_a_headline_does_not_count(headline: str, ending: str) -> None:
    assert story_form(headline + ending) == story_form(headline)
    assert story_form("", headline + ending) == story_form(headline)
    # The description of an aggregator: the title again, the publisher after it.
    name = ending.strip(" -–—|")
    assert story_form(f"{headline}  {name}", headline + ending) == story_form(headline)


@pytest.mark.parametrize(
    ("headline", "kept"),
    [
        ("Fed - what now", "what now"),
        ("Acme - up 5%", "up 5"),
        ("Acme - Bolt talks collapse", "bolt talks collapse"),
        ("Dow Jumps - Nasdaq Falls", "nasdaq falls"),
        ("Oil falls again - OPEC", "opec"),
        ("Fed to hold rates - Powell", "powell"),
        ("Acme deliveries beat forecasts - Good News", "good news"),
        ("Reuters - CNBC", "cnbc"),
        ("北岭电气中标重大项目-国家电网", "国家电网"),
        ("北岭银行公布全年业绩-年报", "年报"),
        ("看好地方银行板块-中信证券", "中信证券"),
    ],
)
def test_a_tail_that_may_be_content_stays(headline: str, kept: str) -> None:
    assert story_form(headline).endswith(kept)


def test_a_publisher_nobody_knows_shows_by_the_description() -> None:
    assert story_form(f"{HEADLINE}  Pinewood Talk", f"{HEADLINE} - Pinewood Talk") == story_form(HEADLINE)
    assert story_form(f"{HEADLINE} - Pinewood Talk", f"{HEADLINE} - Pinewood Talk") != story_form(HEADLINE)


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("", f"【{FLASH}】{FLASH}，复牌时间另行公告。"),
        ("", f"【{FLASH}】财联社11月26日电，{FLASH}，复牌时间另行公告。"),
        ("", f"{FLASH}，复牌时间另行公告。（财联社）"),
        ("", f"{FLASH} | 复牌时间另行公告（来源：证券时报）"),
        ("", f"新华社北京11月26日电（记者 李四）{FLASH}，复牌时间另行公告。"),
        (FLASH, f"{FLASH}，复牌时间另行公告。"),
        (FLASH, "财联社26日讯 " + f"{FLASH}，复牌时间另行公告。"),
        (f"{FLASH}_新浪财经", f"【{FLASH}】{FLASH}，复牌时间另行公告。"),
    ],
)
def test_one_flash_as_several_feeds_tell_it(title: str, text: str) -> None:
    assert story_form(text, title) == story_form(f"{FLASH} 复牌时间另行公告")


@pytest.mark.parametrize(
    ("title", "text"),
    [("", f"【{FLASH}】详情稍后公布。"), (f"{FLASH}_新浪财经", "详情稍后公布。"), (f"快讯：{FLASH}（记者 李四）", "")],
)
def test_headlines_of_flashes_are_told_apart_from_what_surrounds_them(title: str, text: str) -> None:
    assert headline_form(text, title) == story_form(FLASH)
    assert not headline_form(HEADLINE, HEADLINE)
    assert not headline_form(FLASH, "收盘播报")


def test_a_title_counts_once() -> None:
    assert story_form(f"{HEADLINE}. More to follow.", HEADLINE) == story_form(f"{HEADLINE} More to follow")
    assert story_form("More to follow.", HEADLINE) == story_form(f"{HEADLINE} More to follow")
    assert story_form("", HEADLINE) == story_form(HEADLINE, HEADLINE) == story_form(HEADLINE)
    assert story_form("Northmere cuts its yearly outlooks", "Northmere cuts its yearly outlook").count("northmere") == 2


def test_a_dateline_does_not_count() -> None:
    assert story_form(f"NEW YORK, March 7 (Reuters) - {HEADLINE}") == story_form(HEADLINE)


def test_figures_and_tickers_count() -> None:
    assert story_form("Target raised to 120") != story_form("Target raised to 130")
    assert story_form("$ACME up") != story_form("$ACMF up")


def test_urls_are_normalised_where_it_is_safe() -> None:
    assert normalise_urls("see HTTPS://Example.COM/Path?Q=1, now") == "see https://example.com/Path?Q=1, now"
    assert normalise_urls("HTTPS://Example.COM?Id=AbC WWW.E.com#Top") == "https://example.com?Id=AbC www.e.com#Top"
    assert normalise_urls("ftp: https://Me:PassWord@Files.Example/x") == "ftp: https://Me:PassWord@files.example/x"


def test_the_model_sees_no_urls_and_no_names() -> None:
    assert model_input("@joe look: https://t.co/x $ACME falls") == "@user look: $ACME falls"
