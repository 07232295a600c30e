"""With keys that are trusted, a bundle that none of them signed is used nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from core.bundle import SIGNATURE, load_bundle, sign_bundle
from core.errors import BundleError, InputError, SettingsError
from core.settings import Settings, load_settings
from core.shelf import Shelf, open_shelf, rename_bundle, trusted_bundle
from core.signatures import load_trust
from newstide.cli import newstide
from tests.tiny_bundles import write_tiny


class Keys:
    """A pair of PEM files."""

    def __init__(self, directory: Path, name: str) -> None:
        key = Ed25519PrivateKey.generate()
        self.private, self.public = directory / f"{name}.pem", directory / f"{name}.pub"
        self.private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


@pytest.fixture
def mine(tmp_path: Path) -> Keys:
    return Keys(tmp_path, "mine")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_tiny(tmp_path / "made", "made", seed=1)
    return tmp_path / "made"


@pytest.fixture
def settings(tmp_path: Path, mine: Keys) -> Settings:
    """Trusts two keys, one of them mine."""
    return load_settings(
        embedded={"directory": tmp_path},
        models={"trusted_keys": [Keys(tmp_path, "other").public, mine.public]},
    )


def test_signed_and_used(settings: Settings, bundle: Path, mine: Keys) -> None:
    signed = CliRunner().invoke(newstide, ["models", "sign", str(bundle), "--key", str(mine.private)])
    assert signed.output == "made is signed\n"
    assert trusted_bundle(settings, bundle).name == "made"
    shelved = open_shelf(settings).put(bundle)
    assert open_shelf(settings).fetch(shelved.location, shelved.checksum).name == "made"
    assert load_bundle(bundle).name == "made", "who trusts anybody needs no key"
    assert sorted(path.name for path in bundle.parent.iterdir() if path.name.startswith(".")) == []


def test_what_nobody_trusted_signed_is_refused(settings: Settings, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"made is not signed.*newstide models sign"):
        trusted_bundle(settings, bundle)
    with pytest.raises(BundleError, match="is not signed"):
        open_shelf(settings).put(bundle)
    sign_bundle(bundle, Keys(tmp_path, "stranger").private)
    with pytest.raises(BundleError, match="signed by none of"):
        trusted_bundle(settings, bundle)
    (bundle / SIGNATURE).write_text("no base64!")
    with pytest.raises(BundleError, match="no base64"):
        trusted_bundle(settings, bundle)
    (bundle / SIGNATURE).unlink()
    (bundle / SIGNATURE).symlink_to(tmp_path / "stranger.pem")
    with pytest.raises(BundleError, match="no regular file"):
        load_bundle(bundle)


def test_what_was_altered_after_it_was_signed_is_refused(
    settings: Settings, bundle: Path, mine: Keys, tmp_path: Path
) -> None:
    sign_bundle(bundle, mine.private)
    rename_bundle(bundle, "renamed", tmp_path / "renamed")
    signature = (bundle / SIGNATURE).read_bytes()
    (tmp_path / "renamed" / SIGNATURE).write_bytes(signature)  # that of another manifest
    with pytest.raises(BundleError, match="was altered since"):
        trusted_bundle(settings, tmp_path / "renamed")
    model = bundle / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    with pytest.raises(BundleError, match=r"model\.onnx has SHA-256"):
        trusted_bundle(settings, bundle)


def test_what_was_shelved_or_cached_before_keys_were_named_is_looked_at_anew(
    settings: Settings, bundle: Path, mine: Keys
) -> None:
    credulous = Shelf(settings.shelf_location, settings.bundle_cache)
    shelved = credulous.put(bundle)
    credulous.fetch(shelved.location, shelved.checksum)
    with pytest.raises(BundleError, match="is not signed") as caught:
        open_shelf(settings).fetch(shelved.location, shelved.checksum)
    assert shelved.location in str(caught.value)
    sign_bundle(bundle, mine.private)
    credulous.put(bundle)  # whoever promotes need not trust a key to pass a signature on
    assert open_shelf(settings).fetch(shelved.location, shelved.checksum).name == "made"


def test_files_that_are_no_keys_are_named(bundle: Path, mine: Keys, tmp_path: Path) -> None:
    elliptic = tmp_path / "elliptic.pem"
    key = generate_private_key(SECP256R1())
    elliptic.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(InputError, match="no Ed25519 key"):
        sign_bundle(bundle, elliptic)
    with pytest.raises(InputError, match="no private key"):
        sign_bundle(bundle, mine.public)
    with pytest.raises(SettingsError, match="no public key"):
        load_trust([mine.private])
    elliptic.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(SettingsError, match="no Ed25519 key"):
        load_trust([elliptic])
    with pytest.raises(SettingsError, match="no public key"):
        load_trust([tmp_path / "nowhere"])
