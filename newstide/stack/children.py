"""The processes of a stack as the supervisor starts them."""

from __future__ import annotations

import sys
from pathlib import Path

from core.settings import Settings
from newstide.stack.supervisor import Child


def worker_children(settings: Settings, count: int, logs: Path) -> list[Child]:
    """The worker processes of a stack, to be supervised."""
    return [
        Child(
            name=f"worker-{index}",
            argv=command("worker", "--index", str(index)),
            log=logs / f"worker-{index}.log",
            environment=addresses(settings),
            stop_order=1,
            grace_s=20,
        )
        for index in range(count)
    ]


def command(*arguments: str) -> list[str]:
    """This very newstide with other arguments."""
    return [sys.executable, "-m", "newstide", *arguments]


def addresses(settings: Settings) -> dict[str, str]:
    """Environment that leads a child to the same broker and database."""
    return {
        "NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers or "",
        "NEWSTIDE_DATABASE__URL": settings.database.url or "",
        # Several processes share the cores: a library that starts a thread per core would slow them all down.
        "OMP_NUM_THREADS": "1",
    }
