"""Whom a login that is tried too often keeps out: who tries, and nobody else."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.settings import DeskSettings, Settings
from desk.app import create_app
from tests.desk.people import ADDRESS, PASSWORD

PROXY = "10.0.0.7"


def desk_with(settings: Settings, engine: Engine, **chosen: object) -> FastAPI:
    """A desk in which no login is given back while they are counted."""
    desk = DeskSettings.model_validate(chosen)
    app = create_app(settings.model_copy(update={"desk": desk}), engine)
    for limit in (app.state.desk.logins, app.state.desk.shared_logins, app.state.desk.name_logins):
        limit._clock = lambda: 0.0
    return app


def try_link(app: FastAPI, peer: str, *forwarded: str) -> int:
    """The status of a login with a link that somebody made up; `forwarded`: one header each."""
    return _post(app, peer, forwarded, "/link", token="made up")


def try_password(app: FastAPI, peer: str, *forwarded: str, name: str | None = None, password: str = "guessed") -> int:
    """The status of a login with a password, by another name each time where none is given."""
    return _post(app, peer, forwarded, "", name=name or uuid4().hex, password=password)


def _post(app: FastAPI, peer: str, forwarded: Iterable[str], way: str, **body: str) -> int:
    browser = TestClient(app, base_url=ADDRESS, client=(peer, 1))
    headers = [("X-Forwarded-For", one) for one in forwarded]
    return browser.post(f"/api/v1/session{way}", json=body, headers=headers).status_code


def tries(statuses: Iterable[int]) -> int:
    """How many were not refused before the first that was."""
    return sum(1 for _ in itertools.takewhile(lambda status: status != 429, statuses))


@pytest.mark.parametrize(("attempt", "most"), [(try_link, 100), (try_password, 10)])
def test_who_tries_logins_keeps_nobody_else_out(
    settings: Settings, engine: Engine, attempt: Callable[..., int], most: int
) -> None:
    """A link can't be guessed, so that whole offices may follow theirs from one address; passwords can."""
    app = desk_with(settings, engine)
    assert tries(attempt(app, "203.0.113.1") for _ in range(200)) == most
    assert attempt(app, "203.0.113.2") == 401


def test_who_guesses_a_password_does_not_keep_its_owner_out(settings: Settings, engine: Engine) -> None:
    app = desk_with(settings, engine)
    app.state.desk.accounts.add("ann", "analyst", PASSWORD)
    assert tries(try_password(app, "203.0.113.1", name="ann") for _ in range(20)) == 10
    assert {try_password(app, "203.0.113.1", name="ann") for _ in range(200)} == {429}
    assert try_password(app, "203.0.113.2", name="ann", password=PASSWORD) == 200


def test_a_password_is_guessed_from_many_addresses_no_faster_than_the_name_allows(
    settings: Settings, engine: Engine
) -> None:
    app = desk_with(settings, engine)
    desk = app.state.desk
    assert try_password(app, "203.0.113.1", name="ann") == 401
    assert sum(desk.name_logins.take("ann") is None for _ in range(200)) == 99
    for number in range(10_001):  # more than a limit remembers
        for limit in (desk.logins, desk.shared_logins):
            limit.take(f"password 2001:db8:0:{number:x}::/64")
    assert try_password(app, "203.0.113.2", name="ann") == 429
    assert try_password(app, "203.0.113.2", name="bob") == 401


def test_a_client_has_all_addresses_of_its_network(settings: Settings, engine: Engine) -> None:
    direct = desk_with(settings, engine)
    assert tries(try_password(direct, f"2001:db8:1:2::{number:x}") for number in range(100)) == 10
    assert try_password(direct, "2001:db8:1:3::1") == 401
    behind = desk_with(settings, engine, proxy_addresses=[PROXY])
    assert tries(try_password(behind, PROXY, f"2001:db8:1:2:{number:x}::1") for number in range(100)) == 10
    assert try_password(behind, PROXY, "2001:db8:1:3::1") == 401


def test_clients_of_a_trusted_proxy_are_told_apart(settings: Settings, engine: Engine) -> None:
    app = desk_with(settings, engine, proxy_addresses=["10.0.0.0/24", "2001:db8::/64"])
    assert tries(try_password(app, PROXY, "203.0.113.1") for _ in range(100)) == 10
    assert try_password(app, PROXY, "203.0.113.2") == 401
    for claimed in (
        ["198.51.100.1, 203.0.113.1"],
        ["198.51.100.1", "203.0.113.1"],
        ["198.51.100.1, 203.0.113.1, 10.0.0.8,2001:db8::1"],
        ["::ffff:203.0.113.1"],
    ):
        assert try_password(app, PROXY, *claimed) == 429, claimed
    assert try_password(app, f"::ffff:{PROXY}", "203.0.113.1") == 429
    assert try_password(app, f"::ffff:{PROXY}", "203.0.113.3") == 401


def test_nobody_else_says_for_whom_they_ask(settings: Settings, engine: Engine) -> None:
    app = desk_with(settings, engine, proxy_addresses=[PROXY])
    assert tries(try_password(app, "203.0.113.1", f"198.51.100.{number}") for number in range(100)) == 10


@pytest.mark.parametrize("forwarded", [[], ["unknown"], ["203.0.113.1, unknown"], ["10.0.0.7"]])
def test_all_behind_a_proxy_share_a_wide_limit(settings: Settings, engine: Engine, forwarded: list[str]) -> None:
    """One that nobody trusts says nothing of its clients; a trusted one may fail to."""
    unknown = desk_with(settings, engine, public_url="https://desk.test")
    trusted = desk_with(settings, engine, proxy_addresses=[PROXY])
    for app in (unknown, trusted):
        assert tries(try_link(app, PROXY, *forwarded) for _ in range(200)) == 100


def test_a_password_is_guessed_no_faster_behind_a_proxy(settings: Settings, engine: Engine) -> None:
    app = desk_with(settings, engine, public_url="https://desk.test")
    browser = TestClient(app, base_url="https://desk.test", client=(PROXY, 1))

    def guess(name: str) -> int:
        return browser.post("/api/v1/session", json={"name": name, "password": PASSWORD}).status_code

    assert tries(guess("ann") for _ in range(20)) == 10
    assert guess("bob") == 401
