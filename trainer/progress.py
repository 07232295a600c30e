"""How far a long step has come, on standard error."""

from __future__ import annotations

from contextlib import AbstractContextManager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from core.terminal import PlainConsole


def progress_bar(quiet: bool, transient: bool = False) -> Progress:
    """A bar with a description, steps done and time left, which goes when it is done if `transient`; nothing is shown
    where `quiet`."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=PlainConsole(stderr=True), disable=quiet, transient=transient)


def busy(title: str, quiet: bool) -> AbstractContextManager[object]:
    """A sign that `title` is under way, where steps can't be counted; nothing is shown where `quiet`."""
    return PlainConsole(stderr=True, quiet=quiet).status(Text(title))
