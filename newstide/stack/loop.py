"""The loop of a running stack: look after it, show it, and end it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from newstide.stack.background import DATABASE_AWAY, Task
from newstide.stack.observer import Summary
from newstide.stack.screen import Snapshot
from newstide.stack.stack import Stack
from newstide.stack.supervisor import TICK_S, catch_stop_signals

_SHOW_EVERY_S = 0.5
_DRAIN_AT_STOP_S = 10.0
_SUMMARISE_WITHIN_S = 10.0


def run(stack: Stack, *, until_drained: bool = False, show: Callable[[Snapshot], None] = lambda snapshot: None) -> bool:
    """Start the stack and look after it until it has drained, where that is asked for, or a stop signal comes.

    `show` is given what there is to see twice a second. True if the stack has drained.
    """
    next_show = 0.0
    with catch_stop_signals() as stopping:
        try:
            stack.start()
            while not stopping():
                stack.poll()
                if time.monotonic() >= next_show:
                    next_show = time.monotonic() + _SHOW_EVERY_S
                    show(take_snapshot(stack))
                if until_drained and stack.has_drained():
                    return True
                time.sleep(TICK_S)
        finally:
            _stop_ingest(stack)
    return False


def take_snapshot(stack: Stack) -> Snapshot:
    """The stack as it was last seen; its processes as they are now."""
    seen = stack.observer.latest
    snapshot = Snapshot() if seen is None else seen.snapshot
    return replace(snapshot, processes=stack.processes(), desk=stack.desk if stack.desk_answers() else "")


def summarise(stack: Stack) -> Summary | None:
    """Totals of the store; None while the database is away."""
    seen = stack.observer.latest
    if seen is not None and seen.summary is not None and stack.has_drained():
        return seen.summary
    try:
        return Task(stack.observer.summarise).result(_SUMMARISE_WITHIN_S)
    except (TimeoutError, *DATABASE_AWAY):
        return None


def _stop_ingest(stack: Stack) -> None:
    """End what brings records in, and give the workers a moment with what an in-memory broker would forget."""
    stack.stop_ingest()
    deadline = time.monotonic() + _DRAIN_AT_STOP_S
    while stack.loses_uncommitted() and time.monotonic() < deadline:
        stack.poll()
        time.sleep(TICK_S)
