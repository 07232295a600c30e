from __future__ import annotations

import pytest

from core.errors import InputError
from ingest.cleaning import clean_message
from ingest.entries import read_entries
from tests.ingest.web_server import item, rss

ADDRESS = "https://desk.example.com/feeds/all.xml"


def titles(document: bytes, content_type: str = "", encoding: str = "") -> list[str]:
    return [str(e.fields["title"]) for e in read_entries(document, content_type, encoding=encoding, address=ADDRESS)]


def declared(title: str, encoding: str = "") -> str:
    head = f'<?xml version="1.0" encoding="{encoding}"?>' if encoding else '<?xml version="1.0"?>'
    return f'{head}<rss version="2.0"><channel><title>Desk</title>{item(title, "1")}</channel></rss>'


@pytest.mark.parametrize(
    ("title", "encoding"),
    [
        ("某银行警告利润下滑，股价下跌", "gbk"),
        ("某銀行警告利潤下滑，股價重挫", "big5"),
        ("銀行大手、業績予想を下方修正", "euc-jp"),
        ("銀行大手、業績予想を下方修正", "shift_jis"),
        ("은행 영업이익 급감 경고", "euc-kr"),
        ("Банк предупредил о падении прибыли", "windows-1251"),
        ("Банк предупредил о падении прибыли", "koi8-r"),
        ("La société réduit son bénéfice", "windows-1252"),
        ("ธนาคารเตือนกำไรลดลง", "tis-620"),
        ("La société réduit son bénéfice", "utf-16"),
        ("某银行警告利润下滑", "utf-16-be"),
        ("La société réduit son bénéfice", "utf-32"),
    ],
)
@pytest.mark.parametrize("said", ["", "utf-8", "iso-8859-1", "gb2312", "made-up"])
def test_a_feed_is_read_whatever_it_and_its_server_declare(title: str, encoding: str, said: str) -> None:
    data = declared(title, said).encode(encoding)
    assert titles(data) == [title]
    assert titles(data, f"application/rss+xml; charset={said}" if said else "text/xml") == [title]
    assert titles(declared(title, said).encode(), f"text/xml; charset={said}") == [title]


def test_one_bad_byte_costs_one_character_and_no_more() -> None:
    data = rss(item("Société Générale avertit", "1"), item("Autre", "2", text="coupé ici XX...")).replace(
        b"XX", b"\xe2\x80"
    )
    second, first = read_entries(data, "application/rss+xml; charset=utf-8")
    assert first.fields["title"] == "Société Générale avertit"
    assert second.fields["text"] == "coupé ici \ufffd..."
    assert not first.doubtful


def test_the_operator_says_how_a_feed_is_encoded() -> None:
    data = declared("Рост").encode("koi8-r")
    assert titles(data, encoding="koi8-r") == ["Рост"]
    assert read_entries(declared("é").encode("cp1252"))[0].doubtful
    assert not read_entries(declared("é").encode("cp1252"), encoding="windows-1252")[0].doubtful


def test_damaged_documents_yield_what_can_be_read() -> None:
    whole = rss(item("One", "1"), item("Two & more &nbsp; <b>x", "2"), item("Three", "3"))
    assert "One" in titles(whole)
    assert "Three" in titles(whole)
    assert "One" in titles(whole[:-60])
    assert titles(b"<br />Warning: disk full in /srv/x.php\n" + rss(item("One", "1"))) == ["One"]
    assert titles(b"notice: cached\n\n" + rss(item("One", "1"))) == ["One"]
    assert titles(b"\x00\n " + rss(item("O\x00n\x0be", "1")))[0].replace("\x0b", "") == "One"


def test_an_escaped_cdata_section_is_no_part_of_the_text() -> None:
    cdata = "&lt;![CDATA[{}]]&gt;"
    entry = item(
        cdata.format("Acme warns"), "1", text=cdata.format("&lt;p&gt;Shares fell&lt;br /&gt;Sales too&lt;/p&gt;")
    )
    (read,) = read_entries(rss(entry))
    message = clean_message(read.fields, source="x")
    assert (message.title, message.text) == ("Acme warns", "Shares fell Sales too")
    twice = rss(item(cdata.replace("&", "&amp;").format("Acme warns"), "1"))
    assert "Acme warns" in clean_message(read_entries(twice)[0].fields, source="x").title


def links(document: bytes) -> list[str]:
    return [str(entry.fields.get("url", "")) for entry in reversed(read_entries(document, address=ADDRESS))]


