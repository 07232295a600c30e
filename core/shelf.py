"""The shelf: where promoted bundles are kept for all workers, and the local cache that each process reads them from.

A shelf is a directory or any fsspec URL. Nothing on it is trusted: a bundle is what the registry's checksum says it is,
or it is refused. Its files are copied into the cache, verified there, and read from there only.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from core.bundle import CARD, MANIFEST, MAX_BYTES, MODEL, SIGNATURE, TOKENIZER, Bundle, load_bundle, write_bundle
from core.errors import BundleError, SettingsError, ShelfUnreachable
from core.settings import Settings
from core.signatures import ANYBODY, Trust, load_trust

log = logging.getLogger(__name__)

_CHECKSUM = re.compile(r"[0-9a-f]{64}")
_KEPT_BUNDLES = 8  # of a cache: the live one, its shadow, and some to go back to
_ABANDONED_S = 86_400  # a fetch that was killed leaves its scratch directory behind
# The manifest last: a bundle whose upload was cut short has none.
_UPLOAD_ORDER = (MODEL, TOKENIZER, CARD, SIGNATURE, MANIFEST)


@dataclass(frozen=True, slots=True)
class Shelved:
    """A bundle on a shelf: `checksum` is the SHA-256 of its manifest, which holds those of the other files."""

    bundle: Bundle
    location: str
    checksum: str
    size_bytes: int


class Shelf:
    """Bundles under `location`, a directory or fsspec URL; `cache` is a local directory that processes may share.

    What `trust` does not allow is neither put nor fetched. Raises SettingsError for a URL that no installed file system
    serves.
    """

    def __init__(self, location: str, cache: Path, trust: Trust = ANYBODY) -> None:
        self.location = location.rstrip("/")
        self._cache = cache
        self._trust = trust
        _file_system(self.location)

    def put(self, path: Path) -> Shelved:
        """Copy the bundle in directory `path` onto the shelf and verify the copy; a second time changes nothing.

        Raises BundleError if it is broken, ShelfUnreachable if the shelf can't be written.
        """
        bundle = load_bundle(path, self._trust)
        signed = (SIGNATURE,) if (path / SIGNATURE).is_file() else ()
        contents = {name: (path / name).read_bytes() for name in (*bundle.manifest.files, *signed, MANIFEST)}
        checksum = hashlib.sha256(contents[MANIFEST]).hexdigest()
        location = f"{self.location}/{bundle.name}-{checksum[:12]}"
        if not self._holds(location, checksum, contents.get(SIGNATURE)):
            system, base = _file_system(location)
            with _answering(location):
                system.makedirs(base, exist_ok=True)
                for name in _UPLOAD_ORDER:
                    if name in contents:
                        system.pipe_file(f"{base}/{name}", contents[name])
            with tempfile.TemporaryDirectory() as scratch:
                _copy(location, checksum, Path(scratch))
                load_bundle(Path(scratch), self._trust)
        return Shelved(bundle, location, checksum, sum(map(len, contents.values())))

    def fetch(self, location: str, checksum: str) -> Bundle:
        """The bundle at `location`, its manifest having `checksum`, every file verified; from the cache if it is there.

        Raises BundleError for anything else than that bundle: altered, missing, extra or oversized files, names that
        leave the directory. Raises ShelfUnreachable if the shelf does not answer: another try may help.
        """
        if not _CHECKSUM.fullmatch(checksum):
            raise BundleError(f"{location}: {checksum[:80]!r} is no SHA-256; register the bundle again")
        kept = self._cache / checksum
        if kept.is_dir():
            try:
                bundle = _verified(kept, checksum, self._trust)
                with suppress(OSError):  # of a cache that is read-only, nobody asks what is the oldest
                    kept.touch()
                return bundle
            except (BundleError, OSError) as error:
                log.warning("the cached bundle is fetched again: %s", error)
        with self._scratch() as scratch:
            fresh = scratch / "bundle"
            fresh.mkdir()
            _copy(location, checksum, fresh)
            try:
                bundle = load_bundle(fresh, self._trust)
            except BundleError as error:
                raise BundleError(str(error).replace(str(fresh), location)) from error
            self._keep(fresh, kept, scratch)
        self._prune()
        return msgspec.structs.replace(bundle, path=kept)

    def _holds(self, location: str, checksum: str, signature: bytes | None) -> bool:
        try:
            with tempfile.TemporaryDirectory() as scratch:
                _copy(location, checksum, Path(scratch))
                load_bundle(Path(scratch))
                return signature is None or Path(scratch, SIGNATURE).read_bytes() == signature
        except (BundleError, ShelfUnreachable, FileNotFoundError):
            return False

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._cache, prefix=".fetch-", ignore_cleanup_errors=True) as scratch:
                yield Path(scratch)
        except OSError as error:
            raise ShelfUnreachable(
                f"the cache of bundles {self._cache} can't be written ({error.strerror or error}); "
                "make it writable, or set `models.cache` to another directory"
            ) from error

    def _keep(self, fresh: Path, kept: Path, scratch: Path) -> None:
        """Move `fresh` to `kept`. Where another process was faster, its copy of the same bundle is as good."""
        try:
            if kept.exists():
                kept.replace(scratch / "previous")
            fresh.replace(kept)
        except OSError:
            if not kept.is_dir():
                raise

    def _prune(self) -> None:
        """Forget the bundles unused for longest, and what killed fetches left."""
        entries = []
        for entry in self._cache.iterdir():
            with suppress(OSError):  # another process may tidy up too
                entries.append((entry.stat().st_mtime, entry))
        bundles = sorted((pair for pair in entries if _CHECKSUM.fullmatch(pair[1].name)), reverse=True)
        abandoned = [
            pair for pair in entries if pair[1].name.startswith(".fetch-") and pair[0] < time.time() - _ABANDONED_S
        ]
        for _, entry in bundles[_KEPT_BUNDLES:] + abandoned:
            shutil.rmtree(entry, ignore_errors=True)


def open_shelf(settings: Settings) -> Shelf:
    """The shelf of the settings, which holds what their keys trust. Raises SettingsError where there can be none."""
    return Shelf(settings.shelf_location, settings.bundle_cache, load_trust(settings.models.trusted_keys))


def trusted_bundle(settings: Settings, path: Path | None = None) -> Bundle:
    """The bundle in directory `path`, by default that of the settings, verified and signed as the settings ask.

    Raises BundleError as `load_bundle` does, SettingsError for keys that are none.
    """
    return load_bundle(path or settings.bundle_directory, load_trust(settings.models.trusted_keys))


def bundle_checksum(path: Path) -> str:
    """What a shelf knows the bundle in directory `path` by: the SHA-256 of its manifest, in hex."""
    with (path / MANIFEST).open("rb") as file:
        return hashlib.sha256(file.read(MAX_BYTES[MANIFEST] + 1)).hexdigest()


def rename_bundle(path: Path, name: str, target: Path) -> Bundle:
    """Write the bundle in `path` to directory `target` under another `name`; nothing else of it changes.

    Raises BundleError if it is broken or `name` is no name of a bundle.
    """
    bundle = load_bundle(path)
    card = (path / CARD).read_text(encoding="utf-8", errors="replace") if CARD in bundle.manifest.files else ""
    return write_bundle(
        target, msgspec.structs.replace(bundle.manifest, name=name), bundle.model, bundle.tokenizer, card
    )


def _verified(path: Path, checksum: str, trust: Trust) -> Bundle:
    if bundle_checksum(path) != checksum:
        raise BundleError(f"{path / MANIFEST} was altered; remove {path}")
    return load_bundle(path, trust)


def _copy(location: str, checksum: str, target: Path) -> None:
    """Copy the files of a bundle, and no others, from `location` into directory `target`."""
    system, base = _file_system(location)
    names = _list(system, base, location)
    if MANIFEST not in names:
        raise BundleError(f"{location} holds no {MANIFEST}; it is no bundle, or its upload was cut short")
    for name in sorted(names, key=_UPLOAD_ORDER.index, reverse=True):
        limit = MAX_BYTES[name]
        with _answering(f"{location}/{name}"):
            with system.open(f"{base}/{name}", "rb") as file:
                content = file.read(limit + 1)
        if len(content) > limit:
            raise BundleError(f"{location}/{name} is larger than {limit} bytes; that is no file of a bundle")
        if name == MANIFEST and (found := hashlib.sha256(content).hexdigest()) != checksum:
            raise BundleError(
                f"{location}/{name} has SHA-256 {found[:16]}… but {checksum[:16]}… was registered; "
                "it was altered since: promote the bundle again from where it came"
            )
        (target / name).write_bytes(content)


def _list(system: AbstractFileSystem, base: str, location: str) -> list[str]:
    """Names at `location`, all of them files of a bundle and none too large."""
    with _answering(location):
        system.invalidate_cache()
        entries: list[dict[str, Any]] = system.ls(base, detail=True)
    names = []
    for entry in entries:
        whole = str(entry["name"])
        if whole.rstrip("/") == base.rstrip("/") and entry.get("type") == "directory":
            continue  # some object stores list the place itself
        name = whole.removeprefix(base.rstrip("/") + "/")
        if name not in MAX_BYTES:
            raise BundleError(f"{location} holds {name[:120]!r}, which is no file of a bundle; remove it")
        if entry.get("type") != "file" or entry.get("islink"):
            raise BundleError(f"{location}/{name} is no regular file; promote the bundle again from where it came")
        if (entry.get("size") or 0) > MAX_BYTES[name]:
            raise BundleError(f"{location}/{name} is larger than {MAX_BYTES[name]} bytes; that is no file of a bundle")
        names.append(name)
    return names


def _file_system(location: str) -> tuple[AbstractFileSystem, str]:
    try:
        system, base = url_to_fs(location)
        return system, str(base)
    except (ImportError, ValueError) as error:
        raise SettingsError(f"bundles can't be kept at {location}: {error}; check `models.shelf`") from error


@contextmanager
def _answering(where: str) -> Iterator[None]:
    """Faults of any file system (each library has classes of its own) as ShelfUnreachable."""
    try:
        yield
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        raise ShelfUnreachable(
            f"{where} can't be reached ({type(error).__name__}: {reason}); check that it exists, its credentials and "
            "the setting `models.shelf`"
        ) from error
