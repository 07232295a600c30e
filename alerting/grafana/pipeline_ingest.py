"""A row of the board Pipeline: what ingest takes in."""

from __future__ import annotations

from alerting.grafana.panels import About, Built, lines, listing, now, over_time

_DEAD, _FEED = "runbooks/NewstideDeadLetters.md", "runbooks/NewstideFeedDead.md"


def ingest() -> list[Built]:
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
