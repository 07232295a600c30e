"""`newstide worker`: classify what is in Kafka, in one process or several."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from core.logs import configure_logging
from core.settings import load_settings
from newstide.commands.option_conflicts import refuse_beside
from newstide.stack.plan import worker_children
from newstide.stack.reachability import is_reachable
from newstide.stack.resources import database_address, kept_database, with_broker
from newstide.stack.supervisor import Supervisor

log = logging.getLogger(__name__)


@click.command()
@click.option("--workers", type=click.IntRange(1, 256), help="Worker processes; `stream.workers` where not given.")
@click.option("--index", type=click.IntRange(0), help="Run as worker number INDEX in this process, unsupervised.")
def worker(workers: int | None, index: int | None) -> None:
    """Read messages from Kafka, classify them, commit them to Postgres."""
    refuse_beside("index", ("workers",), "it is one worker;")
    settings = with_broker(load_settings())
    count = workers or settings.stream.workers
    if index is not None or count == 1:
        from stream.worker import run_worker

        configure_logging(settings, f"worker-{index or 0}")
        with database_address(settings) as found:
            run_worker(found, index or 0)
        return
    with (
        kept_database(settings) as (found, _),
        Supervisor(outage=lambda: not is_reachable(found), say=log.warning) as supervisor,
    ):
        for child in worker_children(found, count, Path(found.embedded.directory) / "logs"):
            supervisor.start(child)
        supervisor.run()


COMMANDS = [worker]
