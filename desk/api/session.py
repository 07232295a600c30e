"""Logging in and out, and who one is."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from desk.context import Desk, desk_of
from desk.problems import Problem, responses
from desk.security.addresses import client_of
from desk.security.audit import note
from desk.security.identity import cookie_name, identify, refuse_foreign_origin
from desk.security.roles import Role
from desk.security.sessions import Principal

router = APIRouter(prefix="/session", tags=["session"])


class Login(BaseModel):
    """A name and password of the desk's own."""

    name: str = Field(max_length=100, examples=["ann"])
    password: str = Field(max_length=1024)


class LinkLogin(BaseModel):
    """A link that logs in once, as `newstide up` and `newstide desk link` print it."""

    token: str = Field(max_length=100)


class Me(BaseModel):
    """Who is logged in."""

    name: str
    role: Role = Field(description="What they may do: viewer, analyst or admin.")
    csrf: str | None = Field(description="A browser sends this as `X-CSRF-Token` with every change.")


@router.get("", summary="Who is logged in", responses=responses(HTTPStatus.UNAUTHORIZED))
def read_session(principal: Annotated[Principal, Depends(identify)]) -> Me:
    return Me(name=principal.name, role=principal.role, csrf=principal.csrf)


@router.get("/methods", summary="How people may log in here")
def read_methods(desk: Annotated[Desk, Depends(desk_of)]) -> dict[str, bool]:
    """`password`: with a name and password; `oidc`: at an identity provider, through `/api/v1/session/oidc`."""
    return {"password": desk.settings.desk.local_accounts, "oidc": desk.settings.desk.oidc_issuer is not None}


@router.post(
    "",
    summary="Log in with a name and a password",
    responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS),
)
def log_in(login: Login, request: Request, response: Response, desk: Annotated[Desk, Depends(desk_of)]) -> Me:
    refuse_foreign_origin(request, desk)
    if not desk.settings.desk.local_accounts:
        raise Problem(HTTPStatus.FORBIDDEN, "nobody logs in with a password here; see `desk.local_accounts`")
    limit_logins(request, desk, "password", login.name)
    if not desk.accounts.verify(login.name, login.password):
        raise Problem(HTTPStatus.UNAUTHORIZED, "no account has this name and password")
    return begin_session(desk, request, response, login.name, "password")


@router.post(
    "/link",
    summary="Log in with a link that is good once",
    responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS),
)
def follow_link(link: LinkLogin, request: Request, response: Response, desk: Annotated[Desk, Depends(desk_of)]) -> Me:
    refuse_foreign_origin(request, desk)
    limit_logins(request, desk, "link")
    account = desk.sessions.take_link(link.token)
    if account is None:
        raise Problem(HTTPStatus.UNAUTHORIZED, "this link was used or is too old; make another: newstide desk link")
    return begin_session(desk, request, response, account, "link")


@router.delete("", status_code=204, summary="Log out", responses=responses(HTTPStatus.UNAUTHORIZED))
def log_out(
    request: Request, principal: Annotated[Principal, Depends(identify)], desk: Annotated[Desk, Depends(desk_of)]
) -> Response:
    if principal.session is not None:
        desk.sessions.end(principal.session)
    response = Response(status_code=204)
    response.delete_cookie(cookie_name(request), path="/", secure=desk.https, httponly=True, samesite="lax")
    return response


def begin_session(desk: Desk, request: Request, response: Response, account: str, method: str) -> Me:
    """Log `account` in: sets the cookie on `response`, and notes it in the audit log."""
    token = desk.sessions.begin(account)
    principal = desk.sessions.of_cookie(token)
    assert principal is not None  # it has just begun
    with desk.engine.begin() as connection:
        note(connection, account, "log in", detail={"method": method})
    response.set_cookie(
        cookie_name(request),
        token,
        max_age=desk.sessions.hours * 3600,
        path="/",
        secure=desk.https,
        httponly=True,
        samesite="lax",
    )
    return Me(name=principal.name, role=principal.role, csrf=principal.csrf)


def limit_logins(request: Request, desk: Desk, way: str, name: str | None = None) -> None:
    """Take a login in this `way`, and as `name` where it says one, into account. Raises Problem 429 where too many
    were tried from where it comes, or by that name.

    Without a name nothing is guessed: a whole office may log in from one address.
    """
    client = client_of(request, desk)
    few = name is not None and not client.shared
    limits = [(desk.logins if few else desk.shared_logins, f"{way} {client.key}")]
    if name is not None:
        limits += [(desk.logins, f"{way} {client.key} {name}"), (desk.name_logins, name)]
    for limit, key in limits:  # in this order: whoever is refused leaves that name to others
        wait = limit.take(key)
        if wait is not None:
            retry = {"Retry-After": str(max(1, round(wait)))}
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "too many logins were tried; wait a moment", retry)
