"""Who may do what, and how they show who they are."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from core.errors import SettingsError
from core.settings import DeskSettings, Settings
from desk.app import create_app
from desk.context import Desk
from desk.security.headers import CONTENT_POLICY
from desk.security.identity import COOKIE, CSRF_HEADER
from desk.security.rate_limit import RateLimit
from desk.server import _LIMITS
from tests.core.test_http import say, served
from tests.desk.people import ADDRESS, PASSWORD, Login


def test_nobody_gets_in_without_showing_who_they_are(stranger: TestClient) -> None:
    answer = stranger.get("/api/v1/session")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "log in, or send an API token",
        "faults": [],
    }


def test_a_password_begins_a_session_that_a_log_out_ends(login: Login) -> None:
    ann = login("ann", password=PASSWORD)
    assert ann.get("/api/v1/session").json()["name"] == "ann"
    cookie = ann.cookies[COOKIE]
    assert ann.delete("/api/v1/session").status_code == 204
    ann.cookies.set(COOKIE, cookie)
    assert ann.get("/api/v1/session").status_code == 401


def test_only_hashes_are_stored(login: Login, engine: Engine) -> None:
    ann = login("ann", password=PASSWORD)
    token = ann.post("/api/v1/tokens", json={"name": "export"}).json()["token"]
    with engine.connect() as connection:
        for table in ("account", "desk_session", "api_token", "audit_event"):
            stored = str(connection.execute(text(f"SELECT * FROM {table}")).all())
            assert not any(secret in stored for secret in (PASSWORD, token, ann.cookies[COOKIE])), table


@pytest.mark.parametrize("name", ["ann", "nobody"])
def test_a_wrong_password_says_nothing_of_the_account(login: Login, stranger: TestClient, name: str) -> None:
    login("ann", password=PASSWORD)
    answer = stranger.post("/api/v1/session", json={"name": name, "password": "not it at all"})
    assert (answer.status_code, answer.json()["detail"]) == (401, "no account has this name and password")


def test_passwords_can_not_be_tried_for_ever(stranger: TestClient) -> None:
    body = {"name": "ann", "password": "wrong"}
    tries = [stranger.post("/api/v1/session", json=body)]
    # A slow machine gives a try back every ten seconds, so the first refusal comes a little later there.
    while tries[-1].status_code != 429 and len(tries) < 60:
        tries.append(stranger.post("/api/v1/session", json=body))
    assert {answer.status_code for answer in tries[:10]} == {401}
    assert tries[-1].status_code == 429
    assert int(tries[-1].headers["retry-after"]) >= 1


def test_a_disabled_account_is_out_at_once(login: Login, desk: Desk) -> None:
    ann = login("ann", password=PASSWORD)
    token = ann.post("/api/v1/tokens", json={"name": "export"}).json()["token"]
    desk.accounts.change("ann", disabled=True)
    assert ann.get("/api/v1/session").status_code == 401
    assert ann.get("/api/v1/session", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert not desk.accounts.verify("ann", PASSWORD)


@pytest.mark.parametrize("change", [{"disabled": True}, {"password": PASSWORD[::-1]}])
def test_a_lost_account_is_taken_back_whole(
    login: Login, stranger: TestClient, desk: Desk, change: dict[str, Any]
) -> None:
    ann, bob = login("ann", password=PASSWORD), login("bob")
    mine, theirs = (one.post("/api/v1/tokens", json={"name": "export"}).json()["token"] for one in (ann, bob))
    link = desk.sessions.make_link("ann", 60)
    desk.accounts.change("ann", **change)
    desk.accounts.change("ann", disabled=False)
    statuses = [
        stranger.get("/api/v1/session", headers={"Authorization": f"Bearer {token}"}).status_code
        for token in (mine, theirs)
    ]
    assert statuses == [401, 200]
    assert stranger.post("/api/v1/session/link", json={"token": link}).status_code == 401
    assert [token.revoked_at is None for token in desk.sessions.api_tokens("ann")] == [False]


def test_a_new_role_keeps_tokens_and_links(login: Login, stranger: TestClient, desk: Desk) -> None:
    ann = login("ann")
    token = ann.post("/api/v1/tokens", json={"name": "export", "role": "analyst"}).json()["token"]
    link = desk.sessions.make_link("ann", 60)
    desk.accounts.change("ann", role="viewer")
    program = {"Authorization": f"Bearer {token}"}
    assert stranger.get("/api/v1/session", headers=program).json()["role"] == "viewer"
    assert stranger.post("/api/v1/session/link", json={"token": link}).json()["role"] == "viewer"


def test_a_link_logs_in_once(stranger: TestClient, desk: Desk) -> None:
    desk.accounts.add("boss", "admin")
    token = desk.sessions.make_link("boss", 60)
    assert stranger.post("/api/v1/session/link", json={"token": token}).json()["role"] == "admin"
    assert stranger.post("/api/v1/session/link", json={"token": token}).status_code == 401


def test_a_session_ends_with_its_time(login: Login, engine: Engine) -> None:
    ann = login("ann")
    with engine.begin() as connection:
        connection.execute(text("UPDATE desk_session SET expires_at = now() - :a"), {"a": timedelta(seconds=1)})
    assert ann.get("/api/v1/session").status_code == 401


def test_a_change_needs_the_sessions_token(login: Login) -> None:
    ann = login("ann")
    for given in ("", "wrong"):
        answer = ann.post("/api/v1/tokens", json={"name": "x"}, headers={CSRF_HEADER: given})
        assert answer.status_code == 403
    assert ann.post("/api/v1/tokens", json={"name": "x"}).status_code == 201


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.test"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]
)
def test_a_page_of_another_site_changes_nothing(login: Login, stranger: TestClient, headers: dict[str, str]) -> None:
    ann = login("ann", password=PASSWORD)
    assert ann.post("/api/v1/tokens", json={"name": "x"}, headers=headers).status_code == 403
    body = {"name": "ann", "password": PASSWORD}
    assert stranger.post("/api/v1/session", json=body, headers=headers).status_code == 403
    assert ann.post("/api/v1/tokens", json={"name": "x"}, headers={"Origin": ADDRESS}).status_code == 201


def test_a_program_does_what_its_token_may(login: Login, stranger: TestClient) -> None:
    boss = login("boss", "admin")
    made = boss.post("/api/v1/tokens", json={"name": "reader", "role": "viewer"}).json()
    program = {"Authorization": f"Bearer {made['token']}"}
    assert stranger.get("/api/v1/session", headers=program).json()["role"] == "viewer"
    assert stranger.get("/api/v1/audit", headers=program).status_code == 403
    assert boss.delete(f"/api/v1/tokens/{made['id']}").status_code == 204
    assert stranger.get("/api/v1/session", headers=program).status_code == 401


def test_a_token_may_never_do_more_than_its_maker(login: Login, stranger: TestClient, desk: Desk) -> None:
    ann = login("ann", "analyst")
    token = ann.post("/api/v1/tokens", json={"name": "x", "role": "admin"}).json()["token"]
    program = {"Authorization": f"Bearer {token}"}
    assert stranger.get("/api/v1/session", headers=program).json()["role"] == "analyst"
    desk.accounts.change("ann", role="viewer")
    assert stranger.get("/api/v1/session", headers=program).json()["role"] == "viewer"


def test_what_was_done_is_on_record(login: Login) -> None:
    boss = login("boss", "admin")
    for number in range(3):
        boss.post("/api/v1/tokens", json={"name": f"t{number}"})
    first = boss.get("/api/v1/audit", params={"limit": 2}).json()
    rest = boss.get("/api/v1/audit", params={"cursor": first["next"]}).json()
    actions = [event["action"] for event in first["items"] + rest["items"]]
    assert actions == ["make token"] * 3 + ["log in"]
    assert rest["next"] is None
    assert login("ann").get("/api/v1/audit").status_code == 403
    assert boss.get("/api/v1/audit", params={"cursor": "WyJ4Il0"}).status_code == 422


def test_a_proxy_is_believed_from_its_address_alone(settings: Settings, engine: Engine) -> None:
    chosen = DeskSettings(proxy_header="X-Forwarded-User", proxy_addresses=["10.0.0.0/24"])
    app = create_app(settings.model_copy(update={"desk": chosen}), engine)
    named = {"X-Forwarded-User": "carl@example.com"}
    behind = TestClient(app, base_url=ADDRESS, client=("10.0.0.7", 1))
    assert behind.get("/api/v1/session", headers=named).json() == {
        "name": "carl@example.com",
        "role": "viewer",
        "csrf": None,
    }
    elsewhere = TestClient(app, base_url=ADDRESS, client=("10.0.1.7", 1))
    assert elsewhere.get("/api/v1/session", headers=named).status_code == 401
    assert behind.get("/api/v1/session", headers={"X-Forwarded-User": "<script>"}).status_code == 403


@pytest.mark.parametrize(("proxies", "status"), [(["10.0.0.0/24"], 401), (["127.0.0.1"], 200)])
def test_nobody_takes_a_proxys_place_by_a_header(
    settings: Settings, engine: Engine, proxies: list[str], status: int
) -> None:
    """Over a socket: a peer is not the proxy that it names, and a proxy not the client that it names."""
    chosen = DeskSettings(proxy_header="X-Forwarded-User", proxy_addresses=proxies)
    app = create_app(settings.model_copy(update={"desk": chosen}), engine)
    named = b"x-forwarded-user: carl\r\nx-forwarded-for: 10.0.0.7\r\n"
    said = b"GET /api/v1/session HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + named + b"\r\n"

    async def scene() -> bytes:
        async with asyncio.timeout(60), served(app, _LIMITS) as port:
            return await say(port, said)

    assert int(asyncio.run(scene()).split(b" ", 2)[1]) == status


def test_a_proxy_without_an_address_is_refused(settings: Settings, engine: Engine) -> None:
    for chosen in (DeskSettings(proxy_header="X-User"), DeskSettings(proxy_addresses=["10.0.0.300"])):
        with pytest.raises(SettingsError, match="proxy_addresses"):
            create_app(settings.model_copy(update={"desk": chosen}), engine)


def test_every_answer_keeps_the_browser_strict(stranger: TestClient) -> None:
    for address in ("/", "/api/v1/session", "/nothing/here/at/all", "/static/none.js"):
        headers = stranger.get(address).headers
        assert headers["content-security-policy"] == CONTENT_POLICY
        assert headers["x-content-type-options"] == "nosniff"
    assert stranger.get("/api/v1/session").headers["cache-control"] == "no-store"


def test_a_rate_limit_refills() -> None:
    now = [0.0]
    limit = RateLimit(2.0, 3, lambda: now[0])
    assert [limit.take("a") for _ in range(4)] == [None, None, None, 0.5]
    assert limit.take("b") is None
    now[0] = 0.5
    assert limit.take("a") is None
    assert limit.take("a") == pytest.approx(0.5)
