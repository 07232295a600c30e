"""The desk of a stack: where it is, and the way in for whoever started the stack."""

from __future__ import annotations

import socket

from core.settings import DeskSettings, Settings
from core.store.connection import open_engine
from desk.security.accounts import Accounts
from desk.security.sessions import Sessions

ADMIN = "admin"
_LINK_MINUTES = 12 * 60


def desk_port(settings: DeskSettings) -> int:
    """The port that is set, or a free one where that is taken: a second stack must not fail for want of a port."""
    for port in (settings.port, 0):
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return settings.port  # the desk itself says what is wrong with the address


def desk_address(settings: DeskSettings, port: int) -> str:
    """Where people find the desk that listens on `port`; on this machine, where it listens on all addresses."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    host = f"[{host}]" if ":" in host else host
    return settings.public_url or f"http://{host}:{port}"


def listens(settings: DeskSettings, port: int) -> bool:
    """Whether somebody answers there by now."""
    try:
        socket.create_connection((settings.host, port), timeout=0.2).close()
    except OSError:
        return False
    return True


def invite(settings: Settings, address: str) -> str:
    """The address that logs in once as the admin of the store of `settings`, who is made if need be."""
    engine = open_engine(settings, pool_size=1)
    try:
        Accounts(engine).add(ADMIN, "admin")
        token = Sessions(engine, settings.desk.session_hours).make_link(ADMIN, _LINK_MINUTES)
    finally:
        engine.dispose()
    return login_address(address, token)


def login_address(address: str, token: str) -> str:
    """The address that logs in once. The token stands behind #, which no server and no log gets to see."""
    return f"{address.rstrip('/')}/login#token={token}"
