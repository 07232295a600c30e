"""Rows of the board Pipeline: what the workers do, and how fast."""

from __future__ import annotations

from alerting.grafana.panels import About, Built, Limits, figure, lines, over_time

WORKER = 'instance=~"$worker"'
_RUNBOOKS = "runbooks/Newstide"
_LAG, _STALLED, _GAPS = f"{_RUNBOOKS}WorkerLag.md", f"{_RUNBOOKS}CommitsStalled.md", f"{_RUNBOOKS}LedgerGaps.md"
_DEAD = f"{_RUNBOOKS}DeadLetters.md"
_LAGGING = f'newstide_lag_messages{{{WORKER},topic=~"$topic"}}'


def at_present() -> list[Built]:
    return [
        figure(
            About("Lag", "Records in Kafka that are not committed yet.", "short", _LAG, 4, 4, "15s"),
            over_time(f"sum(max by (topic, partition) ({_LAGGING}))"),
            limits=Limits(1000, 10000),
        ),
        figure(
            About(
                "Behind by",
                "How long the workers would take for the lag at their present pace.",
                "s",
                _LAG,
                4,
                4,
                "15s",
            ),
            over_time(
                f'sum(newstide_lag_messages{{{WORKER},topic=~".*messages"}}) '
                f"/ sum(rate(newstide_messages_total{{{WORKER}}}[$__rate_interval]))"
            ),
            limits=Limits(60, 300),
        ),
        figure(
            About("Throughput", "Messages stored, repeated or set aside.", "cps", _LAG, 4, 4, "15s"),
            over_time(f"sum(rate(newstide_messages_total{{{WORKER}}}[$__rate_interval]))"),
        ),
        figure(
            About("Latency p95", "From receipt by ingest to the commit.", "s", _LAG, 4, 4, "15s"),
            over_time(_quantile(0.95, "newstide_receipt_to_commit_seconds", "le")),
            limits=Limits(5, 30),
        ),
        figure(
            About("Dead letters, 1 h", "Inputs that could not be read or processed.", "short", _DEAD, 4, 4, "15s"),
            over_time(f"sum(increase(newstide_dead_letters_archived_total{{{WORKER}}}[1h]))"),
            limits=Limits(1, 10),
        ),
        figure(
            About("Gaps, 1 h", "Offsets that no worker ever read.", "short", _GAPS, 4, 4, "15s"),
            over_time(f"sum(increase(newstide_ledger_gap_messages_total{{{WORKER}}}[1h]))"),
            limits=Limits(1, 1),
        ),
    ]


def lag() -> list[Built]:
    return [
        lines(
            About(
                "Lag by partition",
                "One partition far above the others holds all judging back.",
                "short",
                _LAG,
                at_least="15s",
            ),
            over_time(f"max by (topic, partition) ({_LAGGING})", "{{topic}}/{{partition}}"),
            stacked=True,
        ),
        lines(
            About(
                "In and out",
                "Messages that Kafka acknowledged to ingest, and those the workers committed.",
                "cps",
                _LAG,
                at_least="15s",
            ),
            over_time("sum(rate(newstide_ingested_messages_total[$__rate_interval]))", "acknowledged"),
            over_time(
                f"sum by (outcome) (rate(newstide_messages_total{{{WORKER}}}[$__rate_interval]))",
                "{{outcome}}",
                ref_id="B",
            ),
        ),
        lines(
            About(
                "Throughput by worker", "Messages committed, repeated ones included.", "cps", _STALLED, at_least="15s"
            ),
            over_time(
                f"sum by (instance) (rate(newstide_messages_total{{{WORKER}}}[$__rate_interval]))", "{{instance}}"
            ),
        ),
        lines(
            About(
                "Since the last commit",
                "Grows on a quiet night too: it is a fault where there is lag.",
                "s",
                _STALLED,
                at_least="15s",
            ),
            over_time(f"time() - (newstide_commit_timestamp_seconds{{{WORKER}}} > 0)", "{{instance}}"),
        ),
    ]


def latency() -> list[Built]:
    return [
        lines(
            About("Receipt to commit", "How long a message takes from its receipt by ingest.", "s", _LAG, 8, 8, "15s"),
            *(
                over_time(_quantile(q, "newstide_receipt_to_commit_seconds", "le"), f"p{q * 100:g}", ref_id=ref)
                for ref, q in zip("ABC", (0.5, 0.95, 0.99), strict=True)
            ),
        ),
        lines(
            About("Stages, p95", "Time of one batch in each stage.", "s", _LAG, 8, 8, "15s"),
            over_time(_quantile(0.95, "newstide_stage_seconds", "le, stage"), "{{stage}}"),
        ),
        lines(
            About(
                "Where the time goes",
                "Seconds of each second that the workers spend in a stage.",
                "s",
                _LAG,
                8,
                8,
                "15s",
            ),
            over_time(f"sum by (stage) (rate(newstide_stage_seconds_sum{{{WORKER}}}[$__rate_interval]))", "{{stage}}"),
            stacked=True,
        ),
        lines(
            About(
                "Messages in a batch",
                "Large batches mean that messages wait; small ones that they come singly.",
                "short",
                _LAG,
                8,
                8,
                "15s",
            ),
            *(
                over_time(_quantile(q, "newstide_batch_messages", "le"), f"p{q * 100:g}", ref_id=ref)
                for ref, q in zip("ABC", (0.5, 0.95, 0.99), strict=True)
            ),
        ),
        lines(
            About("Batches", "Transactions of all workers.", "cps", _LAG, 8, 8, "15s"),
            over_time(
                f"sum by (instance) (rate(newstide_batch_messages_count{{{WORKER}}}[$__rate_interval]))",
                "{{instance}}",
            ),
        ),
        lines(
            About(
                "Transactions tried again",
                "The database was away, or two workers wanted the same rows.",
                "cps",
                _STALLED,
                8,
                8,
                "15s",
            ),
            over_time(
                f"sum by (instance) (rate(newstide_database_retries_total{{{WORKER}}}[$__rate_interval]))",
                "{{instance}}",
            ),
        ),
    ]


def _quantile(share: float, histogram: str, by: str) -> str:
    buckets = f"rate({histogram}_bucket{{{WORKER}}}[$__rate_interval])"
    return f"histogram_quantile({share}, sum by ({by}) ({buckets}))"
