"""`newstide topics`: what Kafka needs before the first worker starts."""

from __future__ import annotations

import logging
import time

import click

from core.errors import BrokerUnreachable, InputError
from core.kafka import TopicError, prepare_topics
from core.settings import Settings, load_settings
from core.worker_group import begin_group, read_group
from newstide.stack.resources import with_broker

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit status 1 unless workers can start.")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(0), metavar="SECONDS", help="With --check: how long to wait for it."
)
def topics(check: bool, wait_s: float | None) -> None:
    """Create the topics that are missing, and commit the start of the log where the workers' group has no offset.

    Only autoscalers need those offsets: workers read on where the ledger in Postgres stands, and commit that as soon as
    they join. So where the group has members nothing is committed here.
    """
    settings = with_broker(load_settings())
    if check:
        _await_topics(settings, wait_s or 0)
        click.echo("the topics are there")
        return
    if wait_s is not None:
        raise InputError("--wait belongs to --check; without it `kafka.start_timeout_s` is how long the brokers have")
    prepare_topics(settings)
    found = begin_group(settings)
    if found.without:
        log.warning(
            "partitions %s of %s get a committed offset from the workers that run, as soon as these read them",
            ", ".join(map(str, found.without)),
            settings.topic("messages"),
        )
    click.echo("the topics are there")


COMMANDS = [topics]


def _await_topics(settings: Settings, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    said = None
    while True:
        try:
            fault = read_group(settings).fault()
        except (BrokerUnreachable, TopicError) as error:
            fault = str(error)
        if fault is None:
            return
        if time.monotonic() + _LOOK_EVERY_S > deadline:
            raise TopicError(f"{fault}; run `newstide topics`")
        if fault != said:
            said = fault
            log.warning("waiting: %s", fault)
        time.sleep(_LOOK_EVERY_S)
