"""The models in service: those that the registry says are live, and bundles of the settings for languages that none of
these reads."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from core.bundle import Bundle, read_manifest
from core.errors import BundleError
from core.fitting import in_order, reader_of
from core.settings import Settings
from core.shelf import Shelf, bundle_checksum, trusted_bundle
from core.store.models import ModelRow, list_models

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """A model that may be in service: the registered one of `row`, or the bundle of the settings at `path`. Nothing of
    it is verified yet but, at `path`, the form of its manifest."""

    name: str
    checksum: str
    languages: tuple[str, ...]
    row: ModelRow | None = None
    path: Path | None = None

    @property
    def language(self) -> str:
        """Code of the language that it is for."""
        return self.languages[0]

    def fetch(self, settings: Settings, shelf: Shelf) -> Bundle:
        """Its bundle, verified. Raises BundleError if it is broken or is not the registered one; ShelfUnreachable where
        another try may help."""
        if self.row is None:
            return trusted_bundle(settings, self.path)
        bundle = shelf.fetch(self.row.location, self.checksum)
        if bundle.name != self.name:
            raise BundleError(f"{self.row.location} holds {bundle.name!r}, but {self.name!r} is registered there")
        return bundle


def registered(row: ModelRow) -> Served:
    """The registered model of `row`."""
    return Served(row.name, row.checksum, row.languages, row=row)


def configured_models(settings: Settings) -> list[Served]:
    """The bundles of the settings, in their order: of each language the first one, without those whose manifest can't
    be read.

    Raises BundleError where none can be read.
    """
    found: list[Served] = []
    fault: BundleError | None = None
    for path in settings.bundle_directories:
        try:
            manifest = read_manifest(path)
        except BundleError as error:
            log.warning("this bundle of the settings can't be used: %s", error)
            fault = fault or error
            continue
        model = Served(manifest.name, bundle_checksum(path), tuple(manifest.languages), path=path)
        before = next((other for other in found if other.language == model.language), None)
        if before is not None:
            log.warning("the bundle at %s is not used: the one at %s is for %s too", path, before.path, model.language)
            continue
        found.append(model)
    if fault is not None and not found:
        raise fault
    return found


def in_service(live: Sequence[ModelRow], configured: Sequence[Served]) -> list[Served]:
    """The `live` models, and the `configured` ones for languages that none of these reads; in the order that
    `reader_of` asks for."""
    models = [registered(row) for row in live]
    return in_order([*models, *(model for model in configured if reader_of(model.language, models) is None)])


def served_models(settings: Settings, engine: Engine) -> list[Served]:
    """The models in service now. Raises BundleError where none is live and no bundle of the settings can be read."""
    live = list_models(engine, "live")
    try:
        configured = configured_models(settings)
    except BundleError:
        if not live:
            raise
        configured = []
    return in_service(live, configured)
