"""Ports for servers that tests start.

A port that the system calls free it may give to the next outgoing connection of any process, and a server may need ten
seconds until it listens. These ports are below those that Linux gives away by default, and each test process has
its own.
"""

from __future__ import annotations

import os
import random

from newstide.embedded.process import is_taken

_FIRST, _EACH, _PROCESSES = 10_000, 2_500, 8

_process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
_base = _FIRST + _process * _EACH
_start = random.SystemRandom().randrange(_EACH)  # another run of the tests may be under way
_given = 0


def free_port(count: int = 1) -> int:
    """The first of `count` neighbouring ports that nobody listens on and that no other call here returns."""
    global _given
    for _ in range(_EACH):
        offset = (_start + _given) % _EACH
        if offset + count > _EACH:
            _given += _EACH - offset
            continue
        _given += count
        port = _base + offset
        if not any(is_taken(port + each) for each in range(count)):
            return port
    raise AssertionError(f"all ports from {_base} to {_base + _EACH - 1} are taken")
