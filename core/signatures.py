"""Signatures of bundles: Ed25519 (RFC 8032) over the bytes of the manifest, which holds the checksums of all else.

A bundle decides what is called bad news, and a network is a program in all but name. Whoever names keys in
`models.trusted_keys` uses nothing that none of them signed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from core.errors import BundleError, InputError, SettingsError

# A signature under one purpose is none under another.
_PURPOSE = b"newstide bundle 1\n"


class Trust:
    """Whose bundles are used. Without keys, anybody's."""

    def __init__(self, keys: Sequence[Ed25519PublicKey] = ()) -> None:
        self._keys = tuple(keys)

    def check(self, manifest: bytes, signature: bytes | None, where: str) -> None:
        """Raise BundleError unless `signature`, as in a bundle's file, is that of a trusted key over `manifest`."""
        if not self._keys:
            return
        if signature is None:
            raise BundleError(
                f"{where} is not signed, and `models.trusted_keys` asks for a signature; if you trust it: "
                "newstide models sign BUNDLE --key PRIVATE.pem"
            )
        try:
            content = base64.b64decode(signature.strip(), validate=True)
        except binascii.Error as error:
            raise BundleError(f"{where}: its signature is no base64; sign it again") from error
        for key in self._keys:
            try:
                key.verify(content, _PURPOSE + manifest)
                return
            except InvalidSignature:
                continue
        raise BundleError(
            f"{where} is signed by none of `models.trusted_keys`, or was altered since; get it again, or sign it"
        )


ANYBODY = Trust()


def load_trust(paths: Sequence[Path]) -> Trust:
    """Trust in the public keys in the PEM files at `paths`. Raises SettingsError for a file that holds none."""
    return Trust([_public_key(path) for path in paths])


def sign_manifest(manifest: bytes, key: Path) -> bytes:
    """The content of a bundle's signature file, made with the private key in the PEM file `key`.

    Raises InputError for a file that holds none.
    """
    try:
        private = load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(f"{key} holds no private key in PEM without a password: {error}") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise InputError(f"{key} holds no Ed25519 key; make one: openssl genpkey -algorithm ed25519 -out PRIVATE.pem")
    return base64.b64encode(private.sign(_PURPOSE + manifest)) + b"\n"


def _public_key(path: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"setting `models.trusted_keys`: {path} holds no public key in PEM: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError(
            f"setting `models.trusted_keys`: {path} holds no Ed25519 key; take it from the private one: "
            "openssl pkey -in PRIVATE.pem -pubout -out PUBLIC.pem"
        )
    return key
