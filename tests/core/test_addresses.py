"""Which client an address is of."""

from __future__ import annotations

import pytest

from core.addresses import client_key


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("203.0.113.1", "203.0.113.1"),
        ("::ffff:203.0.113.1", "203.0.113.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_a_client_is_known_by_its_address_or_its_network(given: str, key: str) -> None:
    assert client_key(given) == key
