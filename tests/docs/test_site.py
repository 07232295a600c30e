"""The site builds without a warning, every link leads somewhere, and no page asks another host for anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, REPOSITORY

_ASKED = re.compile(r"<(?:link|script|img|iframe|source)\b[^>]*?(?:href|src)=[\"'](?:https?:)?//", re.IGNORECASE)
_FETCHED = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", re.IGNORECASE)
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", f"{out}/doctrees", DOCS, out / "html"]
    built = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=200, check=False)
    assert built.returncode == 0, built.stderr
    return out / "html"


def test_every_page_is_built(site: Path) -> None:
    pages = {page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")}
    assert pages - {page.relative_to(site) for page in site.rglob("*.html")} == set()


def test_no_other_host_is_asked(site: Path) -> None:
    """Pages link to others; they load nothing from them."""
    files = [*site.rglob("*.html"), *site.rglob("*.css"), *site.rglob("*.svg")]
    assert any(file.suffix == ".css" for file in files)
    asked = [file.name for file in files for text in [file.read_text(encoding="utf-8")]
             if _FETCHED.search(text) or (file.suffix == ".html" and _ASKED.search(text))]  # fmt: skip
    assert asked == []


def test_links_outside_of_the_site_lead_somewhere() -> None:
    pages = [REPOSITORY / "README.md", REPOSITORY / "benchmarks" / "detection" / "README.md"]
    broken = [
        f"{page.name}: {link}"
        for page in pages
        for link in _LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert broken == []
