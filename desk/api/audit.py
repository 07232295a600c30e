"""Who did what on the desk."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from desk.context import Desk, desk_of
from desk.paging import decode_cursor, encode_cursor
from desk.problems import responses
from desk.security.audit import read_events
from desk.security.identity import Admin

router = APIRouter(prefix="/audit", tags=["audit"], responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN))


class Event(BaseModel):
    """`account` did `action` to `subject`."""

    id: int
    at: datetime
    account: str
    action: str = Field(examples=["promote model"])
    subject: str
    detail: dict[str, Any]


class EventPage(BaseModel):
    items: list[Event]
    next: str | None = Field(description="The cursor of the next page; null on the last one.")


@router.get("", summary="What was done, the newest first")
def list_events(
    principal: Admin,
    desk: Annotated[Desk, Depends(desk_of)],
    account: Annotated[str | None, Query(max_length=100)] = None,
    action: Annotated[str | None, Query(max_length=100)] = None,
    cursor: Annotated[str | None, Query(max_length=512)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> EventPage:
    before = decode_cursor(cursor, [int])[0] if cursor else None
    found = read_events(desk.engine, before=before, account=account, action=action, limit=limit + 1)
    items = [Event.model_validate(event, from_attributes=True) for event in found[:limit]]
    return EventPage(items=items, next=encode_cursor([items[-1].id]) if len(found) > limit else None)
