"""Prometheus metrics of every process. Label sets are closed; that of sources is bounded by `source_label`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from core.sources import source_key

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

INGESTED = Counter("newstide_ingested_messages", "Messages that Kafka acknowledged", ["source", "kind"])
INGEST_REJECTED = Counter("newstide_ingest_rejected", "Inputs sent to the dead letters by ingest", ["source"])
PUSHES = Counter("newstide_pushes", "Requests of the push endpoint by status", ["status"])
BRIDGE_TOMBSTONES = Counter("newstide_bridge_tombstones", "Deletion marks that a bridge skipped")
INGEST_DUPLICATES = Counter(
    "newstide_ingest_duplicates",
    "Inputs with the id of an earlier one, by content: same, different",
    ["content"],
)
MARKED = Counter("newstide_marked_messages", "Messages sent, by what cleaning had to change or assume", ["mark"])
FEED_FETCHES = Counter("newstide_feed_fetches", "Fetches of a feed by outcome", ["source", "outcome"])
FEED_UP = Gauge("newstide_feed_up", "1 if the last fetch of the feed succeeded", ["source"])

MESSAGES = Counter(
    "newstide_messages", "Messages by outcome: stored, duplicate, dead-letter", ["source", "kind", "outcome"]
)
DUPLICATES = Counter(
    "newstide_duplicates", "Messages dropped under the id of an earlier one, by content: same, different", ["kind"]
)
LATE = Counter("newstide_late_messages", "Messages stored in minutes that were judged already")
STAGE_SECONDS = Histogram(
    "newstide_stage_seconds",
    "Time of one batch in a stage: decode (and link), classify, store, publish",
    ["stage"],
    buckets=_SECONDS,
)
EVENT_TO_COMMIT_SECONDS = Histogram(
    "newstide_receipt_to_commit_seconds",
    "From receipt by ingest to the database commit",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
BATCH_MESSAGES = Histogram(
    "newstide_batch_messages", "Messages in one batch", buckets=(1, 4, 16, 64, 128, 256, 512, 1024)
)
LAG = Gauge("newstide_lag_messages", "Records not yet committed, by partition", ["topic", "partition"])
LEDGER_GAPS = Counter("newstide_ledger_gap_messages", "Offsets that the ledger saw skipped", ["topic", "partition"])
DATABASE_RETRIES = Counter("newstide_database_retries", "Transactions tried again after a failure")
MODEL_IN_USE = Gauge("newstide_model_info", "1 for the model in use", ["name"])
SHADOW_IN_USE = Gauge("newstide_shadow_model_info", "1 for the shadow model in use", ["name"])
MODEL_CHANGES = Counter(
    "newstide_model_changes",
    "New models by outcome: loaded, refused, unreachable, failed (a shadow)",
    ["role", "outcome"],
)
SHADOW_MESSAGES = Counter(
    "newstide_shadow_messages", "Sampled messages by outcome: stored, skipped (no time for them), failed", ["outcome"]
)

DEAD_LETTERS = Counter("newstide_dead_letters_archived", "Dead letters stored for the operator", ["stage"])
RETENTION_ROWS = Counter("newstide_retention_rows", "Rows that retention deleted or merged, by table", ["table"])

WATERMARK_SECONDS = Gauge("newstide_watermark_timestamp_seconds", "Event time up to which trends were judged")
SERIES_SCORE = Gauge("newstide_series_score", "Anomaly score: -log10 of the tail probability", ["kind", "series"])
SERIES_EXPECTED = Gauge("newstide_series_expected", "Expected negative stories in the window", ["kind", "series"])
SERIES_OBSERVED = Gauge("newstide_series_observed", "Observed negative stories in the window", ["kind", "series"])
UNJUDGED = Gauge("newstide_unjudged_messages", "Messages that came too late to be judged, since alerting began")
SERIES_FOLLOWED = Gauge("newstide_series_followed", "Series with a state of their own in the detector")
SERIES_NOTED = Gauge("newstide_series_noted", "Series seen that have too few stories to be followed, or no room")
SERIES_REFUSED = Gauge("newstide_series_refused", "Series of today that were not even noted, for want of room")
ALERTS = Counter("newstide_alerts", "Alert state changes", ["state"])
DELIVERIES = Counter("newstide_deliveries", "Deliveries from the outbox by outcome", ["channel", "outcome"])
OUTBOX = Gauge("newstide_outbox_pending", "Deliveries waiting in the outbox")


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
