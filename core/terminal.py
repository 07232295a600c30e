"""Writing to a terminal what strangers wrote: no markup is read in it, and nothing in it steers the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

LAYOUT = "\n\t"


def printable(text: str, keep: str = "") -> str:
    """`text` with a space for each character that could steer a terminal, but for those in `keep`."""
    return "".join(character if character.isprintable() or character in keep else " " for character in text)


class PlainConsole(Console):
    """A rich console that shows every `str` as it stands. What is styled on purpose is a `rich.text.Text`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text, LAYOUT), **options)
