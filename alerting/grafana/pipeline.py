"""The board Pipeline: from the feeds to the committed trends. In the time of the clock."""

from __future__ import annotations

from alerting.grafana.board import Board
from alerting.grafana.choices import from_prometheus
from alerting.grafana.panels import About, Built, Column, Limits, figure, lines, listing, now, over_time, rows

_RUNBOOKS = "runbooks/Newstide"
_LAG, _STALLED, _GAPS = f"{_RUNBOOKS}WorkerLag.md", f"{_RUNBOOKS}CommitsStalled.md", f"{_RUNBOOKS}LedgerGaps.md"
_DEAD, _FEED, _DOWN = f"{_RUNBOOKS}DeadLetters.md", f"{_RUNBOOKS}FeedDead.md", f"{_RUNBOOKS}ProcessDown.md"
_UNREAD = f"{_RUNBOOKS}SourceUnread.md"
_WORKER = 'instance=~"$worker"'
_LAGGING = f'newstide_lag_messages{{{_WORKER},topic=~"$topic"}}'


def board() -> Board:
    made = Board(
        uid="newstide-pipeline",
        title="Pipeline",
        description="Lag, throughput, latency and losses of ingest and workers.",
        refresh="30s",
        since="now-3h",
        variables=[
            from_prometheus('newstide_process_info{process="worker"}', "instance", "worker", "Worker"),
            from_prometheus("newstide_lag_messages", "topic", "topic", "Kafka topic"),
        ],
    )
    made.row("Now", *_now())
    made.row("Lag and throughput", *_lag())
    made.row("Latency", *_latency())
    made.row("Losses and repetitions", *_losses())
    made.row("Ingest", *_ingest())
    made.row("Processes", *_processes())
    return made


def _now() -> list[Built]:
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
                f'sum(newstide_lag_messages{{{_WORKER},topic=~".*messages"}}) '
                f"/ sum(rate(newstide_messages_total{{{_WORKER}}}[$__rate_interval]))"
            ),
            limits=Limits(60, 300),
        ),
        figure(
            About("Throughput", "Messages stored, repeated or set aside.", "cps", _LAG, 4, 4, "15s"),
            over_time(f"sum(rate(newstide_messages_total{{{_WORKER}}}[$__rate_interval]))"),
        ),
        figure(
            About("Latency p95", "From receipt by ingest to the commit.", "s", _LAG, 4, 4, "15s"),
            over_time(_quantile(0.95, "newstide_receipt_to_commit_seconds", "le")),
            limits=Limits(5, 30),
        ),
        figure(
            About("Dead letters, 1 h", "Inputs that could not be read or processed.", "short", _DEAD, 4, 4, "15s"),
            over_time(f"sum(increase(newstide_dead_letters_archived_total{{{_WORKER}}}[1h]))"),
            limits=Limits(1, 10),
        ),
        figure(
            About("Gaps, 1 h", "Offsets that no worker ever read.", "short", _GAPS, 4, 4, "15s"),
            over_time(f"sum(increase(newstide_ledger_gap_messages_total{{{_WORKER}}}[1h]))"),
            limits=Limits(1, 1),
        ),
    ]


def _lag() -> list[Built]:
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
                f"sum by (outcome) (rate(newstide_messages_total{{{_WORKER}}}[$__rate_interval]))",
                "{{outcome}}",
                ref_id="B",
            ),
        ),
        lines(
            About(
                "Throughput by worker", "Messages committed, repeated ones included.", "cps", _STALLED, at_least="15s"
            ),
            over_time(
                f"sum by (instance) (rate(newstide_messages_total{{{_WORKER}}}[$__rate_interval]))", "{{instance}}"
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
            over_time(f"time() - (newstide_commit_timestamp_seconds{{{_WORKER}}} > 0)", "{{instance}}"),
        ),
    ]


def _latency() -> list[Built]:
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
            over_time(f"sum by (stage) (rate(newstide_stage_seconds_sum{{{_WORKER}}}[$__rate_interval]))", "{{stage}}"),
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
                f"sum by (instance) (rate(newstide_batch_messages_count{{{_WORKER}}}[$__rate_interval]))",
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
                f"sum by (instance) (rate(newstide_database_retries_total{{{_WORKER}}}[$__rate_interval]))",
                "{{instance}}",
            ),
        ),
    ]


