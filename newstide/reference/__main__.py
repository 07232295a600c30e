"""`python -m newstide.reference [DIRECTORY]`: write the pages that follow from the code, into docs by default."""

from __future__ import annotations

import sys
from pathlib import Path

from newstide.commands.administration import metrics_document, settings_document
from newstide.reference.api import api_page
from newstide.reference.commands import commands_page
from newstide.reference.records import topics_page
from newstide.reference.tables import tables_page

PAGES = {
    "settings.md": settings_document,
    "metrics.md": metrics_document,
    "reference/commands.md": commands_page,
    "reference/api.md": api_page,
    "reference/topics.md": topics_page,
    "reference/tables.md": tables_page,
}


def main(directory: Path) -> None:
    """Write all pages."""
    (directory / "reference").mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (directory / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
