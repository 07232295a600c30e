"""Variables of the environment that begin like settings: misspelt ones are refused, those of others left alone."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Iterable

from core.errors import SettingsError

PREFIX = "NEWSTIDE_"
_DOCKER_ENVIRONMENT = re.compile(r"(NEWSTIDE(?:_[A-Z0-9]+)*?)_ENV_\w+")


def variable(name: str) -> str:
    """The environment variable of the dotted setting `name`."""
    return PREFIX + name.upper().replace(".", "__")


def refuse_unknown_variables(names: Iterable[str]) -> None:
    """Raise SettingsError for each variable that looks like a setting, and is none of those with the dotted `names`."""
    known = {variable(name) for name in names}
    unknown = sorted(
        name
        for name, value in os.environ.items()
        if name.upper().startswith(PREFIX) and name.upper() not in known and not _is_service_link(name, value)
    )
    if unknown:
        faults = [f"environment variable {name} is no setting{closest(name, known)}" for name in unknown]
        raise SettingsError("\n".join(faults))


def _is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes or Docker sets the variable for a service called newstide or newstide-something.

    The value decides too: NEWSTIDE_INGEST_PUSH_PORT=8770 is a misspelt setting, tcp://10.0.0.1:8770 a link.
    """
    if "__" in name:
        return False
    if name.endswith("_NAME"):  # Docker: /container/alias
        return re.fullmatch(r"(/[\w.-]+){2,}", value) is not None
    if alias := _DOCKER_ENVIRONMENT.match(name):
        return _is_service_link(f"{alias[1]}_NAME", os.environ.get(f"{alias[1]}_NAME", ""))
    if name.endswith(("_SERVICE_HOST", "_TCP_ADDR", "_UDP_ADDR", "_SCTP_ADDR")):
        try:
            return bool(ipaddress.ip_address(value))
        except ValueError:
            return False
    if re.search(r"_SERVICE_PORT(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)_PORT$", name):
        return value.isascii() and value.isdigit()
    if re.search(r"_PORT_\d+_(TCP|UDP|SCTP)_PROTO$", name):
        return value in ("tcp", "udp", "sctp")
    if re.search(r"_PORT(_\d+_(TCP|UDP|SCTP))?$", name):
        return re.fullmatch(r"(tcp|udp|sctp)://\S+:\d+", value) is not None
    return False


def closest(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else "; `newstide settings` lists them all"
