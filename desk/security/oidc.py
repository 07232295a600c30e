"""Logging in at an OpenID Connect provider: the authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636).

Authlib speaks OAuth, joserfc checks the id token. The login under way is kept in the store and bound to the browser by
a cookie, so that nobody can finish a login in somebody else's browser.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from core.errors import SettingsError
from core.settings import DeskSettings
from desk.problems import Problem
from desk.security.roles import ROLES, Role

log = logging.getLogger(__name__)

SCOPE = "openid profile email"
_DISCOVERY = "/.well-known/openid-configuration"
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]  # none of them symmetric, nor `none`
_TIMEOUT_S = 10.0
_PATIENCE_S = 1.0  # while another login waits for the provider
_AWAY_S = 5.0  # that a provider which does not answer is not asked again
_LEEWAY_S = 60  # that the clocks of desk and provider may differ


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the provider vouches for. `subject` is unique among all providers."""

    subject: str
    name: str
    role: Role


class Provider:
    """One provider; what it publishes of itself is read at the first login, its keys again when they change.

    One that does not answer is not asked again for some seconds, and until it is known by one login at a time, so that
    waiting for it does not take all threads of the desk.
    """

    def __init__(self, settings: DeskSettings) -> None:
        self._settings = settings
        self._issuer = (settings.oidc_issuer or "").rstrip("/")
        self._discovering = threading.Lock()
        self._metadata: dict[str, Any] = {}
        self._away_until = 0.0  # by the monotonic clock

    def authorization_url(self, redirect: str, state: str, nonce: str, verifier: str) -> str:
        """Where to send the browser. Raises Problem 502 where the provider does not answer."""
        metadata = self._discover()
        with self._client(redirect) as client:
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier
            )
        return str(url)

    def person(self, redirect: str, code: str, nonce: str, verifier: str) -> Person:
        """Whom the `code` of a login stands for.

        Raises Problem 502 for a provider that fails, 403 for a token that does not hold or a person without a role.
        """
        metadata = self._discover()
        self._refuse_while_away()
        try:
            with self._client(redirect) as client:
                token = client.fetch_token(
                    metadata["token_endpoint"], code=code, code_verifier=verifier, timeout=_TIMEOUT_S
                )
            keys = _fetch(metadata["jwks_uri"])
        except AuthlibBaseError as error:
            raise Problem(HTTPStatus.FORBIDDEN, f"the identity provider refused the login: {error.error}") from error
        except (requests.RequestException, ValueError) as error:
            raise self._away(error) from error
        return self._checked(token.get("id_token", ""), keys, nonce)

    def _checked(self, id_token: str, keys: dict[str, Any], nonce: str) -> Person:
        try:
            claims = jwt.decode(id_token, KeySet.import_key_set(keys), _ALGORITHMS).claims  # type: ignore[arg-type]
            jwt.JWTClaimsRegistry(
                leeway=_LEEWAY_S,
                iss={"essential": True, "value": self._metadata["issuer"]},
                aud={"essential": True, "value": self._settings.oidc_client_id or ""},
                exp={"essential": True},
                sub={"essential": True},
                nonce={"essential": True, "value": nonce},
            ).validate(claims)
        except (JoseError, ValueError, KeyError) as error:
            log.warning("an id token does not hold: %s", error)
            raise Problem(HTTPStatus.FORBIDDEN, "the identity provider's token does not hold; log in again") from error
        name = next((claims[key] for key in ("preferred_username", "email", "sub") if claims.get(key)), "")
        return Person(f"{self._issuer}|{claims['sub']}", str(name), self._role(claims))

    def _role(self, claims: dict[str, Any]) -> Role:
        given = claims.get(self._settings.oidc_role_claim)
        values = given if isinstance(given, list) else [given]
        found = [role for role in ROLES if role in values]
        role = found[-1] if found else self._settings.oidc_default_role
        if not role:
            raise Problem(HTTPStatus.FORBIDDEN, "the identity provider gives you no role here; ask who runs it")
        return role

    def _client(self, redirect: str) -> OAuth2Session:
        secret = self._settings.oidc_client_secret
        return OAuth2Session(
            self._settings.oidc_client_id,
            secret.get_secret_value() if secret else None,
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
            scope=SCOPE,
            redirect_uri=redirect,
            code_challenge_method="S256",
        )

    def _discover(self) -> dict[str, Any]:
        if not self._metadata:
            self._refuse_while_away()
            if not self._discovering.acquire(timeout=_PATIENCE_S):
                raise _no_answer()
            try:
                self._refuse_while_away()
                self._metadata = self._metadata or self._read_metadata()
            finally:
                self._discovering.release()
        return self._metadata

    def _read_metadata(self) -> dict[str, Any]:
        try:
            answer = _fetch(self._issuer + _DISCOVERY)
            needed = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
            found = {name: str(answer[name]) for name in needed}
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise self._away(error) from error
        if found["issuer"].rstrip("/") != self._issuer:
            log.warning("%s calls itself %s", self._issuer, found["issuer"])
            raise Problem(HTTPStatus.BAD_GATEWAY, "the identity provider is not the one of `desk.oidc_issuer`")
        return found

    def _refuse_while_away(self) -> None:
        if time.monotonic() < self._away_until:
            raise _no_answer()

    def _away(self, error: Exception) -> Problem:
        log.warning("the identity provider %s fails: %s: %s", self._issuer, type(error).__name__, error)
        # Not for an answer that is an error: a login that somebody made up may bring it about.
        if isinstance(error, (requests.ConnectionError, requests.Timeout)):
            self._away_until = time.monotonic() + _AWAY_S
        return _no_answer()


def _no_answer() -> Problem:
    return Problem(HTTPStatus.BAD_GATEWAY, "the identity provider does not answer as it should; try again soon")


def _fetch(address: str) -> Any:
    answer = requests.get(address, timeout=_TIMEOUT_S, allow_redirects=False)
    answer.raise_for_status()
    return answer.json()


def open_provider(settings: DeskSettings) -> Provider | None:
    """The provider of the settings, if there is one. Raises SettingsError where half of it is missing."""
    if settings.oidc_issuer is None:
        return None
    if settings.oidc_client_id is None:
        raise SettingsError("setting `desk.oidc_issuer` needs `desk.oidc_client_id`, the desk's name at the provider")
    if not settings.oidc_issuer.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        raise SettingsError("setting `desk.oidc_issuer`: expected an address that begins with https://")
    return Provider(settings)


def new_verifier() -> str:
    """A PKCE code verifier: 64 characters (RFC 7636, section 4.1)."""
    return secrets.token_urlsafe(48)
