"""A replay outside `newstide up` declares itself to the judge, where there is a database to do it in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from core.errors import NewstideError
from core.settings import Settings
from core.store.connection import open_engine
from core.store.ledger import end_replay
from core.store.replays import abandon_replay, declare_replay, give_signs_of_life
from newstide.embedded.postgres import EmbeddedPostgres
from newstide.stack.resources import amended, is_running

End = Callable[[dict[int, int], dict[str, Any]], None]


@contextmanager
def declared(settings: Settings, name: str, say: Callable[[str], None]) -> Iterator[End]:
    """Declare the replay `name` for as long as the block runs; what it yields declares where the replay ended.

    Leaving the block without that abandons the replay. `say` is given one line where it can't be declared: then the
    judge may take minutes for complete that the replay still writes to.
    """
    engine = None
    try:
        engine = _engine(settings)
        replay = declare_replay(engine, name)
    except (NewstideError, SQLAlchemyError) as error:
        if engine is not None:
            engine.dispose()
        say(
            f"this replay is not declared to the judge ({_first_line(error)}); on an event clock it may judge too early"
        )
        yield lambda ends, summary: None
        return
    ended = threading.Event()
    living = (lambda: engine), (lambda: replay), ended
    pulse = threading.Thread(target=give_signs_of_life, args=living, daemon=True)
    pulse.start()
    done = False

    def end(ends: dict[int, int], summary: dict[str, Any]) -> None:
        nonlocal done
        end_replay(engine, replay, ends, summary, settings.topic("messages"))
        done = True

    try:
        yield end
    finally:
        ended.set()
        pulse.join()
        if not done:
            with suppress(SQLAlchemyError):  # the silence says the same after a minute
                abandon_replay(engine, replay)
        engine.dispose()


def _engine(settings: Settings) -> Engine:
    """The configured database, else the embedded one of a stack that runs here. Raises NewstideError for neither."""
    if settings.database.url:
        return open_engine(settings, pool_size=2)
    if not is_running(settings.embedded.directory):
        raise NewstideError("no database is configured, and no `newstide up` runs here")
    with EmbeddedPostgres(settings.embedded.directory, settings.embedded.database_port) as server:
        return open_engine(amended(settings, database={"url": server.url}), pool_size=2)


def _first_line(error: Exception) -> str:
    return (str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__])[0][:200]
