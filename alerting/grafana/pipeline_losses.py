"""A row of the board Pipeline: what was lost, repeated or not read."""

from __future__ import annotations

from alerting.grafana.panels import About, Built, Column, lines, listing, over_time, rows
from alerting.grafana.pipeline_workers import WORKER

_RUNBOOKS = "runbooks/Newstide"
_DEAD, _GAPS, _UNREAD = f"{_RUNBOOKS}DeadLetters.md", f"{_RUNBOOKS}LedgerGaps.md", f"{_RUNBOOKS}SourceUnread.md"


def losses() -> list[Built]:
    return [*_over_time(), *_lists()]


def _over_time() -> list[Built]:
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
                f"sum by (stage) (increase(newstide_dead_letters_archived_total{{{WORKER}}}[$__rate_interval]))",
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
            over_time(f"sum by (kind) (rate(newstide_duplicates_total{{{WORKER}}}[$__rate_interval]))", "{{kind}}"),
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
                f"sum by (source) (increase(newstide_unread_messages_total{{{WORKER}}}[$__rate_interval])) / sum by "
                f'(source) (increase(newstide_messages_total{{{WORKER},outcome="stored"}}[$__rate_interval]))',
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
                f'newstide_ledger_gap_messages_total{{{WORKER},topic=~"$topic"}}[$__rate_interval]))',
                "{{topic}}/{{partition}}",
            ),
            bars=True,
        ),
    ]


def _lists() -> list[Built]:
    return [
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
