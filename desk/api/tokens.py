"""Tokens with which programs use the API."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from desk.context import Desk, desk_of
from desk.problems import Problem, responses
from desk.security.audit import note
from desk.security.identity import Viewer
from desk.security.roles import Role, lesser

router = APIRouter(prefix="/tokens", tags=["tokens"], responses=responses(HTTPStatus.UNAUTHORIZED))

MOST_DAYS = 3660


class NewToken(BaseModel):
    """A token to make."""

    name: str = Field(min_length=1, max_length=100, examples=["nightly export"])
    role: Role = Field("viewer", description="What the program may do; at most what you may.")
    days: int | None = Field(None, ge=1, le=MOST_DAYS, description="How long it is good; for ever if not given.")


class Token(BaseModel):
    """A token that was made; the token itself is not kept."""

    id: UUID
    account: str
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class MadeToken(BaseModel):
    """A token as it is shown this once."""

    id: UUID
    token: str


@router.get("", summary="Your tokens; an admin sees all")
def list_tokens(principal: Viewer, desk: Annotated[Desk, Depends(desk_of)]) -> list[Token]:
    own = None if principal.role == "admin" else principal.name
    return [Token.model_validate(token, from_attributes=True) for token in desk.sessions.api_tokens(own)]


@router.post("", status_code=201, summary="Make a token")
def make_token(wanted: NewToken, principal: Viewer, desk: Annotated[Desk, Depends(desk_of)]) -> MadeToken:
    role = lesser(wanted.role, principal.role)
    number, token = desk.sessions.make_api_token(principal.name, wanted.name, role, wanted.days)
    with desk.engine.begin() as connection:
        note(connection, principal.name, "make token", str(number), {"name": wanted.name, "role": role})
    return MadeToken(id=number, token=token)


@router.delete("/{number}", status_code=204, summary="End a token", responses=responses(HTTPStatus.NOT_FOUND))
def revoke_token(number: UUID, principal: Viewer, desk: Annotated[Desk, Depends(desk_of)]) -> Response:
    own = None if principal.role == "admin" else principal.name
    if not desk.sessions.revoke_api_token(number, own):
        raise Problem(HTTPStatus.NOT_FOUND, "there is no such token of yours that is still good")
    with desk.engine.begin() as connection:
        note(connection, principal.name, "end token", str(number))
    return Response(status_code=204)
