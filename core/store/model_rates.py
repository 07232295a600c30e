"""How often the models that labelled messages mistake one sentiment for another."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from core.bundle import SERVED, read_manifest
from core.errors import BundleError
from core.fitting import SENTIMENTS
from core.quantification import Rates, mixed, rates_of
from core.scoring import TaskScore
from core.store.arrays import text_array
from core.store.sql import fetch_named, load_queries

log = logging.getLogger(__name__)

_SQL = load_queries(Path(__file__).with_suffix(".sql"))

_LATEST = 200  # stories that tell which models label a series

Connection = psycopg.Connection[Any]


class ModelRates:
    """Of registered models as their manifests say, and of those in the directories `bundles`, which may never have been
    registered."""

    def __init__(self, *bundles: Path) -> None:
        self._bundles = bundles
        self._known: dict[str, Rates | None] = {}

    def of(self, connection: Connection, models: Mapping[str, int]) -> Rates | None:
        """Those of `models` together, by the number of messages each labelled; None if one of them was never tested."""
        missing = [model for model in models if model not in self._known]
        if missing:
            for row in fetch_named(_SQL, connection, "scores", {"names": text_array(missing), "variant": SERVED}):
                self._known[row.name] = _rates(row.scores)
            own = self._own()
            for model in missing:
                self._known.setdefault(model, own.get(model))
        known = {model: rates for model in models if (rates := self._known[model]) is not None}
        return mixed(known, models)

    def _own(self) -> dict[str, Rates | None]:
        found = {}
        for bundle in self._bundles:
            try:
                manifest = read_manifest(bundle)
            except BundleError as error:
                log.warning("counts are not corrected for the model's mistakes: %s", error)
                continue
            found[manifest.name] = rates_of(manifest.evaluation.get(SERVED, []), "sentiment", SENTIMENTS)
        return found


def _rates(scores: Any) -> Rates | None:
    try:
        return rates_of(msgspec.convert(scores or [], list[TaskScore]), "sentiment", SENTIMENTS)
    except msgspec.ValidationError:
        return None


def models_of(
    connection: Connection, series: tuple[str, str], since: datetime | None = None, until: datetime | None = None
) -> dict[str, int]:
    """The models that labelled the latest 200 stories of a series in a span of event time, with their stories."""
    span = {"kind": series[0], "name": series[1], "since": since, "until": until, "limit": _LATEST}
    return {row.model: row.stories for row in fetch_named(_SQL, connection, "models_of", span)}
