"""Hashing a password takes 64 MiB: many logins at once must not take all memory, and all are answered."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher

from desk.context import Desk
from desk.security import accounts

PASSWORD = "a long enough password"
AT_ONCE = 2 * accounts.HASHED_AT_ONCE


class Counting:
    """A hasher that counts who hashes, and lets nobody go before as many do as may."""

    def __init__(self) -> None:
        self.most = 0
        self._hasher = PasswordHasher()
        self._together = threading.Barrier(accounts.HASHED_AT_ONCE, timeout=30)
        self._now = 0
        self._lock = threading.Lock()

    def verify(self, stored: str, password: str) -> bool:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self._together.wait()
        try:
            return bool(self._hasher.verify(stored, password))
        finally:
            with self._lock:
                self._now -= 1


def test_few_passwords_are_hashed_at_once_and_all_are_answered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.accounts.add("ann", "viewer", PASSWORD)
    counting = Counting()
    monkeypatch.setattr(accounts, "_hasher", counting)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        tried = [PASSWORD if number % 2 else "not it at all" for number in range(AT_ONCE)]
        answers = list(threads.map(lambda password: desk.accounts.verify("ann", password), tried))
    assert answers == [password == PASSWORD for password in tried]
    assert counting.most == accounts.HASHED_AT_ONCE


def test_where_there_is_no_account_as_much_is_hashed() -> None:
    assert not PasswordHasher().check_needs_rehash(accounts.NOBODY), "other parameters: make it anew"
