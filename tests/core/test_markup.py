from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.text import clean, model_input

PIECES = (
    "<p> </p> <a> </a> <b <i> <script> </script> <svg> </svg> <!-- --> <![CDATA[ ]]> &amp; &lt; &gt; &#38; amp; lt; & "
    "< > ; # \" ' = \n \x1d \x1e \x1f \u200b \u0301 \u037e Acme x 5 茅台 责任编辑：王 （编辑：李） Share~this "
    "Read~more The~post~x~appeared~first~on~y <img~alt='a' <li> <br/> <T.N> &ampamp &#x26 &#8203;"
)
pieces = st.sampled_from(PIECES.split(" "))
hostile_text = st.lists(pieces, max_size=25).map(lambda words: "".join(words).replace("~", " "))


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("&lt;![CDATA[Orion cuts its outlook]]&gt;", "Orion cuts its outlook"),
        ("<![CDATA[Orion cuts its outlook]]>", "Orion cuts its outlook"),
        ("<![cdata[ Orion ]]> and <![CDATA[Vega]]>", "Orion and Vega"),
        ("<![CDATA[<p>Orion <em>sinks</em><br/>Vega rises</p>]]>", "Orion sinks Vega rises"),
        ("&lt;![CDATA[&lt;p&gt;Orion sinks&lt;/p&gt;&lt;p&gt;Vega rises&lt;/p&gt;]]&gt;", "Orion sinks Vega rises"),
        ("&amp;lt;![CDATA[Orion &amp;amp; Vega]]&amp;gt;", "Orion & Vega"),
        ("<![CDATA[<![CDATA[Orion]]]]><![CDATA[>]]>", "Orion"),
        ("<![CDATA[Orion cuts its out", "Orion cuts its out"),
        ("Orion cuts its outlook]]>", "Orion cuts its outlook"),
        ("<!--[CDATA[Orion sinks]]-->", "Orion sinks"),
    ],
)
def test_the_content_of_cdata_sections_is_text(raw: str, plain: str) -> None:
    assert clean(raw) == plain


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("Sales fell.<p>Costs rose.", "Sales fell. Costs rose."),
        ("<p>One<p>Two<p>Three", "One Two Three"),
        ("<ul><li>$AAPL<li>$MSFT</ul>up", "$AAPL $MSFT up"),
        ("<tr><th>Sales<th>Profit<tr><td>9.1<td>0.4", "Sales Profit 9.1 0.4"),
        ("He said:<blockquote>No.</blockquote>Shares sank.", "He said: No. Shares sank."),
        ("<dl><dt>EPS<dd>1.10<dt>DPS<dd>0.20</dl>", "EPS 1.10 DPS 0.20"),
        ("one<br>two<BR/>three<hr>four<div class='x'>five", "one two three four five"),
        ("<h2>Outlook</h2>Weak<h3 id=a>Costs</h3>High", "Outlook Weak Costs High"),
        ("<figure><img src=x><figcaption>The plant</figcaption></figure>It closes.", "The plant It closes."),
        ("<section>A</section><aside>B</aside><article>C</article>", "A B C"),
        ("<option>Buy<option>Sell", "Buy Sell"),
        ("<a href=1>$KO</a><a href=2>$PEP</a>", "$KO $PEP"),
        ("un<b>believ</b>able <span>H</span><sub>2</sub>O", "unbelievable H2O"),
        ("<item><ticker>KO</ticker><ticker>PEP</ticker></item>", "KO PEP"),
    ],
)
def test_blocks_stay_apart_and_words_together(raw: str, plain: str) -> None:
    assert clean(raw) == plain


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("AT&T and S&P 500, R&D, Q&A, M&A", "AT&T and S&P 500, R&D, Q&A, M&A"),
        ("AT&ampT, P&amp;amp;G, S&amp;amp;amp;P", "AT&T, P&G, S&P"),
        ("up 5&nbsp%&nbsptoday", "up 5 % today"),
        ("caf&eacute; &copy 2026 &reg; &hellip;", "café © 2026 ® …"),
        ("see x.com/?a=1&copy=2&lt=3&para=4", "see x.com/?a=1&copy=2&lt=3&para=4"),
        ("Vega&#8217;s and Orion&#x2019;s and Lyra&#146;s", "Vega’s and Orion’s and Lyra’s"),
        ("&unknown; &; &# &#x; &#xzz;", "&unknown; &; &# &#x; &#xzz;"),
        ("&#" + "9" * 5000 + ";", "&#" + "9" * 5000 + ";"),
        ("EPS &lt; 5 &gt; 3", "EPS < 5 > 3"),
    ],
)
def test_ampersands(raw: str, plain: str) -> None:
    assert clean(raw) == plain


