"""Sphinx: the pages of docs/ as a site. `make docs` builds it into build/docs, where warnings are errors."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

project = "newstide"
extensions = ["myst_parser"]
root_doc = "index"
nitpicky = True
myst_heading_anchors = 4  # links such as alerting.md#backtest, as code hosts resolve them

html_theme = "furo"  # its fonts are the reader's own, its scripts are files of the site
html_title = "newstide"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_use_index = False

_HERE = Path(__file__).parent
_MARKDOWN = re.compile(r"\]\(((?:\.\./)+[^)#]+\.md)(?:#[^)]*)?\)")


def setup(app: Sphinx) -> None:
    app.connect("source-read", _link_files)


def _link_files(app: Sphinx, page: str, source: list[str]) -> None:
    """Markdown outside of docs/ is no page of the site: links to it lead to the file."""

    def rewritten(link: re.Match[str]) -> str:
        target = ((_HERE / page).parent / link[1]).resolve()
        return link[0] if target.is_relative_to(_HERE) else f"](path:{link[1]})"

    source[0] = _MARKDOWN.sub(rewritten, source[0])
