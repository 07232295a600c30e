"""Documents that unfold, include files or nest without end are read as what they are, or refused."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from core.errors import InputError
from ingest.entries import read_entries

ITEM = "<item><title>Acme cuts its forecast</title><description>{}</description></item>"
LAUGHS = "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 30))
BOMBS = {
    "exponential": f"<!DOCTYPE rss [<!ENTITY a0 'ha'>{LAUGHS}]>",
    "quadratic": f"<!DOCTYPE rss [<!ENTITY a29 '{'ha' * 100_000}'>]>",
    "of parameters": "<!DOCTYPE rss [<!ENTITY % p0 'ha'>"
    + "".join(f"<!ENTITY % p{n} '{f'%p{n - 1};' * 10}'>" for n in range(1, 20))
    + "<!ENTITY a29 'x'>]>",
}


def document(doctype: str, text: str) -> bytes:
    return f'<?xml version="1.0"?>{doctype}<rss version="2.0"><channel>{ITEM.format(text)}</channel></rss>'.encode()


def texts(content: bytes) -> str:
    """All text that is read of a feed; empty where it is refused."""
    try:
        return " ".join(str(value) for entry in read_entries(content) for value in entry.fields.values())
    except InputError:
        return ""


@pytest.mark.parametrize("kind", BOMBS)
def test_entities_unfold_to_little(kind: str) -> None:
    content = document(BOMBS[kind], "&a29;" * 2_000)
    assert len(content) < 300_000
    tracemalloc.start()
    try:
        read = texts(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(read) < 20_000_000
    assert peak < 200_000_000


@pytest.mark.parametrize("outside", ["SYSTEM 'file://{}'", "PUBLIC '-//X' 'file://{}'", "SYSTEM '{}'"])
def test_no_other_file_is_read(outside: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the-secret-word")
    place = outside.format(secret)
    for doctype, text in (
        (f"<!DOCTYPE rss [<!ENTITY x {place}>]>", "before &x; after"),
        (f"<!DOCTYPE rss [<!ENTITY % x {place}> %x;]>", "before"),
        (f"<!DOCTYPE rss {place}>", "before"),
        ("", f'<x xmlns:i="http://www.w3.org/2001/XInclude"><i:include href="file://{secret}" parse="text"/></x>'),
    ):
        assert "the-secret-word" not in texts(document(doctype, text))


@pytest.mark.parametrize("depth", [20_000])
def test_depth_costs_nothing_but_the_document(depth: int) -> None:
    deep = "<b>" * depth + "x" + "</b>" * depth
    assert "Acme" in texts(document("", deep)) or texts(document("", deep)) == ""
    assert "Acme" in texts(document("", deep.replace("<", "&lt;")))
