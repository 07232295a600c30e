"""What every request of one desk shares."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from fastapi import Request
from sqlalchemy import Engine

from core.settings import Settings
from core.taxonomy import Taxonomy
from desk.events import Events
from desk.labelling.counter import LabelCounter
from desk.labelling.evaluation import Evaluation
from desk.labelling.live_models import LiveModels
from desk.labelling.queue import LabelQueue
from desk.security.accounts import Accounts
from desk.security.oidc import Provider
from desk.security.rate_limit import RateLimit
from desk.security.sessions import Sessions


@dataclass(frozen=True)
class Desk:
    """The parts of a running desk."""

    settings: Settings
    engine: Engine
    taxonomy: Taxonomy
    accounts: Accounts
    sessions: Sessions
    requests: RateLimit
    logins: RateLimit
    shared_logins: RateLimit  # of an address that may be everybody's
    name_logins: RateLimit  # by one name, from wherever; apart, so that no addresses make it forget names
    events: Events
    provider: Provider | None
    queue: LabelQueue
    live_models: LiveModels
    label_counter: LabelCounter
    evaluation: Evaluation
    proxies: list[ipaddress.IPv4Network | ipaddress.IPv6Network]

    @property
    def https(self) -> bool:
        """Whether people reach it over https."""
        return (self.settings.desk.public_url or "").startswith("https://")


def desk_of(request: Request) -> Desk:
    """The desk that answers `request`."""
    desk: Desk = request.app.state.desk
    return desk
