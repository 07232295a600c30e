"""Where a request may go: a feed's own host, and its redirects.

Names are resolved here, and the connection is then made to the address that was looked at: a name that resolves to
something else a moment later (DNS rebinding) changes nothing. Private addresses are for hosts that are meant to have
them: addresses written as such, names that no stranger can own, and feeds of which the operator says so. A redirect
leads there only from a private host, and never from https to http.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import urllib.request
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

from core.redaction import redact

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Names that the public DNS gives to nobody: RFC 6761, RFC 6762, RFC 8375, and ICANN's own promise of 2024.
_INSIDE = ("localhost", "local", "home.arpa", "internal")


class PrivateAddress(OSError):
    """A name of the public DNS has an address that is not public; the text says which."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.EACCES, text)

    def __str__(self) -> str:
        return str(self.strerror)


class RedirectRefused(Exception):
    """The redirect leads where none is followed; the text says why."""


@dataclass(frozen=True)
class Target:
    """A URL and the addresses to connect to, in the order of trying; none where a proxy resolves the name."""

    url: httpx.URL
    addresses: tuple[Address, ...] = ()

    def requests(self, headers: dict[str, str]) -> list[tuple[httpx.URL, dict[str, str], dict[str, str]]]:
        """URL, headers and extensions of requests for `url`, each of which connects to one of `addresses`."""
        if not self.addresses:
            return [(self.url, headers, {})]
        named = headers | {"Host": self.url.netloc.decode("ascii")}
        # The certificate has to be that of the name, not of the address.
        tls = {"sni_hostname": self.url.host}
        return [(self.url.copy_with(host=str(address)), named, tls) for address in self.addresses]


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port of `url`."""
    default = {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, url.port or default


def joined(url: httpx.URL, location: str) -> httpx.URL:
    """The address that a redirect of `url` names. Raises RedirectRefused if it is none, or no web address."""
    try:
        target = url.join(location.strip()).copy_with(fragment=None)
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        raise RedirectRefused(f"it redirects to {redact(location[:200])!r}, which is no address") from error
    if target.scheme not in ("http", "https") or not target.host:
        raise RedirectRefused(f"it redirects to {target.scheme}:, which is not followed")
    if url.scheme == "https" and target.scheme == "http":
        raise RedirectRefused(f"it redirects from https to {shown(target)}, which is not secure and not followed")
    return target


async def home(url: httpx.URL, private: bool) -> Target:
    """The target of a feed's own `url`; `private`: the operator says that it may have a private address.

    Raises PrivateAddress for one that has, against what its name says; OSError if the name has no address.
    """
    if _has_proxy(url):
        return Target(url)
    addresses = await _resolve(url.host, origin(url)[2] or 80)
    if not private:
        _check_home(url.host, addresses)
    return Target(url, tuple(addresses))


class CheckedResolver(ThreadedResolver):
    """Resolves for aiohttp, which connects to what it is given and to nothing else, by the rule of `home`."""

    def __init__(self, private: bool) -> None:
        super().__init__()
        self._private = private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        if not self._private:
            _check_home(host, [address for one in found if (address := _literal(one["host"])) is not None])
        return found


async def checked(url: httpx.URL, own: Address | None) -> Target:
    """The target of a redirect to `url` by a feed whose own server answered from the address `own`.

    Raises RedirectRefused for an address that is not public, unless `own` is such too; OSError if the name has none.
    """
    if _literal(url.host) is None and _has_proxy(url):
        return Target(url)
    addresses = await _resolve(url.host, origin(url)[2] or 80)
    for address in addresses:
        if not _allowed(address, own):
            raise RedirectRefused(
                f"it redirects to {shown(url)}, which is the private address {address}; "
                "if that is wanted, put this address into feeds.toml"
            )
    return Target(url, tuple(addresses))


@asynccontextmanager
async def opened(
    client: httpx.AsyncClient, target: Target, headers: dict[str, str], form: dict[str, str] | None = None
) -> AsyncIterator[httpx.Response]:
    """The answer of the first of the target's addresses that can be connected to; its body is not read yet.

    With a `form` it is sent (POST), else the document is asked for (GET).
    """
    method = "GET" if form is None else "POST"
    tries = target.requests(headers)
    for left, (url, sent, extensions) in zip(reversed(range(len(tries))), tries, strict=True):
        request = client.build_request(method, url, data=form, headers=sent, extensions=extensions)
        try:
            response = await client.send(request, stream=True, follow_redirects=False)
            break
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if not left:
                raise
    try:
        yield response
    finally:
        await response.aclose()


def _check_home(host: str, addresses: Iterable[Address]) -> None:
    if _is_inside(host):
        return
    for address in addresses:
        if not _is_public(address):
            raise PrivateAddress(
                f"{host} has the private address {address}, where a public name should not lead; "
                "if that is wanted, write `private = true` to it in feeds.toml"
            )


def shown(url: httpx.URL | str) -> str:
    """`url` for a message: without user and password, and without query values named like a secret."""
    return redact(str(httpx.URL(url).copy_with(username="", password="")))


def peer(response: httpx.Response) -> Address | None:
    """The address that answered; None behind a proxy, or where it is not known."""
    if _has_proxy(response.request.url):
        return None
    stream = response.extensions.get("network_stream")
    found = stream.get_extra_info("server_addr") if stream is not None else None
    return _literal(str(found[0])) if isinstance(found, tuple) and found else None


def _is_inside(host: str) -> bool:
    """Whether only the operator's own network, or the URL itself, can say which address `host` has."""
    name = host.rstrip(".").lower()
    return _literal(host) is not None or "." not in name or name.endswith(tuple(f".{end}" for end in _INSIDE))


def _is_public(address: Address) -> bool:
    return _plain(address).is_global and not _plain(address).is_multicast


def _allowed(address: Address, own: Address | None) -> bool:
    if _is_public(address):
        return True
    if own is None or _plain(own).is_global:
        return False
    # Addresses of the link are those of cloud metadata: only for a feed that itself is on the link.
    return not _plain(address).is_link_local or _plain(own).is_link_local


def _plain(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that only wraps it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


async def _resolve(host: str, port: int) -> list[Address]:
    literal = _literal(host)
    if literal is not None:
        return [literal]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [address for *_, place in found if (address := _literal(str(place[0]))) is not None]
    if not addresses:
        raise OSError(f"{host} has no address")
    return addresses


def _has_proxy(url: httpx.URL) -> bool:
    proxies = urllib.request.getproxies()
    return (url.scheme in proxies or "all" in proxies) and not urllib.request.proxy_bypass(url.host)
