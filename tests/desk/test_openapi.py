"""The API is what its OpenAPI document says: no request makes it fail, and every answer is one that it tells of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as examples

from tests.desk.people import Login

if TYPE_CHECKING:
    import schemathesis

ENDLESS = "/api/v1/events"
EXAMPLES = 6


@pytest.fixture
def admin(newsroom: None, login: Login) -> TestClient:
    return login("boss", "admin")


def test_every_answer_is_one_that_is_documented(admin: TestClient) -> None:
    # Seconds of imports, in each process that collects tests.
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    promised = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
    ]
    token = admin.post("/api/v1/tokens", json={"name": "fuzz", "role": "admin"}).json()["token"]
    app = admin.app
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    asked = 0
    faults: list[str] = []
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path == ENDLESS:
            continue

        @examples(max_examples=EXAMPLES, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def conforms(case: schemathesis.Case) -> None:
            case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=promised)

        try:
            conforms()
        except (Exception, BaseExceptionGroup) as fault:
            told = fault.exceptions if isinstance(fault, BaseExceptionGroup) else (fault,)
            faults += [f"{operation.method.upper()} {operation.path}: {str(each)[:600]}" for each in told]
        asked += 1
    assert faults == [], "\n\n".join(faults)
    assert asked > 40


def test_everything_that_can_be_asked_is_described(stranger: TestClient) -> None:
    document = stranger.get("/api/v1/openapi.json").json()
    of_mood = {"mood", "series", "stories", "incidents", "search", "exports"}
    looked_at = 0
    for address, operations in document["paths"].items():
        for method, operation in operations.items():
            if not of_mood & set(operation["tags"]):
                continue
            assert operation["summary"], (method, address)
            missing = [each["name"] for each in operation.get("parameters", []) if not each.get("description")]
            assert missing == [], (method, address)
            looked_at += 1
    assert looked_at > 20
