"""Opening a stack: its broker, database, topics and schema made ready, and everything ended afterwards."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.kafka import prepare_topics
from core.settings import Settings
from newstide.embedded.broker import EmbeddedBroker
from newstide.stack.desk import desk_address, invite
from newstide.stack.plan import Plan
from newstide.stack.resources import amended, announce, exclusive, kept_database, withdraw
from newstide.stack.stack import Stack
from newstide.stack.supervisor import Supervisor

log = logging.getLogger(__name__)


@contextmanager
def running(
    settings: Settings,
    plan: Plan,
    say: Callable[[str], None] = log.warning,
    *,
    details: bool = True,
    anew: bool = False,
) -> Iterator[Stack]:
    """A stack with its broker, database, topics and schema ready, and nothing started yet. It ends all it began.

    `say` takes one line for each thing that fails and comes back. Without `details` nothing is read for a display.
    `anew`: what an earlier stack left in `embedded.directory` is removed first.
    """
    with (
        exclusive(settings.embedded.directory, anew=anew),
        kept_database(settings, say, may_move=True) as (found, keeper),
        _open_broker(found) as broker,
    ):
        # What the stack says of its brokers is one line; their client's own lines, many for each outage, add nothing.
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        if broker is not None:
            # That each life of our own broker begins its logs anew is no news.
            logging.getLogger("core.epochs").setLevel(logging.ERROR)
            found = amended(
                found, kafka={"bootstrap_servers": broker.bootstrap_servers}, ingest={"push_confirms": "commit"}
            )
        prepare_topics(found)
        announce(found.embedded.directory, found.kafka.bootstrap_servers or "")
        stack: Stack | None = None
        try:
            # Processes that fail while what they need is away are not to blame; only the stack knows.
            with Supervisor(outage=lambda: stack is not None and stack.is_away(), say=say) as supervisor:
                stack = Stack(found, plan, supervisor, keeper, broker, say, details)
                if plan.desk_port is not None:
                    address = desk_address(found.desk, plan.desk_port)
                    # Into a database of somebody's own nobody is let in unasked: its accounts are there for that.
                    stack.desk = invite(found, address) if keeper is not None else address
                yield stack
        finally:
            withdraw(found.embedded.directory)
            if stack is not None:
                stack.close()


@contextmanager
def _open_broker(settings: Settings) -> Iterator[EmbeddedBroker | None]:
    if settings.kafka.bootstrap_servers:
        yield None
        return
    with EmbeddedBroker(settings.embedded.directory, settings.embedded.broker_port) as broker:
        yield broker
