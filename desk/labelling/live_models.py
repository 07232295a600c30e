"""The classifiers in service, loaded when they are first asked for and again when others go live."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from core.classifier import Classifier
from core.fitting import reader_of
from core.serving import Served, served_models
from core.settings import Settings
from core.shelf import open_shelf

_CACHED_TEXTS = 2_000
_WAIT_S = 3.0


class Busy(Exception):
    """Others are asking a classifier; try again."""


class LiveModels:
    """A classifier for each language, with one thread, all used by one caller at a time."""

    def __init__(self, settings: Settings, engine: Engine, wait_s: float = _WAIT_S) -> None:
        self._settings = settings
        self._engine = engine
        self._wait_s = wait_s
        self._using = threading.Lock()
        self._loaded: dict[str, Classifier] = {}  # by the checksum of the manifest

    @contextmanager
    def reading(self, language: str) -> Iterator[Classifier | None]:
        """The classifier that reads `language` ("" where nobody knows it), until the end of the block; None where none
        does.

        Raises Busy where others use it for longer than one waits, BundleError or ShelfUnreachable where the bundle
        can't be had.
        """
        if not self._using.acquire(timeout=self._wait_s):
            raise Busy
        try:
            served = served_models(self._settings, self._engine)
            model = reader_of(language, served)
            # What serves no more goes first: it and its successor at once would need the memory of both.
            in_use = {each.checksum for each in served}
            self._loaded = {checksum: one for checksum, one in self._loaded.items() if checksum in in_use}
            yield self._load(model) if model is not None else None
        finally:
            self._using.release()

    def _load(self, model: Served) -> Classifier:
        if model.checksum not in self._loaded:
            bundle = model.fetch(self._settings, open_shelf(self._settings))
            self._loaded[model.checksum] = Classifier(bundle, cache_texts=_CACHED_TEXTS)
        return self._loaded[model.checksum]
