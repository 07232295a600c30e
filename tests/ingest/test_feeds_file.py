from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.errors import InputError
from ingest.entries import read_entries
from ingest.feeds import Feed
from ingest.feeds_file import load_feeds_file

Write = Callable[[str, str | bytes], Path]
EXAMPLE = Path(__file__).parents[2] / "feeds.example.toml"

RSS = b"""<?xml version="1.0"?><rss version="2.0"><channel><title>t</title><language>en-us</language>
<item><title>Second</title><link>https://e.com/2</link><guid>g2</guid><description>&lt;b&gt;Two&lt;/b&gt;</description>
<pubDate>Thu, 02 Jan 2014 03:04:05 EST</pubDate></item>
<item><title>First</title><link>https://e.com/1</link></item></channel></rss>"""
ATOM = b"""<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>t</title>
<entry><id>urn:1</id><title>One</title><updated>2014-01-02T03:04:05+01:00</updated>
<author><name>A. Writer</name></author><link href="https://e.com/1"/>
<content type="html">&lt;p&gt;Body&lt;/p&gt;</content>
<summary>short</summary></entry></feed>"""


def test_the_example_file_is_valid_as_it_is_and_uncommented(write: Write) -> None:
    beginner = load_feeds_file(EXAMPLE)
    assert [feed.source for feed in beginner.feeds] == ["BBC Business", "中新网财经"]
    assert beginner.sources == []
    lines = EXAMPLE.read_text().partition("# Two public")[2].splitlines()[1:]
    everything = [line.removeprefix("# ") for line in lines if " = " in line or line.endswith("]]")]
    whole = load_feeds_file(write("whole.toml", "\n".join(everything)))
    assert {feed.kind for feed in whole.feeds} == {"news", "comment"}
    assert (len(whole.feeds), len(whole.sources)) == (5, 3)


def test_a_feed_with_all_its_keys(write: Write) -> None:
    path = write(
        "f.toml",
        '[[feed]]\nsource = " S&P  新闻 "\nurl = "https://e.com/x"\nkind = "comment"\ninterval_s = 60\n'
        'headers = { X-Key = "k" }\nencoding = "GBK"\n',
    )
    assert load_feeds_file(path).feeds == [Feed("S&P 新闻", "https://e.com/x", "comment", 60.0, {"X-Key": "k"}, "GBK")]


