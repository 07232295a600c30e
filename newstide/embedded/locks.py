"""Locks on files: they hold across processes and containers, and go with whoever holds them."""

from __future__ import annotations

import fcntl
from typing import IO


def try_lock(handle: IO[str], *, shared: bool = False) -> bool:
    """Lock an open file, for ourselves alone or `shared`, until it is closed; False, at once, if others have it."""
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
