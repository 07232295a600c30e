"""The shelf gives back what was put on it, from a directory or an object store, or refuses it with the reason."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from core.bundle import MAX_BYTES, load_bundle
from core.errors import BundleError, SettingsError, ShelfUnreachable
from core.shelf import Shelf, Shelved, bundle_checksum, rename_bundle
from tests.tiny_bundles import write_tiny


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_tiny(tmp_path / "made", "first", seed=1)
    return tmp_path / "made"


@pytest.fixture(params=["directory", "object store"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A directory, and fsspec's file system in memory, which has no directories to list but what its keys say."""
    if request.param == "directory":
        yield str(tmp_path / "shelf")
        return
    place = f"memory://{uuid4().hex}/models"
    yield place
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def shelf(location: str, tmp_path: Path) -> Shelf:
    return Shelf(location, tmp_path / "cache")


@pytest.fixture
def shelved(shelf: Shelf, bundle: Path) -> Shelved:
    return shelf.put(bundle)


def write(shelved: Shelved, name: str, content: bytes) -> None:
    with fsspec.open(f"{shelved.location}/{name}", "wb") as file:
        file.write(content)


def read(shelved: Shelved, name: str) -> bytes:
    with fsspec.open(f"{shelved.location}/{name}", "rb") as file:
        content: bytes = file.read()
    return content


def test_what_was_put_is_fetched(shelf: Shelf, shelved: Shelved, bundle: Path, tmp_path: Path) -> None:
    assert shelved.checksum == hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    assert shelved.checksum == bundle_checksum(bundle)
    assert shelved.size_bytes == sum(file.stat().st_size for file in bundle.iterdir())
    fetched = shelf.fetch(shelved.location, shelved.checksum)
    assert (fetched.manifest, fetched.model) == (load_bundle(bundle).manifest, load_bundle(bundle).model)
    assert fetched.path == tmp_path / "cache" / shelved.checksum
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == [shelved.checksum]


def test_putting_it_again_changes_nothing_and_mends_a_broken_copy(shelf: Shelf, shelved: Shelved, bundle: Path) -> None:
    assert shelf.put(bundle) == shelved
    write(shelved, "model.onnx", b"cut short")
    assert shelf.put(bundle) == shelved
    assert shelf.fetch(shelved.location, shelved.checksum).name == "first"


def test_the_cache_serves_while_the_shelf_is_away_and_is_not_trusted(
    shelf: Shelf, shelved: Shelved, tmp_path: Path
) -> None:
    shelf.fetch(shelved.location, shelved.checksum)
    good = read(shelved, "model.onnx")
    write(shelved, "model.onnx", b"altered on the shelf")
    assert shelf.fetch(shelved.location, shelved.checksum).model == good
    kept = tmp_path / "cache" / shelved.checksum
    (kept / "model.onnx").write_bytes(b"altered in the cache")
    with pytest.raises(BundleError, match=r"model\.onnx has SHA-256"):
        shelf.fetch(shelved.location, shelved.checksum)
    write(shelved, "model.onnx", good)
    assert shelf.fetch(shelved.location, shelved.checksum).model == good
    assert load_bundle(kept).model == good


