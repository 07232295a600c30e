"""Pieces of Markdown that hold any text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table; cells are Markdown of one line each. No lines where there are no rows."""
    body = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |".replace("  |", " |") for row in rows]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *body] if body else []


def plain(text: str) -> str:
    """`text` on one line, in which nothing outside code spans is taken for a tag."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else part.replace("<", "\\<") for part in parts)


def code(text: str) -> str:
    """`text` as a code span; nothing where it is empty."""
    return f"`{text}`" if text else ""


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a docstring, each on one line with an empty one before it."""
    found = (plain(part) for part in re.split(r"\n\s*\n", text))
    return [line for part in found if part for line in ("", part)]
