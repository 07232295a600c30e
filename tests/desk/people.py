"""People who use a desk in tests."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from fastapi.testclient import TestClient

from desk.security.identity import CSRF_HEADER

PASSWORD = "a long password of ann"
ADDRESS = "http://desk.test"

Login = Callable[..., TestClient]


def log_in(app: FastAPI, name: str = "ann", role: str = "analyst", password: str | None = None) -> TestClient:
    """Make an account; a browser in which it is logged in: with its `password`, or with a link where it has none, which
    takes no time for hashing."""
    desk = app.state.desk
    desk.accounts.add(name, role, password)
    browser = TestClient(app, base_url=ADDRESS)
    if password is None:
        answer = browser.post("/api/v1/session/link", json={"token": desk.sessions.make_link(name, minutes=5)})
    else:
        answer = browser.post("/api/v1/session", json={"name": name, "password": password})
    assert answer.status_code == 200, answer.text
    browser.headers[CSRF_HEADER] = answer.json()["csrf"]
    return browser
