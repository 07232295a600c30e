"""The classifier in service, loaded when it is first asked for and again when another goes live."""

from __future__ import annotations

import threading

from sqlalchemy import Engine

from core.classifier import Classifier
from core.settings import Settings
from core.shelf import open_shelf, trusted_bundle
from core.store.models import find_model

_CACHED_TEXTS = 2_000
_WAIT_S = 3.0


class Busy(Exception):
    """Others are asking the classifier; try again."""


class LiveModel:
    """One classifier at a time, with one thread, used by one caller at a time."""

    def __init__(self, settings: Settings, engine: Engine, wait_s: float = _WAIT_S) -> None:
        self._settings = settings
        self._engine = engine
        self._wait_s = wait_s
        self._using = threading.Lock()
        self._classifier: Classifier | None = None
        self._checksum: str | None = None

    def __enter__(self) -> Classifier:
        """The classifier, until the end of the block.

        Raises Busy where others use it for longer than one waits, BundleError or ShelfUnreachable where the bundle
        can't be had.
        """
        if not self._using.acquire(timeout=self._wait_s):
            raise Busy
        try:
            return self._load()
        except BaseException:
            self._using.release()
            raise

    def __exit__(self, *raised: object) -> None:
        self._using.release()

    def _load(self) -> Classifier:
        live = find_model(self._engine, state="live")
        checksum = live.checksum if live is not None else None
        if self._classifier is None or checksum != self._checksum:
            self._classifier = None  # two at once would need the memory of both
            bundle = (
                open_shelf(self._settings).fetch(live.location, live.checksum)
                if live is not None
                else trusted_bundle(self._settings)
            )
            self._classifier, self._checksum = Classifier(bundle, cache_texts=_CACHED_TEXTS), checksum
        return self._classifier
