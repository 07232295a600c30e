"""Labels as files, out and in."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from core.store.labels import add_label_lines
from desk.context import Desk, desk_of
from desk.labelling.figures import read_counting
from desk.labelling.files import FILE_NAMES, MEDIA_TYPES, Layout, read_labels, write_labels
from desk.problems import Problem, responses
from desk.security.audit import note
from desk.security.identity import Analyst, Viewer

router = APIRouter(
    prefix="/labels", tags=["labels"], responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
)

MOST_BYTES = 32_000_000
_PIECE_BYTES = 65_536
_Format = Annotated[Layout, Query(alias="format", description="JSON lines, or Label Studio's JSON.")]
_CONTENT: dict[str, dict[str, Any]] = {
    media: {"schema": {"type": "array", "items": {}} if media == "application/json" else {"type": "string"}}
    for media in MEDIA_TYPES.values()
}


class Imported(BaseModel):
    """What an import did."""

    added: int = Field(description="Labels added.")
    already_given: int = Field(description="Labels that repeat their analyst's latest word, which are passed over.")


async def read_body(request: Request) -> bytes:
    """The body of `request`. Raises Problem 413 where it is too large."""
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > MOST_BYTES:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MOST_BYTES // 1_000_000} MB are taken; split the file"
            )
    return bytes(content)


@router.get(
    "/export",
    summary="The labels that count, as a file",
    response_class=StreamingResponse,
    responses={200: {"content": _CONTENT, "description": "The file."}},
)
def export_labels(
    principal: Viewer, desk: Annotated[Desk, Depends(desk_of)], layout: _Format = "jsonl"
) -> StreamingResponse:
    """The latest word of each analyst on each text, and verdicts; `POST /labels/import` reads it again without loss."""

    def content() -> Iterator[bytes]:
        with desk.engine.connect() as connection:
            piece = bytearray()
            for part in write_labels(read_counting(connection), layout):
                piece += part
                if len(piece) >= _PIECE_BYTES:
                    yield bytes(piece)
                    piece.clear()
            yield bytes(piece)

    headers = {"Content-Disposition": f'attachment; filename="{FILE_NAMES[layout]}"'}
    return StreamingResponse(content(), media_type=MEDIA_TYPES[layout], headers=headers)


@router.post(
    "/import",
    summary="Add the labels of a file",
    responses=responses(HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    openapi_extra={"requestBody": {"required": True, "content": _CONTENT}},
)
def import_labels(
    principal: Analyst,
    desk: Annotated[Desk, Depends(desk_of)],
    content: Annotated[bytes, Depends(read_body)],
    layout: _Format = "jsonl",
    keep_analysts: Annotated[
        bool, Query(description="For an admin: labels stay those of the analysts that the file names.")
    ] = False,
) -> Imported:
    """All of them, or none if one is wrong. They are yours, and can't be taken back by `undo`."""
    if keep_analysts and principal.role != "admin":
        raise Problem(HTTPStatus.FORBIDDEN, "an admin alone may add labels of others")
    if not content.strip():
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the file is empty; send labels in one of the formats")
    lines = read_labels(content, layout, "the file", desk.taxonomy)
    if any(line.final for line in lines) and principal.role != "admin":
        raise Problem(HTTPStatus.FORBIDDEN, "the file holds verdicts, which an admin alone may add")
    with desk.engine.begin() as connection:
        added, known = add_label_lines(connection, lines, "the file", None if keep_analysts else principal.name)
        note(connection, principal.name, "import labels", detail={"added": added, "kept_analysts": keep_analysts})
    return Imported(added=added, already_given=known)