def _losses() -> list[Built]:
    return [
        lines(
            About(
                "Dead letters by stage",
                "`ingest` could not read them, `stream` could not process them.",
                "short",
                _DEAD,
                6,
                8,
                "1m",
            ),
            over_time(
                f"sum by (stage) (increase(newstide_dead_letters_archived_total{{{_WORKER}}}[$__rate_interval]))",
                "{{stage}}",
            ),
            bars=True,
        ),
        lines(
            About(
                "Repeated messages",
                "Messages with the id of an earlier one, by whether they said the same.",
                "cps",
                _DEAD,
                6,
                8,
                "15s",
            ),
            over_time(f"sum by (kind) (rate(newstide_duplicates_total{{{_WORKER}}}[$__rate_interval]))", "{{kind}}"),
        ),
        lines(
            About(
                "Unread, by source",
                "Share of a source's messages in languages that no live model reads: stored and counted, not labelled.",
                "percentunit",
                _UNREAD,
                6,
                8,
                "1m",
            ),
            over_time(
                f"sum by (source) (increase(newstide_unread_messages_total{{{_WORKER}}}[$__rate_interval])) / sum by "
                f'(source) (increase(newstide_messages_total{{{_WORKER},outcome="stored"}}[$__rate_interval]))',
                "{{source}}",
            ),
        ),
        lines(
            About(
                "Gaps by partition",
                "Offsets that were skipped; they are lost to the trends.",
                "short",
                _GAPS,
                6,
                8,
                "1m",
            ),
            over_time(
                "sum by (topic, partition) (increase("
                f'newstide_ledger_gap_messages_total{{{_WORKER},topic=~"$topic"}}[$__rate_interval]))',
                "{{topic}}/{{partition}}",
            ),
            bars=True,
        ),
        listing(
            About("Newest dead letters", "Those that were not replayed.", "short", _DEAD, 12, 9),
            rows(_LETTERS),
            columns=[Column("failed", "dateTimeAsIso", 160), Column("bytes", "bytes", 80)],
        ),
        listing(
            About(
                "Ledger of partitions",
                "What is read, what is there, and what became of it, in this epoch of the topic.",
                "short",
                _GAPS,
                12,
                9,
            ),
            rows(_LEDGER),
            columns=[Column("updated", "dateTimeAsIso", 160), Column("event time", "dateTimeAsIso", 160)],
        ),
    ]


def _ingest() -> list[Built]:
    return [
        lines(
            About(
                "Messages by source", "Acknowledged by Kafka; the 15 sources with most.", "cps", _FEED, at_least="15s"
            ),
            over_time(
                "topk(15, sum by (source) (rate(newstide_ingested_messages_total[$__rate_interval])))", "{{source}}"
            ),
        ),
        listing(
            About("Feeds that fail", "The last fetch of these failed.", "short", _FEED),
            now("newstide_feed_up == 0", "{{source}}"),
        ),
        lines(
            About("Fetches by outcome", "Of all feeds.", "cps", _FEED, 8, 8, "1m"),
            over_time("sum by (outcome) (rate(newstide_feed_fetches_total[$__rate_interval]))", "{{outcome}}"),
        ),
        lines(
            About("Pushes by status", "Requests of the push endpoint.", "cps", _FEED, 8, 8, "15s"),
            over_time("sum by (status) (rate(newstide_pushes_total[$__rate_interval]))", "{{status}}"),
        ),
        lines(
            About("Inputs refused", "By source; they became dead letters.", "cps", _DEAD, 8, 8, "1m"),
            over_time("sum by (source) (rate(newstide_ingest_rejected_total[$__rate_interval]))", "{{source}}"),
        ),
        lines(
            About("What cleaning changed", "Messages by what had to be mended or assumed.", "cps", _DEAD, 8, 8, "1m"),
            over_time("sum by (mark) (rate(newstide_marked_messages_total[$__rate_interval]))", "{{mark}}"),
        ),
        lines(
            About(
                "Inputs seen before",
                "Inputs with the id of an earlier one of the same document, by content.",
                "cps",
                _FEED,
                8,
                8,
                "1m",
            ),
            over_time("sum by (content) (rate(newstide_ingest_duplicates_total[$__rate_interval]))", "{{content}}"),
        ),
        lines(
            About("Deletion marks", "Records without a value that a bridge skipped.", "cps", _FEED, 8, 8, "1m"),
            over_time("sum(rate(newstide_bridge_tombstones_total[$__rate_interval]))", "skipped"),
        ),
    ]


def _processes() -> list[Built]:
    return [
        lines(
            About("Up", "1 for each process that answers Prometheus, by kind.", "short", _DOWN, 8, 8, "15s"),
            over_time("sum by (process) (newstide_process_info)", "{{process}}"),
        ),
        lines(
            About("Processor", "Cores in use.", "none", _DOWN, 8, 8, "15s"),
            over_time(
                "rate(process_cpu_seconds_total[$__rate_interval]) "
                "* on (instance) group_left (process) newstide_process_info",
                "{{process}} {{instance}}",
            ),
        ),
        lines(
            About("Memory", "Resident.", "bytes", _DOWN, 8, 8, "15s"),
            over_time(
                "process_resident_memory_bytes * on (instance) group_left (process) newstide_process_info",
                "{{process}} {{instance}}",
            ),
        ),
    ]


_LETTERS = """
    SELECT failed_at AS failed, stage, origin, left(reason, 200) AS reason, octet_length(value) AS bytes
    FROM dead_letter
    WHERE replayed_at IS NULL AND $__timeFilter(failed_at)
    ORDER BY failed_at DESC, id DESC
    LIMIT 50
"""
_LEDGER = """
    SELECT topic, partition, epoch, next_offset AS "next offset", end_offset AS "end offset",
           greatest(end_offset - next_offset, 0) AS behind, messages, duplicates, dead_letters AS "dead letters", gaps,
           max_event_time AS "event time", updated_at AS updated
    FROM offset_ledger
    ORDER BY topic, partition
"""


def _quantile(share: float, histogram: str, by: str) -> str:
    buckets = f"rate({histogram}_bucket{{{_WORKER}}}[$__rate_interval])"
    return f"histogram_quantile({share}, sum by ({by}) ({buckets}))"
