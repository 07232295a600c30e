"""Who may do what, asked of every route that the API's own document names."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, cast
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.settings import Settings
from desk.app import API, RESOURCES, create_app
from desk.context import Desk
from desk.security.roles import ROLES
from tests.desk.people import ADDRESS, log_in

# The least that somebody has to be. A route that stands in no line fails the test.
_ALLOWED = {
    "nobody": """
        POST /session
        GET /session/methods
        POST /session/link
        GET /session/oidc
        GET /session/oidc/callback
    """,
    "viewer": """
        GET /session
        DELETE /session
        GET /tokens
        POST /tokens
        DELETE /tokens/{number}
        GET /events
        GET /settings/taxonomy
        GET /settings/public
        GET /mood
        GET /mood/overview
        GET /mood/heat
        GET /mood/heat/export
        GET /mood/movers
        GET /mood/movers/export
        GET /series
        GET /series/{kind}/{name}
        GET /series/{kind}/{name}/arithmetic
        GET /series/{kind}/{name}/export
        GET /stories
        GET /stories/export
        GET /stories/{story}
        GET /terms
        GET /sources
        GET /incidents
        GET /incidents/figures
        GET /incidents/{incident}
        GET /search
        GET /search/export
        GET /labels
        GET /labels/export
        GET /labels/figures
        GET /agreement
        GET /explanations/{uid}
        GET /models
        GET /models/training
        GET /models/evaluation
        GET /models/{name}
        GET /models/{name}/comparison
    """,
    "analyst": """
        POST /incidents/{incident}/acknowledgement
        POST /incidents/{incident}/snooze
        POST /incidents/{incident}/feedback
        GET /queue
        DELETE /queue/{story}
        POST /labels
        POST /labels/bulk
        POST /labels/undo
        POST /labels/import
        GET /adjudications
        POST /adjudications/{story}
    """,
    "admin": """
        GET /audit
        POST /models/{name}/promote
        POST /models/rollback
    """,
}
LEAST = {tuple(line.split()): least for least, lines in _ALLOWED.items() for line in lines.strip().splitlines()}
RANKS = ("nobody", *ROLES)
_ANY_ID = UUID(int=7)
_REFUSALS = {HTTPStatus.UNAUTHORIZED: "who are you?", HTTPStatus.FORBIDDEN: "not you"}

Operations = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture
def app(settings: Settings, engine: Engine) -> FastAPI:
    found = create_app(settings, engine)
    cast(Desk, found.state.desk).events.stop()  # its stream ends after the greeting, so that it can be asked for
    return found


@pytest.fixture
def operations(app: FastAPI) -> Operations:
    """By method and path."""
    paths = app.openapi()["paths"].items()
    return {(method.upper(), path.removeprefix(API)): each for path, of in paths for method, each in of.items()}


def _callers(app: FastAPI) -> Iterator[tuple[str, str, TestClient]]:
    """Who it is, as whom they may act, and what they send requests with."""

    def program(token: str) -> TestClient:
        return TestClient(app, base_url=ADDRESS, headers={"Authorization": f"Bearer {token}"})

    yield "nobody", "nobody", TestClient(app, base_url=ADDRESS)
    yield "a token that nobody made", "nobody", program("nothing")
    boss = log_in(app, "boss", "admin")
    for role in ROLES:
        made = boss.post(f"{API}/tokens", json={"name": "a program", "role": role}).json()
        yield f"a token of an admin, for {role}", role, program(made["token"])
        yield role, role, log_in(app, f"a {role}", role)


def _ask(client: TestClient, method: str, path: str, operation: dict[str, Any]) -> str:
    """What the route says to an empty request, in which everything that has to be named is something that is not."""
    names = {parameter["name"]: str(_ANY_ID) for parameter in operation.get("parameters", [])}
    address = API + path.format_map({**names, "kind": "topic", "name": "Nothing"})
    answer = client.request(method, address, json={} if "requestBody" in operation else None)
    assert answer.status_code < 500, (method, path, answer.text)
    return _REFUSALS.get(HTTPStatus(answer.status_code), "may")


def test_everybody_may_do_what_the_table_says_and_no_more(app: FastAPI, operations: Operations) -> None:
    assert set(operations) == set(LEAST)
    hidden = [route for resource in RESOURCES for route in resource.router.routes if not route.include_in_schema]
    assert hidden == [], "the document does not name these"
    last = ("DELETE", "/session")  # whoever logs out is nobody from then on
    for who, rank, client in _callers(app):
        refusal = "who are you?" if rank == "nobody" else "not you"
        found = {key: _ask(client, *key, operations[key]) for key in sorted(operations, key=lambda key: key == last)}
        wanted = {key: "may" if RANKS.index(rank) >= RANKS.index(least) else refusal for key, least in LEAST.items()}
        assert {key: said for key, said in found.items() if said != wanted.get(key)} == {}, who
