"""A local web server for the tests of feeds: pages by path, and what was asked for."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@dataclass
class Site:
    """A running server; `pages` maps a path to what answers it."""

    address: str
    pages: dict[str, Answer] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@contextmanager
def serve_site() -> Iterator[Site]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            try:
                served.pages.get(self.path, page(b"", 404))(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Site(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def page(body: bytes, status: int = 200, **headers: str) -> Answer:
    """An answer with `body`; underscores in names of headers are hyphens."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """The answers one after the other, the last for ever."""
    rest = list(answers)
    return lambda handler: (rest.pop(0) if len(rest) > 1 else rest[0])(handler)


def item(title: str = "", guid: str | None = None, link: str = "", date: str = "", text: str = "") -> str:
    """One item of an RSS feed; what is empty is left out. `text` is escaped markup already."""
    parts = {"title": title, "link": link, "pubDate": date, "description": text}
    body = "".join(f"<{name}>{value}</{name}>" for name, value in parts.items() if value)
    return f"<item>{body}{'' if guid is None else f'<guid>{guid}</guid>'}</item>"


def rss(*items: str, link: str = "https://desk.example.com/") -> bytes:
    """An RSS feed of `items`."""
    head = '<?xml version="1.0" encoding="utf-8"?><rss version="2.0"><channel><title>Desk</title>'
    return f"{head}<link>{link}</link>{''.join(items)}</channel></rss>".encode()
