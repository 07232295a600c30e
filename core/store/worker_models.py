"""What each worker runs: a model for each language, and what it refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, text

from core.language import ENGLISH
from core.store.sql import load_queries, records

_SQL = {name: text(body) for name, body in load_queries(Path(__file__).with_suffix(".sql")).items()}

WORKER_AGE_S = 60  # a worker that said nothing for this long is gone
_FORGET_WORKERS_S = 86_400


@dataclass(frozen=True, slots=True)
class RunningModel:
    """What a worker runs for a language, if anything, and the last model of it that it refused with the reason."""

    language: str
    model: str | None
    shadow: str | None = None
    refused: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerModel(RunningModel):
    """The same, of a worker that said so."""

    worker: str
    updated_at: datetime


def report_worker(engine: Engine, worker: str, running: Iterable[RunningModel]) -> None:
    """Note all that `worker` runs and refused; workers not heard of for a day are forgotten."""
    rows = [{"worker": worker, **asdict(one)} for one in running]
    gone = {"worker": worker, "languages": [row["language"] for row in rows], "age_s": _FORGET_WORKERS_S}
    with engine.begin() as connection:
        if rows:
            connection.execute(_SQL["report_worker"], rows)
        connection.execute(_SQL["forget_workers"], gone)


def list_workers(engine: Engine, age_s: float = WORKER_AGE_S) -> list[WorkerModel]:
    """Workers heard of in the last `age_s` seconds."""
    with engine.connect() as connection:
        return records(WorkerModel, connection.execute(_SQL["workers"], {"age_s": age_s, "english": ENGLISH}))
