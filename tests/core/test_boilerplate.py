from __future__ import annotations

import pytest

from core.text import clean

STORY = "Orion cut its outlook on Monday."


@pytest.mark.parametrize(
    "last",
    [
        "Share on Facebook",
        "Share this article on Twitter",
        "Share this:",
        "Click to share on LinkedIn (Opens in new window)",
        "Click here to read the full story",
        "Read more",
        "Read more »",
        "[Read more]",
        "Read more at The Daily Ledger",
        "Read the full story",
        "View original article",
        "Continue reading Orion cut its outlook →",
        "The post Orion cut its outlook appeared first on The Daily Ledger.",
        "This article originally appeared on The Daily Ledger.",
        "© 2026 The Daily Ledger. All rights reserved.",
        "Copyright 2026, Ledger Media",
        "(c) 2026 Ledger Media. All Rights Reserved.",
        "All rights reserved.",
        "Follow us on Facebook, Twitter and LinkedIn",
        "Sign up for our daily newsletter",
        "Subscribe to our channel",
        "Leave a comment",
        "Advertisement",
        "Like this:",
        "责任编辑：王小明",
        "（责编: 李华）",
        "点击查看全文",
        "点击下载客户端",
        "分享到微信",
        "分享到：微信 微博 朋友圈",
        "阅读原文",
        "扫描二维码关注我们",
        "更多精彩内容，请关注财经公众号",
    ],
)
def test_the_last_block_goes(last: str) -> None:
    assert clean(f"<p>{STORY}</p><p>{last}</p>") == STORY
    assert clean(f"{STORY}\n\n{last}") == STORY
    assert clean(f"&lt;p&gt;{STORY}&lt;/p&gt;&lt;div&gt;{last}&lt;/div&gt;") == STORY
    assert clean(f"{STORY}<br><a href='x'>{last}</a><img src=pixel width=1>") == STORY
    assert clean(last) == last, "a text that is nothing else stays"


@pytest.mark.parametrize(
    "inside",
    [
        "Read more books, the chairman said.",
        "Copyright suit against Orion dismissed",
        "Click through rates fell 5%",
        "Facebook",
        "Share buybacks continue",
        "Print sales fell 12%",
        "Advertisement revenue fell",
        "More",
        "Subscribers left",
        "分享经济公司上涨",
        "编辑部大楼出售",
        "关注美联储会议",
    ],
)
def test_a_story_is_left_alone(inside: str) -> None:
    assert clean(f"<p>{STORY}</p><p>{inside}</p><p>{STORY}</p>") == f"{STORY} {inside} {STORY}"
    assert clean(f"{STORY} {inside}") == f"{STORY} {inside}"
    assert clean(f"<p>{STORY}</p><p>{inside}</p>") == f"{STORY} {inside}"


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        (f"<p>{STORY}</p><ul><li>Share this</li><li>Facebook</li><li>Email</li><li>12</li></ul>", STORY),
        ("Losers:<ul><li>Facebook<li>Twitter</ul><p>Share on Twitter</p>", "Losers: Facebook Twitter"),
        (f"<p>{STORY} <a>Continue reading</a></p>", STORY),
        (f"<p>{STORY} &hellip; <a>Read more <span>about Orion</span></a></p><p>Share on X</p>", f"{STORY} …"),
        (f"<p><a>Read more</a> {STORY}</p>", f"Read more {STORY}"),
        (f"{STORY} The post Orion cut its outlook appeared first on Ledger Daily.", STORY),
        (f"{STORY}（责任编辑：王小明）", STORY),
        ("茅台股价上涨。责任编辑：王小明", "茅台股价上涨。"),
        ("Read more: http://t.co/x\n$ACME $KO", "Read more: http://t.co/x $ACME $KO"),
        (f"<p>Share on Facebook</p><p>{STORY}</p>", STORY),
        ("<p>Read more</p><p>Share this:</p>", "Read more Share this:"),
    ],
)
def test_bars_links_and_last_words(raw: str, plain: str) -> None:
    assert clean(raw) == plain
