"""People who may use the desk. Passwords are kept as argon2id hashes."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from datetime import datetime

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Engine

from core.errors import InputError
from core.label_lines import MAX_ANALYST_CHARACTERS
from core.store.sql import records
from desk.security.roles import ROLES, Role
from desk.security.sql import QUERIES

LEAST_PASSWORD = 12
MOST_PASSWORD = 1024  # characters; hashing more would only cost time
_NAME = re.compile(r"[\w.@+-]+(?: [\w.@+-]+)*")
_hasher = PasswordHasher()
# Each takes 64 MiB: logins from everywhere at once must not take all memory.
HASHED_AT_ONCE = 4
_hashing = threading.BoundedSemaphore(HASHED_AT_ONCE)
# Of a password that nobody knows, so that a name that does not exist takes as long as a wrong password.
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$bZ1mdroCPQ18/0HsxVy7KQ$Rl1Qn9QEzTA2feAfjGNGpfis5WNXwcqfjtJgCCWPHzM"


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may use the desk; `name` is also the analyst of their labels."""

    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None = None
    has_password: bool = False


class Accounts:
    """The accounts in one store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(self) -> list[Account]:
        """All of them by name, disabled ones too."""
        with self._engine.connect() as connection:
            return records(Account, connection.execute(QUERIES["accounts"]))

    def find(self, name: str) -> Account | None:
        return next((account for account in self.list() if account.name == name), None)

    def add(self, name: str, role: str, password: str | None = None, subject: str | None = None) -> bool:
        """Add an account; False if there is one of that name. Raises InputError for a name, role or password that
        can't be."""
        values = {
            "name": checked_name(name),
            "role": checked_role(role),
            "password_hash": None if password is None else _hash(password),
            "subject": subject,
        }
        with self._engine.begin() as connection:
            return connection.execute(QUERIES["add_account"], values).first() is not None

    def change(
        self, name: str, *, role: str | None = None, password: str | None = None, disabled: bool | None = None
    ) -> bool:
        """Change what is given, and end the account's sessions; False if there is no such account.

        A new password, disabling and enabling end its API tokens and login links too. A role does not: no token may do
        more than its account.
        """
        values = {
            "name": name,
            "role": None if role is None else checked_role(role),
            "password_hash": None if password is None else _hash(password),
            "disabled": disabled,
        }
        with self._engine.begin() as connection:
            if connection.execute(QUERIES["change_account"], values).first() is None:
                return False
            connection.execute(QUERIES["end_sessions_of"], {"name": name})
            if password is not None or disabled is not None:
                connection.execute(QUERIES["end_tokens_of"], {"name": name})
            return True

    def verify(self, name: str, password: str) -> bool:
        """Whether `password` is that of an account that is not disabled. Takes as long where there is none."""
        with self._engine.connect() as connection:
            row = connection.execute(QUERIES["account"], {"name": name}).one_or_none()
        stored = row.password_hash if row is not None and row.disabled_at is None else None
        try:
            with _hashing:
                return _hasher.verify(stored or NOBODY, password[:MOST_PASSWORD]) and stored is not None
        except (VerificationError, InvalidHashError):
            return False

    def of_subject(self, subject: str) -> Account | None:
        """The account that an identity provider knows as `subject`."""
        with self._engine.connect() as connection:
            found = records(Account, connection.execute(QUERIES["account_of_subject"], {"subject": subject}))
        return found[0] if found else None


def checked_name(name: str) -> str:
    """`name`, if it can be one of an account. Raises InputError otherwise."""
    if not _NAME.fullmatch(name) or len(name) > MAX_ANALYST_CHARACTERS:
        raise InputError(
            f"account {name[:40]!r}: expected a name of 1 to {MAX_ANALYST_CHARACTERS} letters, digits and . @ + - _"
        )
    return name


def checked_role(role: str) -> Role:
    """`role`, if it is one. Raises InputError otherwise."""
    for known in ROLES:
        if role == known:
            return known
    raise InputError(f"role {role[:40]!r} does not exist; expected {', '.join(ROLES)}")


def _hash(password: str) -> str:
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise InputError(f"a password needs {LEAST_PASSWORD} to {MOST_PASSWORD} characters")
    with _hashing:
        return _hasher.hash(password)
