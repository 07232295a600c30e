"""Server-sent events: what is new, so that a page can ask for it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends
from sse_starlette import EventSourceResponse

from desk.context import Desk, desk_of
from desk.problems import responses
from desk.security.identity import Viewer

router = APIRouter(prefix="/events", tags=["events"], responses=responses(HTTPStatus.UNAUTHORIZED))

_PING_S = 15


@router.get("", summary="What is new, as it happens", response_class=EventSourceResponse)
async def stream(principal: Viewer, desk: Annotated[Desk, Depends(desk_of)]) -> EventSourceResponse:
    """Events whose data is JSON with a `topic`: trends, incidents, labels or models."""
    return EventSourceResponse(desk.events.subscribe(), ping=_PING_S)
