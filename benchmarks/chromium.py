"""The browser of what draws the pages of the desk: benchmark, tests, the picture of the README."""

from __future__ import annotations

import shutil

# The first has the engine alone, and takes a quarter less of a processor.
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """Path of the program; None where none is installed."""
    return next(filter(None, map(shutil.which, _NAMES)), None)
