"""Who sends a request: a browser's session, a program's token, or whom a trusted proxy names."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from core.errors import InputError
from desk.context import Desk, desk_of
from desk.problems import Problem
from desk.security.addresses import client_of, is_of_proxy
from desk.security.roles import Role, may_act_as
from desk.security.sessions import Principal

COOKIE = "newstide_session"
SECURE_COOKIE = f"__Host-{COOKIE}"  # browsers take it over https alone, and from this very host
CSRF_HEADER = "X-CSRF-Token"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def cookie_name(request: Request) -> str:
    """Name of the session's cookie on this connection."""
    return SECURE_COOKIE if desk_of(request).https else COOKIE


def identify(request: Request, desk: Annotated[Desk, Depends(desk_of)]) -> Principal:
    """Who sends `request`. Raises Problem 401 for nobody, 403 for a change that another site may have caused, and 429
    where they ask too often."""
    principal = _of_token(request, desk) or _of_proxy(request, desk) or _of_session(request, desk)
    if principal is None:
        raise Problem(HTTPStatus.UNAUTHORIZED, "log in, or send an API token", {"WWW-Authenticate": "Bearer"})
    limit_rate(desk, principal.name)
    return principal


def limit_rate(desk: Desk, key: str) -> None:
    """Take a request of `key` into account. Raises Problem 429 where there were too many."""
    wait = desk.requests.take(key)
    if wait is not None:
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS, "you ask too often; wait a moment", {"Retry-After": str(max(1, round(wait)))}
        )


def require(role: Role) -> Callable[[Principal], Principal]:
    """A dependency: whoever sends the request, if they may act as `role`; otherwise Problem 403."""

    def allowed(principal: Annotated[Principal, Depends(identify)]) -> Principal:
        if not may_act_as(principal.role, role):
            raise Problem(HTTPStatus.FORBIDDEN, f"this takes the role {role}; yours is {principal.role}")
        return principal

    return allowed


Viewer = Annotated[Principal, Depends(require("viewer"))]
Analyst = Annotated[Principal, Depends(require("analyst"))]
Admin = Annotated[Principal, Depends(require("admin"))]


def refuse_foreign_origin(request: Request, desk: Desk) -> None:
    """Raise Problem 403 for a change that comes from a page of another site."""
    if request.method in _SAFE_METHODS:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    own = urlsplit(desk.settings.desk.public_url).netloc if desk.settings.desk.public_url else ""
    here = {request.headers.get("host", ""), own} - {""}
    foreign = site not in (None, "same-origin", "none") or (origin is not None and urlsplit(origin).netloc not in here)
    if foreign:
        raise Problem(HTTPStatus.FORBIDDEN, "this request comes from a page of another site")


def _of_token(request: Request, desk: Desk) -> Principal | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return None
    principal = desk.sessions.of_api_token(token.strip())
    if principal is None:
        limit_rate(desk, f"token {client_of(request, desk).key}")
        raise Problem(HTTPStatus.UNAUTHORIZED, "this API token is not valid", {"WWW-Authenticate": "Bearer"})
    return principal


def _of_session(request: Request, desk: Desk) -> Principal | None:
    token = request.cookies.get(cookie_name(request))
    principal = desk.sessions.of_cookie(token) if token else None
    if principal is None:
        return None
    refuse_foreign_origin(request, desk)
    if request.method not in _SAFE_METHODS:
        given = request.headers.get(CSRF_HEADER, "")
        if not secrets.compare_digest(given.encode(), (principal.csrf or "").encode()):
            raise Problem(HTTPStatus.FORBIDDEN, f"the header {CSRF_HEADER} is missing or not this session's")
    return principal


def _of_proxy(request: Request, desk: Desk) -> Principal | None:
    header = desk.settings.desk.proxy_header
    name = request.headers.get(header, "") if header else ""
    if not name or not is_of_proxy(request, desk):
        return None
    refuse_foreign_origin(request, desk)
    account = desk.accounts.find(name)
    if account is None:
        try:
            desk.accounts.add(name, desk.settings.desk.proxy_role)
        except InputError as error:
            raise Problem(HTTPStatus.FORBIDDEN, f"the proxy names somebody who can't be an account: {error}") from None
        account = desk.accounts.find(name)
    if account is None or account.disabled_at is not None:
        raise Problem(HTTPStatus.FORBIDDEN, "this account is disabled")
    return Principal(account.name, account.role)
