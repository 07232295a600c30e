"""`newstide demo` beside what it must leave alone: another demo, a database in use, the settings of production."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest
from pydantic import SecretStr

from core.settings import IngestSettings, ModelsSettings, Settings, load_settings
from newstide.commands.demo import demo_settings
from newstide.embedded.postgres import EmbeddedPostgres
from newstide.stack.plan import hand_down
from newstide.stack.resources import AlreadyRunning, exclusive
from tests.newstide.stacks import RunningStack, newstide

PRODUCTION = """
[kafka]
bootstrap_servers = "kafka.invalid:9093"
security_protocol = "SASL_SSL"
sasl_username = "newstide"
sasl_password = "secret"
[database]
url = "postgresql://newstide@db.invalid/newstide"
sslmode = "verify-full"
[embedded]
database_port = 1
broker_port = 1
[models]
shelf = "s3://production/models"
[alerting]
webhook_url = "http://receiver.invalid/"
[desk]
public_url = "https://desk.invalid"
local_accounts = false
oidc_issuer = "https://login.invalid"
oidc_client_id = "desk"
proxy_header = "X-Forwarded-User"
proxy_addresses = ["127.0.0.1"]
"""


@pytest.mark.timeout(300)
def test_production_does_not_reach_into_it_and_a_second_one_is_refused(tmp_path: Path) -> None:
    """One demo for both: starting it is what takes the time."""
    (tmp_path / "newstide.toml").write_text(PRODUCTION)
    surroundings = {"NEWSTIDE_DESK__PORT": "0", "NEWSTIDE_DATABASE__SSLMODE": "verify-ca"}
    home = tmp_path / "newstide"
    with RunningStack(tmp_path, command=("demo",), **surroundings) as stack:
        stack.wait_for(lambda: bool(stack.lines("the desk:")), "the address of the desk")
        address = stack.lines("the desk:")[0].removeprefix("the desk: ").partition("/login#")[0]
        assert address.startswith("http://127.0.0.1:")
        methods = httpx.get(f"{address}/api/v1/session/methods").json()
        assert (methods["password"], methods["oidc"]) == (True, False)
        stack.wait_for(lambda: any((home / "demo" / "replay").glob("*.json")), "a checkpoint of the replay")
        assert [entry.name for entry in home.iterdir()] == ["demo"], "its processes leave nothing elsewhere"
        second = newstide(tmp_path, "demo", "--until-drained", **surroundings)
        assert second.returncode == 1
        assert "a stack runs already in" in second.stderr
        assert (home / "demo" / "postgres" / "data" / "PG_VERSION").exists()
        assert stack.end() == 0, stack.said()
    assert "starting it again" not in stack.said()


def test_a_stack_that_begins_anew_keeps_the_lock_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "desk.log").touch()
    (tmp_path / "broker.json").touch()
    with exclusive(tmp_path):
        lock = (tmp_path / "up.lock").stat().st_ino
    with exclusive(tmp_path, anew=True):
        assert [entry.name for entry in tmp_path.iterdir()] == ["up.lock"]
        assert (tmp_path / "up.lock").stat().st_ino == lock
        with pytest.raises(AlreadyRunning), exclusive(tmp_path, anew=True):
            pass


def test_a_database_that_a_command_uses_is_not_removed(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        with pytest.raises(AlreadyRunning, match=rf"a command uses the database .*\(process {server.pid}\)"):
            with exclusive(tmp_path, anew=True):
                pass
        assert (server.data / "PG_VERSION").exists()
    with exclusive(tmp_path, anew=True):
        assert not server.home.exists()


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings of production in the file and in the environment, which is as before in the end."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "newstide.toml").write_text(PRODUCTION)
    with patch.dict(os.environ, {"newstide_database__sslmode": "verify-ca", "NEWSTIDE_DESK": '{"port": 1234}'}):
        yield


def test_what_is_handed_down_is_what_children_load(surroundings: None) -> None:
    own = demo_settings(load_settings())
    assert own.desk.port == 1234
    hand_down(own, "kafka", "database", "embedded", "ingest", "models", "alerting", "desk")
    assert load_settings() == own


def test_passwords_and_lists_are_handed_down(surroundings: None) -> None:
    own = Settings(
        ingest=IngestSettings(push_token=SecretStr("token"), push_sources=["wire"]),
        models=ModelsSettings(trusted_keys=[Path("key.pem")]),
    )
    hand_down(own, "ingest", "models")
    loaded = load_settings()
    assert (loaded.ingest, loaded.models) == (own.ingest, own.models)
