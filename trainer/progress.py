"""How far a long step has come, on standard error."""

from __future__ import annotations

from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def progress_bar(quiet: bool, transient: bool = False) -> Progress:
    """A bar with a description, steps done and time left, which goes when it is done if `transient`; nothing is shown
    where `quiet`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=quiet, transient=transient)


def busy(title: str, quiet: bool) -> AbstractContextManager[object]:
    """A sign that `title` is under way, where steps can't be counted; nothing is shown where `quiet`."""
    return Console(stderr=True, quiet=quiet).status(title)
