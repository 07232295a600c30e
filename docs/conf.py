"""Sphinx: the pages of docs/ as a site. `make docs` builds it into build/docs, where warnings are errors."""

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
