"""How often the models that labelled a series mistake one sentiment for another there."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from core.bundle import SERVED, read_manifest
from core.errors import BundleError
from core.fitting import SENTIMENTS
from core.quantification import Rates, mixed, rates_of
from core.scoring import StreamScore, TaskScore
from core.store.arrays import plain_array, text_array
from core.store.sql import fetch_named, load_queries
from core.story_shares import is_for_evaluation

log = logging.getLogger(__name__)

_SQL = load_queries(Path(__file__).with_suffix(".sql"))

_LATEST = 200  # stories that tell which models label a series
_POOL, _MOST_STORIES = 10_000, 2_000  # latest labels, and stories of the evaluation share among them
_OLD_S = 300.0
_FEW = 100  # stories below which a week of a series does not tell what is usual there

SeriesName = tuple[str, str]
_Mistake = tuple[str, str, str]

Connection = psycopg.Connection[Any]


class ModelRates:
    """Of registered models as their manifests say, and of those in the directories `bundles`, which may never have been
    registered; and what people say of the `evaluation_share` of the stories that they labelled."""

    def __init__(self, *bundles: Path, evaluation_share: float = 0.0) -> None:
        self._bundles = bundles
        self._share = evaluation_share
        self._own_texts: Counter[_Mistake] = Counter()
        self._asked_at: float | None = None
        self._known: dict[str, Rates | None] = {}

    def of(
        self, connection: Connection, models: Mapping[str, int], series: SeriesName, until: datetime | None = None
    ) -> Rates | None:
        """Those of `models` together, by the number of messages each labelled, in a `series` whose week up to `until`
        was usual; None if one of them was never tested."""
        missing = [model for model in models if model not in self._known]
        if missing:
            for row in fetch_named(_SQL, connection, "scores", {"names": text_array(missing), "variant": SERVED}):
                self._known[row.name] = _rates(row.streams, row.scores)
            own = self._own()
            for model in missing:
                self._known.setdefault(model, own.get(model))
        known = {model: rates for model in models if (rates := self._known[model]) is not None}
        found = mixed(known, models)
        if found is None:
            return None
        usual = _usual(connection, series, until)
        return (found if usual is None else found.anchored(usual)).with_own(self._said_of(connection, models))

    def _said_of(self, connection: Connection, models: Iterable[str]) -> dict[str, dict[str, int]]:
        """How many stories of each true sentiment got which from `models`, of those that people labelled unseen."""
        now = time.monotonic()
        if self._share > 0 and (self._asked_at is None or now - self._asked_at > _OLD_S):
            self._own_texts, self._asked_at = _read_own(connection, self._share), now
        said: dict[str, dict[str, int]] = {}
        for (model, true, found), stories in self._own_texts.items():
            if model in models:
                row = said.setdefault(true, {})
                row[found] = row.get(found, 0) + stories
        return said

    def _own(self) -> dict[str, Rates | None]:
        found = {}
        for bundle in self._bundles:
            try:
                manifest = read_manifest(bundle)
            except BundleError as error:
                log.warning("counts are not corrected for the model's mistakes: %s", error)
                continue
            scores = manifest.evaluation.get(SERVED, [])
            found[manifest.name] = rates_of(manifest.streams, scores, SENTIMENTS)
        return found


def _rates(streams: Any, scores: Any) -> Rates | None:
    try:
        tested = msgspec.convert(streams or [], list[StreamScore]), msgspec.convert(scores or [], list[TaskScore])
        return rates_of(*tested, SENTIMENTS)
    except msgspec.ValidationError:
        return None


def _read_own(connection: Connection, share: float) -> Counter[_Mistake]:
    """Stories of the evaluation share that were labelled last, by model, true sentiment and what the model said."""
    labelled = fetch_named(_SQL, connection, "labelled_stories", {"pool": _POOL})
    stories = [row.story for row in labelled if is_for_evaluation(row.story, share)][:_MOST_STORIES]
    rows = fetch_named(_SQL, connection, "own", {"stories": plain_array(stories)}) if stories else []
    return Counter({(row.model, row.true, row.found): row.stories for row in rows})


def _usual(connection: Connection, series: SeriesName, until: datetime | None) -> list[float] | None:
    """Stories of a usual week by sentiment, as counted: of the series, or of all messages where it has too few."""
    for kind, name in (series, ("all", "all")):
        (row,) = fetch_named(_SQL, connection, "usual", {"kind": kind, "name": name, "until": until})
        counts = [float(getattr(row, sentiment)) for sentiment in SENTIMENTS]
        if sum(counts) >= _FEW:
            return counts
    return None


def models_of(
    connection: Connection, series: SeriesName, since: datetime | None = None, until: datetime | None = None
) -> dict[str, int]:
    """The models that labelled the latest 200 stories of a series in a span of event time, with their stories."""
    span = {"kind": series[0], "name": series[1], "since": since, "until": until, "limit": _LATEST}
    return {row.model: row.stories for row in fetch_named(_SQL, connection, "models_of", span)}
