"""Where a request comes from: the peer of its connection, and the client that a trusted proxy names."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from fastapi import Request

from core.addresses import Address, client_key, parse_address
from core.errors import SettingsError
from core.settings import DeskSettings
from desk.context import Desk

Networks = list[ipaddress.IPv4Network | ipaddress.IPv6Network]
_FORWARDED = "x-forwarded-for"


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request comes from, as limits know it (`client_key`). `shared`: it may be a proxy, and so everybody."""

    key: str
    shared: bool


def proxy_networks(settings: DeskSettings) -> Networks:
    """Where trusted proxies may be. Raises SettingsError for an address that is none, or a header without one."""
    if settings.proxy_header and not settings.proxy_addresses:
        raise SettingsError(
            "setting `desk.proxy_header` needs `desk.proxy_addresses`: without them anybody could name anybody"
        )
    try:
        return [ipaddress.ip_network(address) for address in settings.proxy_addresses]
    except ValueError as error:
        raise SettingsError(
            f"setting `desk.proxy_addresses`: {error}; expected addresses such as 10.0.0.7 or 10.0.0.0/24"
        ) from None


def is_of_proxy(request: Request, desk: Desk) -> bool:
    """Whether the peer is a trusted proxy; no header says so."""
    return _is_in(parse_address(_peer(request)), desk.proxies)


def client_of(request: Request, desk: Desk) -> Client:
    """The peer; of a trusted proxy the last address in `X-Forwarded-For` that is none of a trusted proxy, since
    whoever sends a request may write what they like before it."""
    peer = _peer(request)
    if not is_of_proxy(request, desk):
        return Client(client_key(peer), shared=desk.settings.desk.public_url is not None)
    for hop in reversed(",".join(request.headers.getlist(_FORWARDED)).split(",")):
        address = parse_address(hop.strip())
        if address is None:
            break
        if not _is_in(address, desk.proxies):
            return Client(client_key(str(address)), shared=False)
    return Client(client_key(peer), shared=True)


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""


def _is_in(address: Address | None, networks: Networks) -> bool:
    return address is not None and any(address in network for network in networks)
