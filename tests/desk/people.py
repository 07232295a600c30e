"""People who use a desk in tests."""

from __future__ import annotations

from collections.abc import Callable

from fastapi.testclient import TestClient

PASSWORD = "a long password of ann"
ADDRESS = "http://desk.test"

Login = Callable[..., TestClient]
