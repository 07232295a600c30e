"""Bundles made ready for a worker: fetched, verified, fitting, self-tested and warm; and which one it starts with."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from core.bundle import Bundle
from core.classifier import Classifier
from core.errors import BundleError, NewstideError
from core.fitting import check_fit, labels_unlike
from core.settings import Settings
from core.shelf import bundle_checksum, open_shelf, trusted_bundle
from core.store.models import ModelRow, find_model, list_proven
from core.taxonomy import load_taxonomy
from stream.pipeline import TextClassifier

log = logging.getLogger(__name__)

# Of several lengths: the first batch of each shape is slow.
_WARM_UP = ["profit warning " * words for words in (1, 4, 8, 16, 32, 64)]


@dataclass(frozen=True, slots=True)
class Start:
    """What a worker starts with, the SHA-256 of its manifest, and why it is not the live model, if it is not."""

    classifier: TextClassifier
    checksum: str
    refused: NewstideError | None = None


class ModelLoader:
    """Makes classifiers of registered bundles, beside the one that is running.

    `wrap` may put something around each. Raises SettingsError for a shelf or taxonomy that can't be used.
    """

    def __init__(self, settings: Settings, wrap: Callable[[Classifier], TextClassifier] | None = None) -> None:
        self._settings = settings
        self._threads = settings.stream.threads
        self._taxonomy = load_taxonomy(settings.taxonomy)
        self._shelf = open_shelf(settings)
        self._wrap = wrap

    def load(self, row: ModelRow, *, strict: bool = True) -> TextClassifier:
        """The classifier of a registered model; `strict` insists on the taxonomy's labels.

        Raises BundleError for a bundle that is broken, is not the registered one or does not fit; ShelfUnreachable
        where another try may help.
        """
        bundle = self._shelf.fetch(row.location, row.checksum)
        if bundle.name != row.name:
            raise BundleError(f"{row.location} holds {bundle.name!r}, but {row.name!r} is registered there")
        return self._ready(bundle, strict)

    def load_configured(self) -> tuple[TextClassifier, str]:
        """The classifier of the bundle in the settings, and its checksum. Raises BundleError if it can't be used."""
        bundle = trusted_bundle(self._settings)
        return self._ready(bundle, strict=False), bundle_checksum(self._settings.bundle_directory)

    def _ready(self, bundle: Bundle, strict: bool) -> TextClassifier:
        check_fit(bundle.manifest)
        unlike = labels_unlike(bundle.manifest, self._taxonomy)
        if unlike and strict:
            raise BundleError(f"{bundle.name} does not fit the taxonomy: {unlike}; retrain it or mend `taxonomy`")
        if unlike:
            log.warning("%s is used although it does not fit the taxonomy: %s", bundle.name, unlike)
        classifier = Classifier(bundle, threads=self._threads)
        classifier.self_test()
        classifier.predict(_WARM_UP)
        return self._wrap(classifier) if self._wrap else classifier


def choose_start(engine: Engine, loader: ModelLoader) -> Start:
    """The live model of the registry; where that is broken, the last proven one that is not; else the settings' bundle.

    Raises BundleError where none of them can be used.
    """
    live = find_model(engine, state="live")
    if live is None:
        return Start(*loader.load_configured())
    refused: NewstideError | None = None
    for row in (live, *list_proven(engine)):
        try:
            classifier = loader.load(row, strict=False)
        except NewstideError as error:
            log.error("the model %s (%s) can't be used: %s", row.name, row.state, error)
            refused = refused or error
            continue
        if refused is not None:
            log.error("starting with %s instead of the live model %s", row.name, live.name)
        return Start(classifier, row.checksum, refused)
    log.error("starting with the bundle of the settings instead of the live model %s", live.name)
    return Start(*loader.load_configured(), refused)
