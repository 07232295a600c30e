"""TLS to a real Postgres, whose certificate is checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from core.errors import DatabaseUnreachable, SettingsError
from core.settings import Settings, load_settings
from core.store.connection import connect, open_engine, wait_for_database
from core.store.migration import migrate
from newstide.embedded import postgres as embedded
from newstide.embedded.account import find_account
from newstide.embedded.postgres import EmbeddedPostgres
from tests.certificates import Authority

# The embedded one is built without OpenSSL.
SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))

pytestmark = pytest.mark.skipif(not SERVERS, reason="no Postgres with TLS here (Debian's package postgresql)")


@dataclass(frozen=True)
class Secured:
    """A server with a certificate of `authority` for 127.0.0.1 and `database.internal`."""

    url: str
    authority: Path
    stranger: Path

    def settings(self, **database: object) -> Settings:
        # Far longer than a test may take: whoever waits fails it.
        return load_settings(database={"url": self.url, "start_timeout_s": 3600, **database})


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    directory = tmp_path_factory.mktemp("secured")
    authority, stranger = Authority(directory, "authority"), Authority(directory, "stranger")
    server = authority.issue("database.internal", "127.0.0.1")
    account = find_account(directory, SERVERS[-1])
    for path in (server.key, server.certificate):
        account.give(path)
    tls = {"ssl": "on", "ssl_cert_file": str(server.certificate), "ssl_key_file": str(server.key)}
    running = EmbeddedPostgres(directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "_find_binaries", lambda: SERVERS[-1].parent)
        patch.setattr(embedded, "_SETTINGS", embedded._SETTINGS | tls)
        running.start()
    try:
        yield Secured(running.url, authority.path, stranger.path)
    finally:
        running.stop()


def test_every_connection_is_encrypted_and_checked(secured: Secured) -> None:
    settings = secured.settings(sslmode="verify-full", sslrootcert=secured.authority)
    wait_for_database(settings)
    engine = open_engine(settings)
    migrate(engine)
    mine = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    with engine.connect() as read, connect(settings) as written:
        assert tuple(read.execute(text(mine)).one()) == written.execute(mine).fetchone() == (True, "TLSv1.3")
    engine.dispose()


@pytest.mark.parametrize(
    ("host", "said"), [("127.0.0.1", "certificate verify failed"), ("localhost", "does not match host name")]
)
def test_a_server_that_is_not_the_one_is_not_talked_to(secured: Secured, host: str, said: str) -> None:
    authority = secured.authority if host == "localhost" else secured.stranger
    settings = Secured(secured.url.replace("127.0.0.1", host), authority, authority).settings(
        sslmode="verify-full", sslrootcert=authority
    )
    with pytest.raises(DatabaseUnreachable, match=rf"{said}.*sslrootcert"):
        wait_for_database(settings)


def test_a_server_without_tls_is_not_talked_to(secured: Secured, database_url: str) -> None:
    settings = load_settings(
        database={
            "url": database_url,
            "sslmode": "verify-full",
            "sslrootcert": secured.authority,
            "start_timeout_s": 3600,
        }
    )
    with pytest.raises(DatabaseUnreachable, match="does not support SSL"):
        wait_for_database(settings)


def test_a_file_that_is_not_there_is_named(secured: Secured) -> None:
    with pytest.raises(SettingsError, match=r"`database\.sslrootcert`.*no such file"):
        connect(secured.settings(sslmode="verify-full", sslrootcert=Path("/nowhere.pem")))
    with pytest.raises(DatabaseUnreachable, match="certificate verify failed"):
        wait_for_database(secured.settings(sslmode="verify-full", sslrootcert="system"))
