"""Logging in at a real OpenID Connect provider on this machine."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import oidc_provider_mock
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import Engine

from core.errors import SettingsError
from core.settings import DeskSettings, Settings
from desk.app import create_app
from desk.security import oidc
from tests.desk.conftest import ADDRESS

CALLBACK = "/api/v1/session/oidc/callback"


@pytest.fixture
def issuer() -> Iterator[str]:
    claims: dict[str, object] = {"preferred_username": "dora", "newstide_role": "analyst"}
    users = [oidc_provider_mock.User(sub="d1", claims=claims)]
    with oidc_provider_mock.run_server_in_thread(user_claims=users) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def chosen(settings: Settings, issuer: str) -> Settings:
    desk = DeskSettings(oidc_issuer=issuer, oidc_client_id="desk", oidc_client_secret=SecretStr("shared secret"))
    return settings.model_copy(update={"desk": desk})


def leave(browser: TestClient) -> str:
    """Begin a login: the address at the provider."""
    answer = browser.get("/api/v1/session/oidc", follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def agree(address: str, subject: str = "d1") -> str:
    """Log in as `subject` at the provider: where it sends the browser back to, as path and query."""
    back = httpx.post(address, data={"sub": subject}).headers["location"]
    parts = urlsplit(back)
    return f"{parts.path}?{parts.query}"


def test_somebody_logs_in_and_comes_back(chosen: Settings, engine: Engine) -> None:
    app = create_app(chosen, engine)
    for _ in range(2):
        browser = TestClient(app, base_url=ADDRESS)
        address = leave(browser)
        asked = parse_qs(urlsplit(address).query)
        assert (asked["code_challenge_method"], asked["redirect_uri"]) == (["S256"], [ADDRESS + CALLBACK])
        answer = browser.get(agree(address), follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        me = browser.get("/api/v1/session").json()
        assert (me["name"], me["role"]) == ("dora", "analyst")
    assert [account.name for account in app.state.desk.accounts.list()] == ["dora"]


def test_who_has_no_role_there_may_be_turned_away(chosen: Settings, engine: Engine) -> None:
    desk = DeskSettings.model_validate(
        chosen.desk.model_dump() | {"oidc_role_claim": "no such claim", "oidc_default_role": ""}
    )
    browser = TestClient(create_app(chosen.model_copy(update={"desk": desk}), engine), base_url=ADDRESS)
    answer = browser.get(agree(leave(browser)), follow_redirects=False)
    assert (answer.status_code, "gives you no role" in answer.json()["detail"]) == (403, True)
    assert browser.get("/api/v1/session").status_code == 401


def test_a_login_ends_in_the_browser_it_began_in(chosen: Settings, engine: Engine) -> None:
    app = create_app(chosen, engine)
    one, other = TestClient(app, base_url=ADDRESS), TestClient(app, base_url=ADDRESS)
    back = agree(leave(one))
    leave(other)
    assert other.get(back, follow_redirects=False).status_code == 403
    assert one.get(back, follow_redirects=False).status_code == 303
    assert one.get(back, follow_redirects=False).status_code == 403, "a login is finished once"


def test_a_login_that_was_refused_or_made_up_lets_nobody_in(chosen: Settings, engine: Engine) -> None:
    browser = TestClient(create_app(chosen, engine), base_url=ADDRESS)
    state = parse_qs(urlsplit(leave(browser)).query)["state"][0]
    assert browser.get(f"{CALLBACK}?state={state}&error=access_denied").status_code == 403
    state = parse_qs(urlsplit(leave(browser)).query)["state"][0]
    assert browser.get(f"{CALLBACK}?state={state}&code=made-up").status_code == 403
    assert browser.get("/api/v1/session").status_code == 401


def test_an_account_that_is_disabled_stays_out(chosen: Settings, engine: Engine) -> None:
    app = create_app(chosen, engine)
    browser = TestClient(app, base_url=ADDRESS)
    browser.get(agree(leave(browser)), follow_redirects=False)
    app.state.desk.accounts.change("dora", disabled=True)
    assert browser.get(agree(leave(browser)), follow_redirects=False).status_code == 403


def test_a_provider_that_is_away_is_named(settings: Settings, engine: Engine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        desk = DeskSettings(oidc_issuer=f"http://127.0.0.1:{taken.getsockname()[1]}", oidc_client_id="desk")
        browser = TestClient(create_app(settings.model_copy(update={"desk": desk}), engine), base_url=ADDRESS)
        answer = browser.get("/api/v1/session/oidc", follow_redirects=False)
    assert (answer.status_code, "identity provider" in answer.json()["detail"]) == (502, True)


def test_a_provider_that_says_nothing_holds_up_few(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "_TIMEOUT_S", 3.0)
    monkeypatch.setattr(oidc, "_AWAY_S", 600.0)
    waited: list[float] = []

    def begin(app: FastAPI, number: int) -> None:
        browser = TestClient(app, base_url=ADDRESS, client=(f"203.0.113.{number}", 1))
        since = time.monotonic()
        assert browser.get("/api/v1/session/oidc", follow_redirects=False).status_code == 502
        waited.append(time.monotonic() - since)

    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        desk = DeskSettings(oidc_issuer=f"http://127.0.0.1:{silent.getsockname()[1]}", oidc_client_id="desk")
        app = create_app(settings.model_copy(update={"desk": desk}), engine)
        threads = [threading.Thread(target=begin, args=(app, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        begin(app, 8)
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):  # one alone asked
            silent.accept()
    assert len(waited) == 9
    assert sum(seconds > 2.9 for seconds in waited) == 1


def test_a_provider_that_comes_back_is_asked_again(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "_AWAY_S", 0.2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    desk = DeskSettings(oidc_issuer=f"http://localhost:{port}", oidc_client_id="desk")
    browser = TestClient(create_app(settings.model_copy(update={"desk": desk}), engine), base_url=ADDRESS)
    assert browser.get("/api/v1/session/oidc", follow_redirects=False).status_code == 502
    with oidc_provider_mock.run_server_in_thread(port=port):
        time.sleep(0.2)
        assert browser.get("/api/v1/session/oidc", follow_redirects=False).status_code == 303


def test_logins_at_a_provider_can_not_be_begun_for_ever(chosen: Settings, engine: Engine) -> None:
    app = create_app(chosen, engine)
    app.state.desk.shared_logins._clock = lambda: 0.0
    one, other = (TestClient(app, base_url=ADDRESS, client=(f"203.0.113.{number}", 1)) for number in range(2))
    for address, status in (("/api/v1/session/oidc", 303), (f"{CALLBACK}?state=made-up", 403)):
        statuses = [one.get(address, follow_redirects=False).status_code for _ in range(101)]
        assert statuses == [status] * 100 + [429]
        assert other.get(address, follow_redirects=False).status_code == status


def test_a_login_is_begun_by_going_there(chosen: Settings, engine: Engine) -> None:
    """A picture on a page of another site, or a script, takes none of anybody's logins."""
    app = create_app(chosen, engine)
    browser = TestClient(app, base_url=ADDRESS)
    for mode, status in (("no-cors", 403), ("cors", 403), ("navigate", 303)):
        headers = {"Sec-Fetch-Mode": mode}
        answer = browser.get("/api/v1/session/oidc", headers=headers, follow_redirects=False)
        assert (answer.status_code, "set-cookie" in answer.headers) == (status, status == 303), mode


@pytest.mark.parametrize(
    ("given", "missing"),
    [({"oidc_issuer": "https://id.test"}, "oidc_client_id"), ({"oidc_issuer": "http://id.test"}, "https")],
)
def test_half_a_provider_is_refused(settings: Settings, engine: Engine, given: dict[str, str], missing: str) -> None:
    desk = DeskSettings.model_validate({"oidc_client_id": "desk"} | given if missing == "https" else given)
    with pytest.raises(SettingsError, match=missing):
        create_app(settings.model_copy(update={"desk": desk}), engine)