@pytest.mark.parametrize(
    "raw",
    [
        "EPS <5 cents",
        "a < b > c",
        "if a<b and c>d then",
        "x<y and y>z",
        "spread <expected> by the desk",
        "Johnson <JNJ.N> fell, <0700.HK> rose, <.SPX> flat",
        "I <3 this stock <- really ->",
        "profit <!> loss <?>",
        "mail <desk@example.com>",
        "margin <10% and cost<",
    ],
)
def test_signs_of_comparison_are_no_tags(raw: str) -> None:
    assert clean(raw) == raw


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("<script>if (a<b) alert('</p>')</script>Shares sank", "Shares sank"),
        ("<style>p{color:red}</style>Shares sank<script src=x />.", "Shares sank."),
        ("<template><p>hidden</p><template>x</template>y</template>Shares sank", "Shares sank"),
        ("<svg viewBox='0 0 1 1'><title>icon</title><svg></svg><path d=''/></svg>Shares sank", "Shares sank"),
        ("<noscript><img src=pixel></noscript><iframe>x</iframe>Shares sank", "Shares sank"),
        ("<svg>Shares sank", "Shares sank"),
        ("Shares sank<script>var never = 'ends'", "Shares sank"),
        ("<!-- note <p> -->Shares<!----> sank<!-->", "Shares sank"),
        ("Shares <!-- sank", "Shares sank"),
        ("<?xml version='1.0'?><!DOCTYPE html><![if gte mso 9]>Shares sank<![endif]>", "Shares sank"),
        ("<a title='5 > 3' data-x=\"<p>\">Shares</a> sank", "Shares sank"),
        ("<o:p></o:p><x-card>Shares sank</x-card>", "Shares sank"),
    ],
)
def test_what_is_not_for_reading_goes(raw: str, plain: str) -> None:
    assert clean(raw) == plain


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("To the moon <img class='emoji' alt='🚀' src=x>", "To the moon 🚀"),
        ("<p>Shares sank</p><img alt='A chart of the shares' src=x>", "Shares sank"),
        ("<img src=x alt='Orion shares sink after warning'>", "Orion shares sink after warning"),
        ("<p>Shares sank<img width=1 height=1 src='http://t.example/p.gif'></p>", "Shares sank"),
    ],
)
def test_images_speak_where_nothing_else_does(raw: str, plain: str) -> None:
    assert clean(raw) == plain


@given(hostile_text)
@example("Shares sank.（编辑：李）]]>（编辑：王）]]&gt;")
@example("-->（编辑：李）&#93;&#93;&gt;")
def test_cleaning_twice_is_cleaning_once(raw: str) -> None:
    once = clean(raw)
    assert clean(once) == once


@given(st.text(alphabet=st.characters(codec=None), max_size=200))
def test_cleaning_any_text_twice_is_cleaning_once(raw: str) -> None:
    once = clean(raw)
    assert clean(once) == once


def test_the_model_reads_no_reuters_codes() -> None:
    assert model_input("Johnson <JNJ.N> fell 2%") == "Johnson fell 2%"


HOSTILE = [
    "<div>", "<b>", "<a href=x>", "<p><i>", "<", "<<b>b>", "&amp;", "&ampamp", "&lt;b&gt;", "&#", "<!--", "<![CDATA[",
    "<svg>", "<svg></b>", "<template>x</template ", '<a b="', "<a b='<a c=\"", "<a = = ", "<a ", "</x", "<zz>",
    "<img alt='", "<table><tr><td>", "<a><b><i><font>", "<a>Read more</a>", "<a>Read more", "Read more<br>", "Share\n",
    "The post a appeared first on b. ", "责任编辑：", "<p>Share this</p><p>Email</p>", "\u200b<\u0338",
]  # fmt: skip
# Superlinear code would take hours on the longer inputs and be ended by its limit; linear code takes seconds.
PROGRAM = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (240, 240))
from core.text import clean
for unit in json.load(sys.stdin):
    for length in (1_000, 400_000):
        text = unit * (length // len(unit))
        assert len(clean(text)) <= len(text), unit
for length in (1_000, 400_000):
    assert clean("&" + "amp;" * length + "lt;b>x") == "x"
"""


def test_time_is_linear_in_hostile_input() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", PROGRAM], input=json.dumps(HOSTILE).encode(), env=environment, check=True)
