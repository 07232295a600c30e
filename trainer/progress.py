"""How far a long step has come, on standard error, and what its epochs gave."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from core.terminal import PlainConsole

if TYPE_CHECKING:
    from trainer.learn.training_loop import Epoch


def progress_bar(quiet: bool, transient: bool = False) -> Progress:
    """A bar with a description, steps done and time left, which goes when it is done if `transient`; nothing is shown
    where `quiet`."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=PlainConsole(stderr=True), disable=quiet, transient=transient)


def busy(title: str, quiet: bool) -> AbstractContextManager[object]:
    """A sign that `title` is under way, where steps can't be counted; nothing is shown where `quiet`."""
    return PlainConsole(stderr=True, quiet=quiet).status(Text(title))


def epoch_line(log: Callable[[str], None]) -> Callable[[Epoch], None]:
    """A callback that gives `log` one line per epoch."""

    def on_epoch(epoch: Epoch) -> None:
        figures = "; ".join(
            f"{score.task} accuracy {score.accuracy:.4f}, macro-F1 {score.macro_f1:.4f}"
            for score in epoch.validation.values()
        )
        log(f"epoch {epoch.number}: loss {epoch.loss:.4f}; validation {figures}")

    return on_epoch