def test_a_feed_may_state_how_its_times_are_written(write: Write) -> None:
    text = '[[feed]]\nsource = "a"\nurl = "https://e.com/x"\nday_first = true\ntime_zone = "Europe/Berlin"\n'
    (feed,) = load_feeds_file(write("f.toml", text)).feeds
    document = RSS.replace(b"Thu, 02 Jan 2014 03:04:05 EST", b"02/07/2014 03:04")
    published = [entry.fields.get("published_at") for entry in read_entries(document, times=feed.times)]
    assert published == [None, datetime(2014, 7, 2, 1, 4, tzinfo=UTC)]
    assert read_entries(document)[1].fields["published_at"] == "02/07/2014 03:04"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"no \[\[feed\]\]"),
        ("[[feed]\n", "not valid TOML"),
        ('[feed]\nsource = "a"', "two brackets"),
        ('[[fed]]\nsource = "a"', "unknown key `fed`"),
        ('[[feed]]\nsuorce = "a"\nurl = "https://e.com"', "did you mean `source`"),
        ('[[feed]]\nsource = " "\nurl = "https://e.com"', "`source` is ' '"),
        ('[[feed]]\nsource = 7\nurl = "https://e.com"', "`source` is 7"),
        ('[[feed]]\nsource = "a"\nurl = "https://e.com"\nencoding = "klingon"', "no encoding is called 'klingon'"),
        ('[[feed]]\nsource = "a"\nurl = "https://e.com"\nencoding = 5', "`encoding`"),
        ('[[feed]]\nsource = "a"\nurl = "https://e.com"\nday_first = "yes"', "`day_first` is 'yes'"),
        ('[[feed]]\nsource = "a"\nurl = "https://e.com"\nprivate = 1', "`private` is 1"),
        ('[[feed]]\nsource = "a"\nurl = "https://e.com"\ntime_zone = "Mars"', "'Mars' is not known"),
        (
            '[[feed]]\nsource = "A B"\nurl = "https://e.com"\n[[feed]]\nsource = "a-b"\nurl = "https://f.com"',
            "`A B` and `a-b`",
        ),
        ('[[feed]]\nsource = "a"\nurl = "file:///etc/passwd"', "`url` is"),
        ('[[feed]]\nsource = "a"\nurl = "https://e.com:99999"', "`url` is"),
        ('[[feed]]\nsource = "a"\nurl = "https://e.com"\nkind = "x"', "`kind` is 'x'"),
        ('[[feed]]\nsource = "a"\nurl = "https://e.com"\ninterval_s = 0', "`interval_s` is 0"),
        ('[[feed]]\nsource = "a"\nurl = "https://e.com"\ninterval_s = true', "`interval_s` is True"),
        ('[[feed]]\nsource = "a"\nurl = "https://e.com"\nheaders = { a = 1 }', "`headers`"),
        ('[[feed]]\nsource = "a"\nurl = "https://e.com"\nheaders = { a = "k " }', "without spaces around them"),
        ('[[feed]]\nsource = "a"\nurl = "https://e.com"\n[[feed]]\nsource = "a"\nurl = "https://f.com"', "two feeds"),
    ],
)
def test_faults_are_named(write: Write, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_feeds_file(write("f.toml", text))


def test_a_missing_feeds_file_says_where_to_begin(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"feeds.example.toml"):
        load_feeds_file(tmp_path / "none.toml")


def test_rss_entries_oldest_first() -> None:
    first, second = read_entries(RSS)
    assert first.fields["title"] == "First"
    assert first.fields["url"] == "https://e.com/1"
    assert "id" not in first.fields
    assert second.fields == {
        "id": "g2",
        "title": "Second",
        "text": "<b>Two</b>",
        "url": "https://e.com/2",
        "published_at": datetime(2014, 1, 2, 8, 4, 5, tzinfo=UTC),
        "language": "en-us",
    }
    assert first.digest != second.digest


def test_atom_content_is_preferred_to_the_summary() -> None:
    (entry,) = read_entries(ATOM, "application/atom+xml")
    assert entry.fields["text"] == "<p>Body</p>"
    assert entry.fields["author"] == "A. Writer"
    assert entry.fields["published_at"] == datetime(2014, 1, 2, 2, 4, 5, tzinfo=UTC)


def test_a_digest_changes_with_the_content_only() -> None:
    assert read_entries(RSS)[0].digest == read_entries(RSS)[0].digest
    assert read_entries(RSS)[0].digest != read_entries(RSS.replace(b"First", b"Fixed"))[0].digest


@pytest.mark.parametrize(
    "document", [b"", b"\x00\xff" * 100, b"<html><body>Not here</body></html>", b"{}", b"/etc/passwd"]
)
def test_what_is_no_feed_is_refused(document: bytes) -> None:
    with pytest.raises(InputError, match="no RSS or Atom feed"):
        read_entries(document)


def test_entities_are_neither_expanded_without_bound_nor_fetched(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("do not read me")
    nested = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    for doctype, body in [
        (f'<!ENTITY a0 "lol">{nested}', "&a9;"),
        (f'<!ENTITY x SYSTEM "file://{secret}">', "&x;"),
    ]:
        item = f"<item><title>T {body}</title></item>"
        document = f'<!DOCTYPE rss [{doctype}]><rss version="2.0"><channel>{item}</channel></rss>'
        for entry in read_entries(document.encode()):
            assert "do not read me" not in str(entry.fields)
            assert len(str(entry.fields)) < 10_000
