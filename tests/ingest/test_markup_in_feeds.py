"""Markup as feeds send it, from the document to the clean message."""

from __future__ import annotations

from ingest.cleaning import clean_message
from ingest.entries import read_entries

FEED = """<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0"><channel><title>Wire</title><link>https://wire.example.com/</link>
<item><title>&lt;![CDATA[Orion cuts its outlook]]&gt;</title><guid>a1</guid><link>https://wire.example.com/a1</link>
<description>&lt;![CDATA[&lt;p&gt;Shares of &lt;b&gt;Orion&lt;/b&gt; sank 9%&lt;br /&gt;Costs rose&lt;/p&gt;
&lt;p&gt;Share on Facebook&lt;/p&gt;]]&gt;</description></item>
<item><title>R&amp;amp;D at AT&amp;T: EPS &lt;5 cents</title><guid>a2</guid><link>https://wire.example.com/a2</link>
<description><![CDATA[<ul><li>$KO<li>$PEP</ul><script>track()</script>
<p>Continue reading <a href="x">R&D</a></p>]]></description>
</item></channel></rss>"""


def test_escaped_sections_lists_and_signs_of_a_feed() -> None:
    newest, oldest = (
        clean_message(entry.fields, source="wire")
        for entry in reversed(read_entries(FEED.encode(), "application/rss+xml"))
    )
    assert (newest.title, newest.text) == ("Orion cuts its outlook", "Shares of Orion sank 9% Costs rose")
    assert (oldest.title, oldest.text) == ("R&D at AT&T: EPS <5 cents", "$KO $PEP")
