"""Bundles made ready for a worker: fetched, verified, fitting, self-tested and warm; and which ones it starts with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Engine

from core.bundle import Bundle
from core.classifier import Classifier
from core.errors import BundleError
from core.fitting import check_fit, labels_unlike, reader_of
from core.serving import Served, configured_models, in_service, registered
from core.settings import Settings
from core.shelf import open_shelf
from core.store.models import list_models, list_proven
from core.taxonomy import load_taxonomy
from stream.pipeline import TextClassifier

log = logging.getLogger(__name__)

# Of several lengths: the first batch of each shape is slow.
_WARM_UP = ["profit warning " * words for words in (1, 4, 8, 16, 32, 64)]


@dataclass(frozen=True, slots=True)
class Start:
    """What a worker starts with, by the language that each model is for; and what should be in service and is not, with
    the reason."""

    running: dict[str, tuple[Served, TextClassifier]]
    refused: list[tuple[Served, Exception]]


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
        self.fault: BundleError | None = None

    @cached_property
    def configured(self) -> list[Served]:
        """The bundles of the settings; where none can be read, none, and `fault` says why."""
        try:
            return configured_models(self._settings)
        except BundleError as error:
            self.fault = error
            return []

    def load(self, model: Served, *, strict: bool = True) -> TextClassifier:
        """The classifier of a model; `strict` insists on the taxonomy's labels.

        Raises BundleError for a bundle that is broken, is not the registered one or does not fit; ShelfUnreachable
        where another try may help.
        """
        return self._ready(model.fetch(self._settings, self._shelf), strict)

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
    """The models in service. Where one is broken, for each of its languages the last proven one that is not, else the
    bundle of the settings.

    Raises BundleError where nothing at all can be used.
    """
    start = Start({}, [])
    for model in in_service(list_models(engine, "live"), loader.configured):
        try:
            start.running[model.language] = model, loader.load(model, strict=False)
        except Exception as error:  # whatever a bundle does, the others are not to stand still for it
            log.error("the model %s (%s) can't be used: %s", model.name, model.language, error)
            start.refused.append((model, error))
    known = [*map(registered, list_proven(engine)), *loader.configured]
    for model, _ in start.refused:
        for language in model.languages:
            if reader_of(language, [other for other, _ in start.running.values()]) is None:
                others = [one for one in known if one.language == language and one.checksum != model.checksum]
                _stand_in(start, model, others, loader)
    if not start.running:
        faults = [error for _, error in start.refused]
        raise (faults or [loader.fault or BundleError("no model is live, and the settings name no bundle")])[0]
    return start


def _stand_in(start: Start, model: Served, others: Sequence[Served], loader: ModelLoader) -> None:
    """Start with the first of the `others` that can be used, instead of `model`."""
    for other in others:
        try:
            start.running[other.language] = other, loader.load(other, strict=False)
        except Exception as error:
            log.error("the model %s can't be used: %s", other.name, error)
            continue
        name = other.name if other.row is not None else "the bundle of the settings"
        log.error("starting with %s instead of the live model %s", name, model.name)
        return
