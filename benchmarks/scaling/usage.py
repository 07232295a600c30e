"""What processes use: CPU seconds of each, and how idle the machine was."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """CPU seconds since their beginnings: of the workers, of Postgres with all its sessions, of Kafka, of this process,
    and of the whole machine, busy and in all."""

    worker: float
    postgres: float
    kafka: float
    benchmark: float
    busy: float
    whole: float


def usage(workers: list[int], postgres: int, kafka: int) -> Usage:
    """As of now. Sessions of Postgres that have ended count too: their server has waited for them."""
    own, ended = _times(postgres)
    sessions = sum(_times(pid)[0] for pid in children(postgres))
    busy, whole = _machine()
    mine = os.times()
    return Usage(
        sum(_times(pid)[0] for pid in workers), own + ended + sessions, _times(kafka)[0], mine.user + mine.system,
        busy, whole,
    )  # fmt: skip


def children(pid: int) -> list[int]:
    """Ids of the processes that `pid` began."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    return [int(child) for child in found.split()]


def _times(pid: int) -> tuple[float, float]:
    """Seconds of the process, and of children that it waited for; none for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    user, system, ended_user, ended_system = (int(field) / _TICKS_S for field in fields[11:15])
    return user + system, ended_user + ended_system


def _machine() -> tuple[float, float]:
    user, nice, system, idle, iowait, interrupts, soft, stolen = (
        int(field) / _TICKS_S for field in Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]
    )
    busy = user + nice + system + interrupts + soft + stolen
    return busy, busy + idle + iowait
