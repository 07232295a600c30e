"""Prometheus metrics by kind of process. Label sets are closed; `source_label` bounds that of sources.

A process shows the metrics that it writes and no others: one that stands at 0 because another process writes it would
be taken for a figure. docs/metrics.md is made from here.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from core.sources import source_key

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Description(NamedTuple):
    """A metric as a reader of `/metrics` meets it; `labels` without `le` of histograms."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


class Process:
    """The metrics of one kind of process, with those of the operating system on it (`process_*`)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.registry = CollectorRegistry()
        self.described: list[Description] = []
        ProcessCollector(registry=self.registry)
        self.gauge("newstide_process_info", "1, with the kind of process", "process").labels(name).set(1)

    def counter(self, name: str, meaning: str, *labels: str) -> Counter:
        self.described.append(Description(f"{name}_total", "counter", labels, meaning))
        return Counter(name, meaning, labels, registry=self.registry)

    def gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        self.described.append(Description(name, "gauge", labels, meaning))
        return Gauge(name, meaning, labels, registry=self.registry)

    def histogram(self, name: str, meaning: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
        self.described.append(Description(name, "histogram", labels, meaning))
        return Histogram(name, meaning, labels, registry=self.registry, buckets=buckets)


INGEST, WORKER, ALERTING = Process("ingest"), Process("worker"), Process("alerting")
PROCESSES = (INGEST, WORKER, ALERTING)
"""`ingest` is also what a replay, a bridge and the push endpoint show."""

INGESTED = INGEST.counter("newstide_ingested_messages", "Messages that Kafka acknowledged", "source", "kind")
INGEST_REJECTED = INGEST.counter("newstide_ingest_rejected", "Inputs sent to the dead letters", "source")
PUSHES = INGEST.counter("newstide_pushes", "Requests of the push endpoint by status", "status")
BRIDGE_TOMBSTONES = INGEST.counter("newstide_bridge_tombstones", "Deletion marks that a bridge skipped")
INGEST_DUPLICATES = INGEST.counter(
    "newstide_ingest_duplicates", "Inputs with the id of an earlier one, by content: same, different", "content"
)
MARKED = INGEST.counter("newstide_marked_messages", "Messages sent, by what cleaning had to change or assume", "mark")
FEED_FETCHES = INGEST.counter(
    "newstide_feed_fetches",
    "Fetches of a feed, or rounds and batches of another source, by outcome",
    "source",
    "outcome",
)
FEED_UP = INGEST.gauge("newstide_feed_up", "1 if the last fetch of the feed succeeded, or the source answers", "source")

MESSAGES = WORKER.counter(
    "newstide_messages", "Messages by outcome: stored, duplicate, dead-letter", "source", "kind", "outcome"
)
UNREAD = WORKER.counter(
    "newstide_unread_messages", "Messages stored without labels, since no live model reads their language", "source"
)
LABELLED = WORKER.counter(
    "newstide_labelled_messages", "Messages stored with labels, by the model that gave them", "model"
)
DUPLICATES = WORKER.counter(
    "newstide_duplicates", "Messages dropped under the id of an earlier one, by content: same, different", "kind"
)
STAGE_SECONDS = WORKER.histogram(
    "newstide_stage_seconds",
    "Time of one batch in a stage: decode, link, classify, store, publish",
    "stage",
    buckets=_SECONDS,
)
EVENT_TO_COMMIT_SECONDS = WORKER.histogram(
    "newstide_receipt_to_commit_seconds",
    "From receipt by ingest to the database commit",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
COMMITTED_AT = WORKER.gauge("newstide_commit_timestamp_seconds", "When this worker last committed a batch; 0: not yet")
BATCH_MESSAGES = WORKER.histogram(
    "newstide_batch_messages", "Messages in one batch", buckets=(1, 4, 16, 64, 128, 256, 512, 1024)
)
LAG = WORKER.gauge(
    "newstide_lag_messages", "Records not yet committed, of partitions that this worker reads", "topic", "partition"
)
LEDGER_GAPS = WORKER.counter(
    "newstide_ledger_gap_messages", "Offsets that the ledger saw skipped", "topic", "partition"
)
DATABASE_RETRIES = WORKER.counter("newstide_database_retries", "Transactions tried again after a failure")
DEAD_LETTERS = WORKER.counter(
    "newstide_dead_letters_archived", "Dead letters stored for the operator, by where they failed", "stage"
)
MODEL_IN_USE = WORKER.gauge(
    "newstide_model_info", "1 for each model in use, by the language it is for", "language", "name"
)
MODEL_REGISTERED_AT = WORKER.gauge(
    "newstide_model_registered_timestamp_seconds", "When a model in use was registered; absent if it is not", "name"
)
MODEL_REFUSED = WORKER.gauge(
    "newstide_model_refused", "1 while the worker can't use a model of the registry in the role: live, shadow", "role"
)
MODEL_CHANGES = WORKER.counter(
    "newstide_model_changes",
    "New models by outcome: loaded, refused, unreachable, failed (a shadow)",
    "role",
    "outcome",
)
SHADOW_IN_USE = WORKER.gauge("newstide_shadow_model_info", "1 for each shadow model in use", "name")
SHADOW_MESSAGES = WORKER.counter(
    "newstide_shadow_messages", "Sampled messages by outcome: stored, skipped (no time for them), failed", "outcome"
)
SHADOW_LABELS = WORKER.counter(
    "newstide_shadow_labels", "Labels of the shadow, by whether the live model gave the same: same, different",
    "task",
    "outcome",
)  # fmt: skip

WATERMARK_SECONDS = ALERTING.gauge(
    "newstide_watermark_timestamp_seconds", "Event time up to which trends were judged, by what moves it", "clock"
)
LATE = ALERTING.counter("newstide_late_messages", "Messages stored in minutes that were judged already")
UNJUDGED = ALERTING.gauge("newstide_unjudged_messages", "Messages that came too late to be judged, since the beginning")
SERIES_SCORE = ALERTING.gauge(
    "newstide_series_score", "Anomaly score: -log10 of the tail probability", "kind", "series"
)
SERIES_EXPECTED = ALERTING.gauge(
    "newstide_series_expected", "Expected negative stories in the window", "kind", "series"
)
SERIES_OBSERVED = ALERTING.gauge(
    "newstide_series_observed", "Observed negative stories in the window", "kind", "series"
)
SERIES_FOLLOWED = ALERTING.gauge("newstide_series_followed", "Series with a state of their own in the detector")
SERIES_NOTED = ALERTING.gauge(
    "newstide_series_noted", "Series seen that have too few stories to be followed, or no room"
)
SERIES_REFUSED = ALERTING.gauge("newstide_series_refused", "Series of today that were not even noted, for want of room")
ALERTS = ALERTING.counter("newstide_alerts", "Changes of alerts by the state they came to", "state")
DELIVERIES = ALERTING.counter(
    "newstide_deliveries",
    "Deliveries from the outbox by outcome: delivered, failed (a try), given-up, superseded",
    "channel",
    "outcome",
)
PAGES = ALERTING.gauge(
    "newstide_pages_last_week", "Incidents of the last seven days, by what was said of them: none, useful, false",
    "verdict",
)  # fmt: skip
BUDGET = ALERTING.gauge("newstide_budget_pages_per_week", "False pages a week that the rules allow over all series")
OUTBOX = ALERTING.gauge("newstide_outbox_pending", "Deliveries in the outbox whose time has come")

# To Prometheus a counter that appears has not increased: those whose first increase matters are there from the start.
for _labels in product(("live", "shadow"), ("loaded", "refused", "unreachable", "failed")):
    MODEL_CHANGES.labels(*_labels)
for _labels in product(("sentiment", "topic"), ("same", "different")):
    SHADOW_LABELS.labels(*_labels)
for _stage in ("ingest", "stream", "unknown"):
    DEAD_LETTERS.labels(_stage)
for _outcome in ("stored", "skipped", "failed"):
    SHADOW_MESSAGES.labels(_outcome)
for _state in ("open", "closed", "withdrawn"):
    ALERTS.labels(_state)
for _verdict in ("none", "useful", "false"):
    PAGES.labels(_verdict)
MESSAGES.labels("unknown", "unknown", "dead-letter")


_sources: dict[str, str] = {}
_MOST_SOURCES = 500


def source_label(source: str) -> str:
    """The name of a source as a label value, as it was written first, since "Reuters" and "reuters" are one source.

    `other` once a process has seen 500 sources: no list of feeds has as many, a flood may.
    """
    key = source_key(source)
    label = _sources.get(key)
    if label is None:
        if len(_sources) >= _MOST_SOURCES:
            return "other"
        label = _sources[key] = source
    return label