def test_relative_links_start_from_the_site_the_feed_or_the_document() -> None:
    items = [item("a", "1", "/en/1"), item("b", "2", "//other.example.com/2"), item("c", "3", "three"), item("d", "4")]
    site = "https://news.example.com/"
    assert links(rss(*items, link=site)) == [site + "en/1", "https://other.example.com/2", site + "three", ""]
    here = "https://desk.example.com/"
    assert links(rss(*items, link="")) == [here + "en/1", "https://other.example.com/2", here + "feeds/three", ""]
    assert links(rss(*items, link="/home/")) == [here + "en/1", "https://other.example.com/2", here + "feeds/three", ""]
    assert links(rss(item("a", "1", "javascript:alert(1)"), item("b", "not a link"))) == ["javascript:alert(1)", ""]
    permalinks = rss(item("a", "https://e.com/1"), item("b", "/p/2"), item("c", "p3"), link=site)
    assert links(permalinks) == ["https://e.com/1", site + "p/2", ""]


def test_links_of_atom_start_from_xml_base_or_the_feed_itself() -> None:
    entry = '<entry {}><id>1</id><title>a</title><link rel="enclosure" href="a.mp3"/><link href="x/1"/></entry>'
    head = '<feed xmlns="http://www.w3.org/2005/Atom" {}><link href="https://site.example.com/"/>{}'
    own = '<link rel="self" href="https://feeds.example.com/deep/atom.xml"/>'
    for base, more, at, expected in (
        ("", "", "", "https://desk.example.com/feeds/x/1"),
        ("", own, "", "https://feeds.example.com/deep/x/1"),
        ('xml:base="https://base.example.com/b/"', own, "", "https://base.example.com/b/x/1"),
        ('xml:base="https://base.example.com/b/"', "", 'xml:base="c/"', "https://base.example.com/b/c/x/1"),
        ('xml:base="/b/"', own, "", "https://feeds.example.com/b/x/1"),
    ):
        document = head.format(base, more) + entry.format(at) + "</feed>"
        assert links(document.encode()) == [expected], (base, more, at)


PAGE = "<!doctype html><html><head><title>The   Desk</title>{}</head><body><h1>News</h1></body></html>"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            PAGE.format('<link rel="alternate" type="application/rss+xml" href="/rss.xml">'),
            "https://desk.example.com/rss.xml",
        ),
        (PAGE.format('<LINK TYPE="application/atom+xml" REL="ALTERNATE home" HREF="a.atom">'), "/feeds/a.atom"),
        (
            PAGE.format('<base href="https://e.com/b/"><link rel=alternate type=application/rss+xml href=r>'),
            "https://e.com/b/r",
        ),
        (
            PAGE.format('<link rel="alternate" type="application/feed+json" href="/f.json">'),
            "/f.json; put that into feeds.toml",
        ),
        (
            PAGE.format('<meta http-equiv="Refresh" content="0; URL=\'/moved.xml\'">'),
            "https://desk.example.com/moved.xml",
        ),
        (PAGE.format(""), "a web page titled 'The Desk'; it names no feed"),
        (PAGE.format("").replace("News", '<form><input type="password"></form>'), "asks for a login"),
        (PAGE.format("").replace("The   Desk", "Just a moment..."), "checks for robots"),
        ('\ufeff <html lang="en"><body>hello', "a web page"),
        ("<!-- <rss> --><html><body><rss version='2.0'></rss>", "a web page"),
        ('{"error": "key missing"}', "JSON ('key missing')"),
        ("[1, 2", "something like JSON"),
        ("", "empty"),
        (" \r\n\t", "empty"),
        ('<?xml version="1.0"?><opml version="2.0"><body/></opml>', "list of feeds"),
        ('<?xml version="1.0"?><urlset></urlset>', "a site map"),
        ('<?xml version="1.0"?><catalogue></catalogue>', "<catalogue>"),
        ("Service unavailable", "no RSS or Atom feed"),
    ],
)
def test_what_is_no_feed_is_called_what_it_is(document: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        read_entries(document.encode(), address=ADDRESS)
    assert said in str(refused.value)
    assert "no RSS or Atom feed" in str(refused.value)


def test_a_page_is_known_by_its_type_too() -> None:
    with pytest.raises(InputError, match="a web page"):
        read_entries(b"<p>Please wait</p>", "text/html; charset=utf-8", address=ADDRESS)
    assert titles(rss(item("One", "1")), "text/html") == ["One"]


def test_a_feed_without_entries_is_a_feed() -> None:
    assert read_entries(rss()) == []
