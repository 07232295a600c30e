"""Start a command that cannot outlive its parent.

Run as a script it asks Linux to send this process SIGKILL when its parent dies, then becomes the command itself, so
the process id stays the same. A separate script, because code between fork and exec is unsafe beside threads.
Elsewhere than on Linux the command is started as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


def bind_to_parent(argv: Sequence[str]) -> list[str]:
    """`argv` wrapped so that the command dies with the process that starts it.

    Linux counts the death of the parent *thread*: start such a command from a thread that lives as long as it should.
    """
    if sys.platform != "linux":
        return list(argv)
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), str(os.getpid()), *argv]  # noqa: PTH100


def die_with(parent: int) -> bool:
    """Ask Linux to kill this process when `parent`, its parent, dies; False if it died before the request."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    return os.getppid() == parent


def _become(parent: int, argv: list[str]) -> int:
    if not die_with(parent):
        return 1
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        print(f"newstide: {argv[0]} can't be started: {error.strerror}", file=sys.stderr)
        return 127


if __name__ == "__main__":
    sys.exit(_become(int(sys.argv[1]), sys.argv[2:]))
