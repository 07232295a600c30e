"""Logging in at an identity provider, by way of the browser."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse

from core.errors import InputError
from desk.api.session import begin_session, limit_logins
from desk.context import Desk, desk_of
from desk.problems import Problem, responses
from desk.security.oidc import Person, Provider, new_verifier
from desk.security.sql import QUERIES
from desk.security.tokens import new_token, token_hash

router = APIRouter(prefix="/session/oidc", tags=["session"])

_COOKIE = "newstide_login"
_MINUTES = 10
_CALLBACK = "/api/v1/session/oidc/callback"
_NAMES = 20  # tried for somebody whose name is taken


@router.get(
    "",
    summary="Begin a login at the identity provider",
    status_code=303,
    response_class=RedirectResponse,
    responses=responses(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.BAD_GATEWAY),
)
def begin(request: Request, desk: Annotated[Desk, Depends(desk_of)]) -> RedirectResponse:
    """Begin a login at the identity provider by going there: a picture or a script on some page begins none."""
    provider = _provider(desk)
    if request.headers.get("sec-fetch-mode", "navigate") != "navigate":
        raise Problem(HTTPStatus.FORBIDDEN, "a page asked for this login behind your back; open its address yourself")
    limit_logins(request, desk, "oidc")
    state, nonce, verifier = new_token(), new_token(), new_verifier()
    address = provider.authorization_url(_redirect(request, desk), state, nonce, verifier)
    values = {"state": token_hash(state), "nonce": nonce, "verifier": verifier, "minutes": _MINUTES}
    with desk.engine.begin() as connection:
        connection.execute(QUERIES["forget_expired"])
        connection.execute(QUERIES["begin_oidc_login"], values)
    response = RedirectResponse(address, status_code=303)
    response.set_cookie(
        _COOKIE, state, max_age=60 * _MINUTES, path=_CALLBACK, secure=desk.https, httponly=True, samesite="lax"
    )
    return response


@router.get(
    "/callback",
    summary="Where the identity provider sends the browser back to",
    status_code=303,
    response_class=RedirectResponse,
    responses=responses(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.BAD_GATEWAY),
)
def finish(
    request: Request,
    desk: Annotated[Desk, Depends(desk_of)],
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4096)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
) -> RedirectResponse:
    provider = _provider(desk)
    limit_logins(request, desk, "oidc-callback")
    cookie = request.cookies.get(_COOKIE, "")
    if not state or not secrets.compare_digest(cookie.encode(), state.encode()):
        raise Problem(HTTPStatus.FORBIDDEN, "this login did not begin in this browser; begin it again")
    with desk.engine.begin() as connection:
        login = connection.execute(QUERIES["take_oidc_login"], {"state": token_hash(state)}).one_or_none()
    if login is None:
        raise Problem(HTTPStatus.FORBIDDEN, "this login took too long, or was finished already; begin it again")
    if error or not code:
        raise Problem(HTTPStatus.FORBIDDEN, "the identity provider did not let you in")
    person = provider.person(_redirect(request, desk), code, login.nonce, login.verifier)
    response = RedirectResponse("/", status_code=303)
    begin_session(desk, request, response, _account(desk, person), "oidc")
    response.delete_cookie(_COOKIE, path=_CALLBACK, secure=desk.https, httponly=True, samesite="lax")
    return response


def _account(desk: Desk, person: Person) -> str:
    """The account of `person`, whose role follows the provider; a new one under a free name where there is none."""
    known = desk.accounts.of_subject(person.subject)
    if known is not None:
        if known.disabled_at is not None:
            raise Problem(HTTPStatus.FORBIDDEN, "this account is disabled")
        if known.role != person.role:
            desk.accounts.change(known.name, role=person.role)
        return known.name
    for number in range(1, _NAMES):
        name = person.name if number == 1 else f"{person.name}-{number}"
        try:
            if desk.accounts.add(name, person.role, subject=person.subject):
                return name
        except InputError as error:
            raise Problem(
                HTTPStatus.FORBIDDEN, f"the identity provider's name for you can't be used: {error}"
            ) from None
    raise Problem(HTTPStatus.FORBIDDEN, "too many accounts have your name; ask an admin")


def _provider(desk: Desk) -> Provider:
    if desk.provider is None:
        raise Problem(HTTPStatus.NOT_FOUND, "no identity provider is set; see `desk.oidc_issuer`")
    return desk.provider


def _redirect(request: Request, desk: Desk) -> str:
    base = desk.settings.desk.public_url or str(request.base_url)
    return base.rstrip("/") + _CALLBACK
