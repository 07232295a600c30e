"""`newstide worker`: classify what is in Kafka, in one process or several."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from core.settings import Settings, load_settings
from newstide.resources import database, with_broker
from newstide.supervisor import Child, Supervisor


@click.command()
@click.option("--workers", type=click.IntRange(1, 256), help="Worker processes; `stream.workers` where not given.")
@click.option("--index", type=click.IntRange(0), help="Run as worker number INDEX in this process, unsupervised.")
def worker(workers: int | None, index: int | None) -> None:
    """Read messages from Kafka, classify them, commit them to Postgres."""
    settings = with_broker(load_settings())
    count = workers or settings.stream.workers
    if index is not None or count == 1:
        from stream.worker import run_worker

        with database(settings) as found:
            run_worker(found, index or 0)
        return
    with database(settings) as found, Supervisor() as supervisor:
        for child in worker_children(found, count, Path(found.embedded.directory) / "logs"):
            supervisor.start(child)
        supervisor.run()


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


COMMANDS = [worker]
