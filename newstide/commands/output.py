"""What commands show: tables on a console, and how far a long step has come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from core.terminal import PlainConsole
from trainer.progress import progress_bar

_WIDE = 240  # columns; nothing cuts lines there, and a figure that is cut off is lost


def open_console(*, stderr: bool = False) -> Console:
    """Standard output or error: a terminal as wide as it is, a log or a pipe as wide as any table needs."""
    stream = sys.stderr if stderr else sys.stdout
    return PlainConsole(stderr=stderr, width=None if stream.isatty() else _WIDE)


@contextmanager
def ticking(title: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal's standard error while `total` parts of a long step are done; call what is given after
    each."""
    with progress_bar(quiet=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda: progress.advance(task)


@contextmanager
def counted_lines(path: Path, title: str) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's standard error while the lines of `path` are worked through; call what is given with how
    many are done."""
    shown = sys.stderr.isatty()
    with progress_bar(quiet=not shown, transient=True) as progress:
        task = progress.add_task(title, total=_count_lines(path) if shown else None)
        yield lambda done: progress.update(task, completed=done)


def _count_lines(path: Path) -> int | None:
    """None of what can be read once only, or not at all, which its reader will say."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    except OSError:
        return None
