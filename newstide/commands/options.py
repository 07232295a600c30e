"""Options that several commands share, as one tuple each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Command = Callable[..., Any]


def with_options(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    """`command` with click's `options`, listed by --help in their order."""
    for option in reversed(options):
        command = option(command)
    return command
