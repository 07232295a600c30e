"""People who use a desk in tests."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from fastapi.testclient import TestClient

from desk.security.identity import CSRF_HEADER

PASSWORD = "a long password of ann"
ADDRESS = "http://desk.test"

Login = Callable[..., TestClient]


def log_in(app: FastAPI, name: str = "ann", role: str = "analyst") -> TestClient:
    """Make an account; a browser in which it is logged in."""
    app.state.desk.accounts.add(name, role, PASSWORD)
    browser = TestClient(app, base_url=ADDRESS)
    answer = browser.post("/api/v1/session", json={"name": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    browser.headers[CSRF_HEADER] = answer.json()["csrf"]
    return browser
