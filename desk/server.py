"""The desk as a process: serves until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from prometheus_client import REGISTRY

from core.health import Beat, Health, serve_health
from core.http import Limits, Server, listen
from core.settings import Settings
from core.store.connection import open_engine, wait_for_database
from core.store.migration import migrate
from desk.api import label_files
from desk.app import API, create_app
from desk.rollup import Rollup

log = logging.getLogger(__name__)

_LIMITS = Limits(
    header_timeout_s=10,
    connections=512,
    connections_per_peer=128,
    body_timeout_s=60,
    body_bytes=1_000_000,
    uploads={f"{API}/labels/import": label_files.MOST_BYTES + 1},
)
_PROXIED = replace(_LIMITS, connections_per_peer=_LIMITS.connections)  # all have the proxy's address
_CONNECTIONS = 8  # to the database
# Workers that Postgres starts for a search over many days know no partition yet, and take longer than the search.
SESSION_OPTIONS = "-c max_parallel_workers_per_gather=0"
_LOOK_EVERY_S = 0.2
_LOOP_SILENT_S = 30.0


def run_desk(settings: Settings, stop: threading.Event, ready: Callable[[str], None] = lambda address: None) -> None:
    """Serve the desk until `stop` is set; `ready` is told its address once it answers.

    Raises SettingsError for an address that is taken or settings that can't work, DatabaseUnreachable if Postgres does
    not answer at the start.
    """
    health = Health("desk")
    serving = Beat(None, "not serving yet")
    health.ready("serving", serving)
    serve_health(settings.metrics, settings.metrics.desk_port, health, REGISTRY)
    with listen(settings.desk.host, settings.desk.port, "the desk", "desk.host and desk.port") as listener:
        wait_for_database(settings)
        engine = open_engine(settings, _CONNECTIONS, SESSION_OPTIONS)
        try:
            migrate(engine)
            app = create_app(settings, engine)
            events, rollup = app.state.desk.events, Rollup(engine)
            events.start()
            rollup.start()
            limits = _PROXIED if settings.desk.public_url or settings.desk.proxy_addresses else _LIMITS
            loop = Beat(_LOOP_SILENT_S)
            health.alive("event loop", loop)
            health.essential([events.thread_name, rollup.thread_name])
            health.watch()
            serving.good()
            host, port = listener.getsockname()[:2]
            ready(settings.desk.public_url or f"http://{f'[{host}]' if ':' in host else host}:{port}")
            try:
                asyncio.run(_serve(Server(app, limits, graceful_s=2), listener, stop, loop))
            finally:
                health.close()
                events.stop()
                rollup.stop()
        finally:
            engine.dispose()


async def _serve(server: Server, listener: object, stop: threading.Event, loop: Beat) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))  # type: ignore[list-item]
    while not stop.is_set() and not serving.done():
        loop.good()
        await asyncio.sleep(_LOOK_EVERY_S)
    server.should_exit = True
    await serving
