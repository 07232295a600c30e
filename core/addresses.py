"""Addresses that requests come from, and how far one of them tells a client from others."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_CLIENT_BITS = 64  # of IPv6: a network of this size is the least that anybody is given, and all of it is theirs


def parse_address(given: str) -> Address | None:
    """The address that `given` is, None if it is none; one of IPv4 as such, though a socket for both kinds writes it as
    one of IPv6."""
    try:
        address = ipaddress.ip_address(given)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address


def client_key(given: str) -> str:
    """What limits know the client at the address `given` by: the address, of IPv6 its network, since each client has
    more addresses there than could ever be counted."""
    address = parse_address(given)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(address), _CLIENT_BITS), strict=False))
    return str(address or given)
