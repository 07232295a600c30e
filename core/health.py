"""Whether a process is alive and ready, over HTTP beside its metrics.

`/healthz`: the process runs and so does each thread it can't do without. `/readyz`: it also gets its work done.
Both answer 200 or 503 with {"status", "component", "checks": {name: "ok" or the reason}}; `/metrics` is Prometheus'.
Checks read what the process noted last and never wait: an absent database must not make a probe hang.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, make_asgi_app
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from core.errors import SettingsError
from core.http import Limits, Server, listen
from core.settings import MetricsSettings

log = logging.getLogger(__name__)

EXIT_THREAD_ENDED = 70  # EX_SOFTWARE: start me again
OK = "ok"
Check = Callable[[], str | None]
"""Returns the reason why something is not well, None where it is."""

_LIMITS = Limits(header_timeout_s=5, connections=64, connections_per_peer=32, body_timeout_s=5, body_bytes=1000)
_LOOK_EVERY_S = 1.0


class Beat:
    """A check of something that shows signs of life: well after `good`, not well after `bad`, or `limit_s` of silence.

    Before the first sign it says `waiting_for`; None: it is well until then. `limit_s` None: silence is no fault.
    Thread-safe.
    """

    def __init__(self, limit_s: float | None = None, waiting_for: str | None = "nothing was done yet") -> None:
        self._limit_s = limit_s
        self._reason = waiting_for
        self._at: float | None = None

    def good(self) -> None:
        """It works now."""
        self._at = time.monotonic()
        self._reason = None

    def bad(self, reason: str) -> None:
        """It fails now."""
        self._reason = reason

    def __call__(self) -> str | None:
        if self._reason is None and self._limit_s is not None and self._at is not None:
            silence = time.monotonic() - self._at
            if silence > self._limit_s:
                return f"no sign of life for {silence:.0f} s"
        return self._reason


class Health:
    """What is known of one process, called `component`."""

    def __init__(self, component: str) -> None:
        self.component = component
        self._threads: frozenset[str] = frozenset()
        self._seen: set[str] = set()
        self._alive: dict[str, Check] = {}
        self._ready: dict[str, Check] = {}
        self._closed = threading.Event()

    def essential(self, threads: Collection[str]) -> None:
        """Add names of threads that the process can't do without, once they have begun."""
        self._threads |= frozenset(threads)

    def alive(self, name: str, check: Check) -> None:
        """Add a check of `/healthz`; `/readyz` has it too."""
        self._alive[name] = check

    def ready(self, name: str, check: Check) -> None:
        """Add a check of `/readyz`, or replace it."""
        self._ready[name] = check

    def ended_threads(self) -> list[str]:
        """Names of the essential threads that have begun and ended."""
        running = {thread.name for thread in threading.enumerate() if thread.is_alive()}
        self._seen |= running & self._threads
        return [] if self._closed.is_set() else sorted(self._seen - running)

    def report(self, ready: bool) -> dict[str, Any]:
        """The body of `/readyz` or `/healthz`."""
        ended = self.ended_threads()
        found = {f"thread {name}": "it has ended" if name in ended else OK for name in sorted(self._seen)}
        for name, check in {**self._alive, **(self._ready if ready else {})}.items():
            try:
                found[name] = check() or OK
            except Exception as error:
                found[name] = f"the check failed: {type(error).__name__}: {error}"
        well = all(reason == OK for reason in found.values())
        return {"status": OK if well else "failing", "component": self.component, "checks": found}

    def watch(self) -> None:
        """End the process, to be started again, when an essential thread ends; until `close`."""
        threading.Thread(target=self._watch, name="health", daemon=True).start()

    def close(self) -> None:
        """The process is ending: threads may."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_EVERY_S):
            if ended := self.ended_threads():
                log.critical("thread %s ended; ending the process, so that it is started anew", ", ".join(ended))
                logging.shutdown()
                os._exit(EXIT_THREAD_ENDED)


def health_app(health: Health, registry: CollectorRegistry) -> Starlette:
    """The ASGI application of the probes and the metrics."""

    async def healthz(request: Request) -> Response:
        return _answer(health.report(ready=False))

    async def readyz(request: Request) -> Response:
        return _answer(health.report(ready=True))

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Mount("/", make_asgi_app(registry))]
    return Starlette(routes=routes)


def serve_health(settings: MetricsSettings, port: int, health: Health, registry: CollectorRegistry) -> None:
    """Serve `/metrics` of `registry`, `/healthz` and `/readyz` in a thread of its own; port 0 does nothing.

    A port that is taken is a warning, no error: a demo beside a running stack must not fail for want of a port.
    """
    if not port:
        return
    try:
        listener = listen(settings.host, port, "the endpoint of metrics and health", "metrics.*")
    except SettingsError as error:
        log.warning("%s", error)
        return
    server = Server(health_app(health, registry), _LIMITS, graceful_s=1)

    def run() -> None:
        with listener:
            asyncio.run(server.serve(sockets=[listener]))

    threading.Thread(target=run, name="metrics", daemon=True).start()


def _answer(report: dict[str, Any]) -> Response:
    status = 200 if report["status"] == OK else 503
    return Response(msgspec.json.encode(report), status, media_type="application/json")
