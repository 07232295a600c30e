"""Errors in one shape: `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import DataError, DBAPIError
from starlette.exceptions import HTTPException

from core.errors import DatabaseUnreachable, InputError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER_S = 5


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(description="Place in the request, such as `query.limit` or `body.labels.0`.")
    detail: str = Field(description="What is wrong with it.")


class ProblemBody(BaseModel):
    """What went wrong, after RFC 9457."""

    type: str = Field("about:blank", description="Kind of problem; `about:blank` says no more than the status.")
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(description="What was wrong and what to do.")
    faults: list[Fault] = Field(default_factory=list, description="Each fault of a request that is not valid.")


class Problem(Exception):
    """A request that is answered with an error: `detail` is a sentence for people."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def answer(
    status: HTTPStatus, detail: str, faults: list[Fault] | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The response for a problem."""
    body = ProblemBody(title=status.phrase, status=status.value, detail=detail, faults=faults or [])
    return JSONResponse(body.model_dump(), status.value, dict(headers or {}), MEDIA_TYPE)


def responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of the problems that a route may answer with."""
    return {
        status.value: {
            "model": ProblemBody,
            "description": status.phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Make `app` answer every error in this shape."""

    @app.exception_handler(Problem)
    def problem(request: Request, error: Problem) -> JSONResponse:
        return answer(error.status, error.detail, headers=error.headers)

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        return answer(status, _WORDS.get(status, str(error.detail)), headers=error.headers)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = [Fault(where=".".join(map(str, each["loc"])), detail=each["msg"]) for each in error.errors()]
        return answer(HTTPStatus.UNPROCESSABLE_ENTITY, "the request is not valid; see `faults`", faults)

    @app.exception_handler(InputError)
    def unreadable(request: Request, error: InputError) -> JSONResponse:
        return answer(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))

    @app.exception_handler(DataError)
    def unstorable(request: Request, error: DataError) -> JSONResponse:
        detail = "the request holds something that can't be stored, such as the character 0 or a number out of range"
        return answer(HTTPStatus.UNPROCESSABLE_ENTITY, detail)

    @app.exception_handler(DBAPIError)
    @app.exception_handler(DatabaseUnreachable)
    def database(request: Request, error: Exception) -> JSONResponse:
        log.warning("%s %s: the database failed: %s", request.method, request.url.path, str(error).splitlines()[0])
        retry = {"Retry-After": str(_RETRY_AFTER_S)}
        return answer(HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer; try again soon", headers=retry)

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return answer(HTTPStatus.INTERNAL_SERVER_ERROR, "the desk failed; its log says why")


_WORDS = {
    HTTPStatus.NOT_FOUND: "there is nothing at this address",
    HTTPStatus.METHOD_NOT_ALLOWED: "this address does not take that method",
}
