"""Sessions of browsers, links that log in once, and tokens of programs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Engine

from core.errors import InputError
from core.store.sql import records
from desk.security.accounts import checked_role
from desk.security.roles import Role, lesser
from desk.security.sql import QUERIES
from desk.security.tokens import new_token, token_hash

MOST_TOKEN_NAME = 100


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sends a request. `csrf` is set for a browser's session: what changes anything has to repeat it."""

    name: str
    role: Role
    csrf: str | None = None
    session: str | None = None


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A program's token, without the token itself."""

    id: UUID
    account: str
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class Sessions:
    """The sessions, links and tokens in one store; a session lasts `hours`."""

    def __init__(self, engine: Engine, hours: int) -> None:
        self._engine = engine
        self.hours = hours

    def begin(self, account: str) -> str:
        """A new session of `account`: the token for its cookie."""
        token = new_token()
        values = {"token": token_hash(token), "account": account, "csrf": new_token(), "hours": self.hours}
        with self._engine.begin() as connection:
            connection.execute(QUERIES["forget_expired"])
            connection.execute(QUERIES["begin_session"], values)
        return token

    def of_cookie(self, token: str) -> Principal | None:
        """Whose session it is, None if it has ended."""
        with self._engine.connect() as connection:
            row = connection.execute(QUERIES["session"], {"token": token_hash(token)}).one_or_none()
        return None if row is None else Principal(row.name, row.role, row.csrf, token)

    def end(self, token: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(QUERIES["end_session"], {"token": token_hash(token)})

    def make_link(self, account: str, minutes: int) -> str:
        """A token that begins one session of `account`, within so many minutes."""
        token = new_token()
        with self._engine.begin() as connection:
            values = {"token": token_hash(token), "account": account, "minutes": minutes}
            connection.execute(QUERIES["add_link"], values)
        return token

    def take_link(self, token: str) -> str | None:
        """The account of a link, which is used up by that; None if it is not good any more."""
        with self._engine.begin() as connection:
            row = connection.execute(QUERIES["take_link"], {"token": token_hash(token)}).one_or_none()
        return None if row is None else str(row.name)

    def make_api_token(self, account: str, name: str, role: str, days: int | None = None) -> tuple[UUID, str]:
        """A new token of a program: its id, and the token, which is shown this once."""
        if not 0 < len(name.strip()) <= MOST_TOKEN_NAME:
            raise InputError(f"a token needs a name of 1 to {MOST_TOKEN_NAME} characters, to be known by")
        number, token = uuid4(), new_token()
        values = {
            "id": number,
            "token": token_hash(token),
            "account": account,
            "name": name.strip(),
            "role": checked_role(role),
            "days": days,
        }
        with self._engine.begin() as connection:
            connection.execute(QUERIES["add_token"], values)
        return number, token

    def of_api_token(self, token: str) -> Principal | None:
        """Whose token it is, None if it is not valid."""
        with self._engine.connect() as connection:
            row = connection.execute(QUERIES["token"], {"token": token_hash(token)}).one_or_none()
        return None if row is None else Principal(row.name, lesser(row.account_role, row.role))

    def api_tokens(self, account: str | None) -> list[ApiToken]:
        """The tokens of `account`, or of all."""
        with self._engine.connect() as connection:
            return records(ApiToken, connection.execute(QUERIES["tokens"], {"account": account}))

    def revoke_api_token(self, number: UUID, account: str | None) -> bool:
        """End a token, of `account` if given; False if there is none such."""
        with self._engine.begin() as connection:
            values = {"id": number, "account": account}
            return connection.execute(QUERIES["revoke_token"], values).first() is not None
