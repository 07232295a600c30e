"""How often the models that labelled messages mistake one sentiment for another."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from alerting.incidents.sql import fetch
from core.bundle import SERVED, read_manifest
from core.errors import BundleError
from core.fitting import SENTIMENTS
from core.quantification import Rates, mixed, rates_of
from core.scoring import TaskScore
from core.store.arrays import text_array

log = logging.getLogger(__name__)


class ModelRates:
    """Of registered models as their manifests say, and of the one in directory `bundle`, which may never have been
    registered."""

    def __init__(self, bundle: Path) -> None:
        self._bundle = bundle
        self._known: dict[str, Rates | None] = {}

    def of(self, connection: psycopg.Connection[Any], models: Mapping[str, int]) -> Rates | None:
        """Those of `models` together, by the number of messages each labelled; None if one of them was never tested."""
        missing = [model for model in models if model not in self._known]
        if missing:
            for row in fetch(connection, "model_scores", {"names": text_array(missing), "variant": SERVED}):
                self._known[row.name] = _rates(row.scores)
            own = self._own()
            for model in missing:
                self._known.setdefault(model, own.get(model))
        known = {model: rates for model in models if (rates := self._known[model]) is not None}
        return mixed(known, models)

    def _own(self) -> dict[str, Rates | None]:
        try:
            manifest = read_manifest(self._bundle)
        except BundleError as error:
            log.warning("counts are not corrected for the model's mistakes: %s", error)
            return {}
        return {manifest.name: rates_of(manifest.evaluation.get(SERVED, []), "sentiment", SENTIMENTS)}


def _rates(scores: Any) -> Rates | None:
    try:
        return rates_of(msgspec.convert(scores or [], list[TaskScore]), "sentiment", SENTIMENTS)
    except msgspec.ValidationError:
        return None
