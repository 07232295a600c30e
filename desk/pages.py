"""The pages as a browser gets them: one document for all addresses, and what it is made of."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

from desk.context import desk_of
from desk.security.identity import cookie_name

WEB = Path(__file__).with_name("web")
_DOCUMENT = WEB / "index.html"
_YEAR_S = 31_536_000
_KEPT = f"public, max-age={_YEAR_S}, immutable"
_LONGEST_QUERY = 2000
_OF_A_QUERY = "!$&'()*+,-./:;=?@_~%|[]`{}^"  # what a browser leaves as it is, beside letters and digits
_ASKED_ANEW = "no-cache"  # kept, but not shown before the desk was asked whether it is the latest


class VersionedFiles(StaticFiles):
    """Files that a browser keeps for as long as the document names them in this version."""

    def __init__(self, directory: Path, versions: frozenset[str]) -> None:
        """`versions`: addresses below `directory` that never mean anything else, such as `app.js?v=3f2a`."""
        super().__init__(directory=directory)
        self._versions = versions

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        asked = f"{Path(full_path).name}?{scope['query_string'].decode('latin-1')}"
        response.headers["Cache-Control"] = _KEPT if asked in self._versions else _ASKED_ANEW
        return response


def serve_pages(app: FastAPI, api: str) -> None:
    """Add the document and its files to `app`, whose API is at `api`. What a page shows follows from its address."""
    document = _DOCUMENT.read_text()
    versions = frozenset(re.findall(r'"/static/([^"]+\?v=\w+)"', document))
    app.mount("/static", VersionedFiles(WEB / "static", versions), name="static")

    @app.get("/", include_in_schema=False)
    @app.get("/{page}", include_in_schema=False)
    @app.get("/{page}/{item}", include_in_schema=False)
    async def page(request: Request, page: str = "", item: str = "") -> HTMLResponse:
        response = HTMLResponse(document, headers={"Cache-Control": _ASKED_ANEW})
        if _may_be_known(request):
            # While the browser reads the script, the desk works out what the script is going to ask for first.
            views = [] if page else _views(f"{api}/mood/overview", request.scope["query_string"])
            soon = [f"{api}/session", *views]
            response.headers["Link"] = ", ".join(f"<{each}>; rel=preload; as=fetch; crossorigin" for each in soon)
        return response


def _views(overview: str, sent: bytes) -> list[str]:
    """Where the Mood page of this query asks for its views; nothing for a query that no browser would send."""
    query = sent.decode("latin-1")
    address = f"{overview}?{query}" if query else overview
    return [address] if len(query) <= _LONGEST_QUERY and quote(query, safe=_OF_A_QUERY) == query else []


def _may_be_known(request: Request) -> bool:
    """Whether somebody may be logged in; a stranger's page asks for nothing but that."""
    header = desk_of(request).settings.desk.proxy_header
    return cookie_name(request) in request.cookies or (header is not None and header in request.headers)
