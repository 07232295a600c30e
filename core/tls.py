"""TLS as a client: one context from PEM files, and what is wrong where a handshake fails."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from pathlib import Path

from core.errors import SettingsError

_ALERT_S = 1.0  # with TLS 1.3 a server says after the handshake that it misses the client's certificate
_HOPELESS = ("certificate", "unknown ca", "wrong version number", "protocol version", "handshake failure")


def client_context(
    cafile: Path | None, certfile: Path | None, keyfile: Path | None, password: str | None, section: str
) -> ssl.SSLContext:
    """A context of TLS 1.2 or later that checks the server's certificate and host name.

    Without `cafile` the system's authorities are trusted. Raises SettingsError naming the setting in `section`.
    """
    files = {"ssl_cafile": cafile, "ssl_certfile": certfile, "ssl_keyfile": keyfile}
    for name, path in files.items():
        if path is not None and not path.is_file():
            raise SettingsError(f"setting `{section}.{name}` is {str(path)!r}; there is no such file")
    if keyfile is not None and certfile is None:
        raise SettingsError(f"setting `{section}.ssl_keyfile` needs `{section}.ssl_certfile`, the key's certificate")
    try:
        context = ssl.create_default_context(cafile=str(cafile) if cafile else None)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(f"setting `{section}.ssl_cafile`: {cafile} holds no PEM certificate ({error})") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certfile is not None:
        try:
            # An empty answer, where OpenSSL would ask the terminal for the key's password.
            context.load_cert_chain(certfile, keyfile, password or "")
        except (ssl.SSLError, OSError) as error:
            raise SettingsError(
                f"settings `{section}.ssl_certfile` and `{section}.ssl_keyfile`: {certfile} and {keyfile or certfile} "
                f"hold no certificate and its key in PEM, or the key needs `{section}.ssl_password` ({error})"
            ) from error
    return context


def handshake_fault(addresses: Iterable[str], context: ssl.SSLContext, timeout_s: float) -> str | None:
    """Why no later try at any of `addresses` (`host:port`) can succeed; None where one may.

    Only faults of certificates and protocols count: a server that does not answer may be starting.
    """
    faults = [_fault(address, context, timeout_s) for address in addresses]
    return next(iter(faults), None) if all(faults) else None


def _fault(address: str, context: ssl.SSLContext, timeout_s: float) -> str | None:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        with (
            socket.create_connection((host, int(port)), timeout_s) as connection,
            context.wrap_socket(connection, server_hostname=host) as secured,
        ):
            secured.settimeout(_ALERT_S)
            secured.recv(1)
    except ssl.SSLCertVerificationError as error:
        return f"the certificate of {address} is not trusted: {error.verify_message}"
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        return f"{address} refuses the TLS handshake: {reason}" if any(map(reason.__contains__, _HOPELESS)) else None
    except (OSError, ValueError):
        pass
    return None