def test_a_cache_that_can_only_be_read_serves(
    shelf: Shelf, shelved: Shelved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.fetch(shelved.location, shelved.checksum)

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    for write in ("touch", "mkdir"):
        monkeypatch.setattr(Path, write, refuse)
    assert shelf.fetch(shelved.location, shelved.checksum).path == tmp_path / "cache" / shelved.checksum


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "MODEL_CARD.md"])
def test_an_altered_file(shelf: Shelf, shelved: Shelved, name: str) -> None:
    content = bytearray(read(shelved, name))
    content[len(content) // 2] ^= 1
    write(shelved, name, bytes(content))
    with pytest.raises(BundleError, match=f"{name} has SHA-256") as caught:
        shelf.fetch(shelved.location, shelved.checksum)
    assert shelved.location in str(caught.value)


def test_another_bundle_in_its_place(shelf: Shelf, shelved: Shelved, tmp_path: Path) -> None:
    """Whole in itself, but not what was registered."""
    write_tiny(tmp_path / "other", "first", seed=2)
    for file in (tmp_path / "other").iterdir():
        write(shelved, file.name, file.read_bytes())
    with pytest.raises(BundleError, match="was registered"):
        shelf.fetch(shelved.location, shelved.checksum)


@pytest.mark.parametrize("name", ["weights.pkl", "sub/model.onnx", ".hidden"])
def test_an_extra_file(shelf: Shelf, shelved: Shelved, name: str) -> None:
    if "/" in name and not shelved.location.startswith("memory:"):
        Path(shelved.location, "sub").mkdir()
    write(shelved, name, b"x")
    with pytest.raises(BundleError, match="is no file of a bundle; remove it"):
        shelf.fetch(shelved.location, shelved.checksum)


def test_an_oversized_file_is_not_read(shelf: Shelf, shelved: Shelved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MAX_BYTES, "tokenizer.json", 10)
    with pytest.raises(BundleError, match=r"tokenizer\.json is larger than 10 bytes"):
        shelf.fetch(shelved.location, shelved.checksum)


def test_a_listing_that_lies(shelf: Shelf, shelved: Shelved, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hostile store names files outside of the bundle, and sizes that are not true."""
    system, base = fsspec.core.url_to_fs(shelved.location)
    true = system.ls(base, detail=True)

    def lie(entries: list[dict[str, object]]) -> None:
        monkeypatch.setattr(type(system), "ls", lambda self, path, detail=True, **_: entries)

    for name in (f"{base}/../../victim", "/etc/passwd", f"{base}/../model.onnx", ".."):
        lie([*true, {"name": name, "size": 1, "type": "file"}])
        with pytest.raises(BundleError, match="is no file of a bundle"):
            shelf.fetch(shelved.location, shelved.checksum)
    lie([{**entry, "size": 0} for entry in true])
    monkeypatch.setitem(MAX_BYTES, "model.onnx", 10)
    with pytest.raises(BundleError, match=r"model\.onnx is larger than 10 bytes"):
        shelf.fetch(shelved.location, shelved.checksum)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_link_on_a_shelf(bundle: Path, tmp_path: Path) -> None:
    shelf = Shelf(str(tmp_path / "shelf"), tmp_path / "cache")
    shelved = shelf.put(bundle)
    card = Path(shelved.location, "MODEL_CARD.md")
    card.rename(tmp_path / "elsewhere")
    card.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=r"MODEL_CARD\.md is no regular file"):
        shelf.fetch(shelved.location, shelved.checksum)


def test_an_upload_cut_short(shelf: Shelf, shelved: Shelved) -> None:
    fsspec.core.url_to_fs(shelved.location)[0].rm(shelved.location + "/manifest.json")
    with pytest.raises(BundleError, match=r"holds no manifest\.json"):
        shelf.fetch(shelved.location, shelved.checksum)


def test_a_shelf_that_is_not_there(shelf: Shelf, shelved: Shelved, tmp_path: Path) -> None:
    with pytest.raises(ShelfUnreachable, match="can't be reached"):
        shelf.fetch(shelved.location + "-gone", "0" * 64)
    with pytest.raises(BundleError, match="is no SHA-256"):
        shelf.fetch(shelved.location, "../../x")


def test_a_url_that_nothing_serves(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"check `models\.shelf`"):
        Shelf("nonsense://bucket/models", tmp_path)


def test_a_cache_that_can_not_be_written(shelf: Shelf, shelved: Shelved, location: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ShelfUnreachable, match=r"set `models\.cache` to another directory"):
        Shelf(location, tmp_path / "file").fetch(shelved.location, shelved.checksum)


def test_the_cache_stays_small_and_tidies_up(shelf: Shelf, tmp_path: Path) -> None:
    for number in range(11):
        write_tiny(tmp_path / f"b{number}", f"model-{number}", seed=number)
        shelved = shelf.put(tmp_path / f"b{number}")
        shelf.fetch(shelved.location, shelved.checksum)
        os.utime(tmp_path / "cache" / shelved.checksum, (number, number))
    (tmp_path / "cache" / ".fetch-killed").mkdir()
    os.utime(tmp_path / "cache" / ".fetch-killed", (1, 1))
    shutil.rmtree(tmp_path / "cache" / shelved.checksum)
    shelf.fetch(shelved.location, shelved.checksum)
    kept = [entry.name for entry in (tmp_path / "cache").iterdir()]
    assert len(kept) == 8
    assert shelved.checksum in kept


def test_a_bundle_under_another_name(bundle: Path, tmp_path: Path) -> None:
    renamed = rename_bundle(bundle, "second", tmp_path / "renamed")
    assert renamed.name == "second"
    assert renamed.model == load_bundle(bundle).model
    assert renamed.manifest.self_test == load_bundle(bundle).manifest.self_test
    with pytest.raises(BundleError, match="is not made of letters"):
        rename_bundle(bundle, "../second", tmp_path / "again")
