"""The board Alerts: incidents, whether notifications arrive, and how that compares with the budget."""

from __future__ import annotations

from alerting.grafana.board import Board
from alerting.grafana.choices import of
from alerting.grafana.panels import About, Built, Column, Limits, figure, lines, listing, now, over_time, rows, series

_BUDGET, _DELIVERY = "runbooks/NewstideBudgetOverspent.md", "runbooks/NewstideDeliveryFailing.md"
_STILL, _JUDGED = "runbooks/NewstideWatermarkStandsStill.md", "alerting.md"
_KIND = 'kind=~"$kind"'
_CHOSEN = "kind IN (${kind:sqlstring})"


def board() -> Board:
    made = Board(
        uid="newstide-alerts",
        title="Alerts",
        description="Incidents, scores, deliveries, and pages against the budget.",
        refresh="30s",
        since="now-7d",
        variables=[of("kind", "Kind of series", "all", "topic", "entity", "outage")],
    )
    made.row("Now", *_now())
    made.row("Incidents", *_incidents())
    made.row("Judging", *_judging())
    made.row("Delivery", *_delivery())
    made.row("Prometheus", *_prometheus())
    return made


def _now() -> list[Built]:
    return [
        figure(
            About("Open incidents", "Surges that have not ended.", "short", _JUDGED, 4, 4),
            rows(f"SELECT count(*) AS incidents FROM incident WHERE state = 'open' AND {_CHOSEN}"),
            limits=Limits(1, 5),
        ),
        figure(
            About(
                "Pages of the last week",
                "Incidents of seven days of event time that nobody called useful, without outages of the feeds.",
                "short",
                _BUDGET,
                4,
                4,
            ),
            over_time('sum(max by (verdict) (newstide_pages_last_week{verdict!="useful"}))'),
        ),
        figure(
            About("Budget", "False pages a week that the rules allow.", "short", _BUDGET, 4, 4),
            over_time("max(newstide_budget_pages_per_week)"),
        ),
        figure(
            About(
                "Called false",
                "Of the incidents in the range that somebody judged, without outages of the feeds.",
                "percentunit",
                _BUDGET,
                4,
                4,
            ),
            rows(_FALSE_SHARE),
            limits=Limits(0.5, 0.8),
        ),
        figure(
            About(
                "Waiting deliveries",
                "Messages to receivers that are still to be sent.",
                "short",
                _DELIVERY,
                4,
                4,
                "15s",
            ),
            over_time("max(newstide_outbox_pending)"),
            limits=Limits(10, 100),
        ),
        figure(
            About(
                "Judging is behind by",
                "Present time less the watermark; in a replay the age of what is read.",
                "s",
                _STILL,
                4,
                4,
                "15s",
            ),
            over_time("time() - max(newstide_watermark_timestamp_seconds)"),
        ),
    ]


def _incidents() -> list[Built]:
    return [
        listing(
            About(
                "Incidents",
                "Those that opened in the range, the newest first, with their first story.",
                "short",
                _JUDGED,
                24,
                12,
            ),
            rows(_INCIDENTS),
            columns=[
                Column("opened", "dateTimeAsIso", 160),
                Column("score", "none", 70),
                Column("state", None, 90),
                Column("url", "string", 240, link="url"),
            ],
        ),
        lines(
            About("Incidents by day", "By what of the series was out of the ordinary.", "short", _BUDGET),
            series(_BY_DAY),
            bars=True,
            stacked=True,
        ),
        lines(
            About("Pages of a week against the budget", "By what was said of them.", "short", _BUDGET),
            over_time("max by (verdict) (newstide_pages_last_week)", "{{verdict}}"),
            over_time("max(newstide_budget_pages_per_week)", "budget", ref_id="B"),
        ),
    ]


def _judging() -> list[Built]:
    return [
        lines(
            About(
                "Score", "The 20 series with the highest now: -log10 of how rarely such counts come.", "none", _JUDGED
            ),
            over_time(f"topk(20, max by (kind, series) (newstide_series_score{{{_KIND}}}))", "{{kind}} {{series}}"),
        ),
        lines(
            About(
                "More than expected",
                "Negative stories in the window above what was expected; the 20 series with most.",
                "short",
                _JUDGED,
            ),
            over_time(
                f"topk(20, max by (kind, series) (newstide_series_observed{{{_KIND}}}) "
                f"- max by (kind, series) (newstide_series_expected{{{_KIND}}}))",
                "{{kind}} {{series}}",
            ),
        ),
        lines(
            About(
                "Changes of alerts",
                "By the state that they came to; late messages may withdraw one.",
                "short",
                _JUDGED,
                8,
            ),
            over_time("sum by (state) (increase(newstide_alerts_total[$__rate_interval]))", "{{state}}"),
            bars=True,
        ),
        lines(
            About(
                "Late messages",
                "Messages of minutes that were judged already; `unjudged` came too late for that.",
                "short",
                _STILL,
                8,
            ),
            over_time("sum(increase(newstide_late_messages_total[$__rate_interval]))", "judged again"),
            over_time("max(newstide_unjudged_messages)", "unjudged", ref_id="B"),
        ),
        lines(
            About(
                "Series",
                "Followed with a state of their own, noted until they have stories enough, and refused.",
                "short",
                _JUDGED,
                8,
            ),
            over_time("max(newstide_series_followed)", "followed"),
            over_time("max(newstide_series_noted)", "noted", ref_id="B"),
            over_time("max(newstide_series_refused)", "refused", ref_id="C"),
        ),
    ]


def _delivery() -> list[Built]:
    return [
        lines(
            About("Deliveries", "By receiver and outcome; a failed try is made again.", "short", _DELIVERY, 8),
            over_time(
                "sum by (channel, outcome) (increase(newstide_deliveries_total[$__rate_interval]))",
                "{{channel}} {{outcome}}",
            ),
            bars=True,
        ),
        listing(
            About(
                "Waiting and given up",
                "What has not reached its receiver, with the last error.",
                "short",
                _DELIVERY,
                16,
            ),
            rows(_OUTBOX),
            columns=[Column("created", "dateTimeAsIso", 160), Column("next try", "dateTimeAsIso", 160)],
        ),
    ]


def _prometheus() -> list[Built]:
    return [
        listing(
            About(
                "Alerts about newstide itself",
                "Rules of Prometheus that fire or are about to.",
                "short",
                "runbooks/README.md",
                24,
                8,
            ),
            now('ALERTS{alertname=~"Newstide.*"}'),
        ),
    ]


_FALSE_SHARE = f"""
    WITH said AS (
        SELECT (SELECT verdict FROM feedback WHERE feedback.incident = incident.id ORDER BY feedback.id DESC LIMIT 1)
               AS verdict
        FROM incident
        WHERE $__timeFilter(opened_at) AND state <> 'withdrawn' AND kind <> 'outage' AND {_CHOSEN}
    )
    SELECT avg((verdict = 'false')::int)::float8 AS share FROM said WHERE verdict IS NOT NULL
"""
_INCIDENTS = f"""
    SELECT found.opened_at AS opened, CASE found.kind WHEN 'all' THEN 'all' ELSE found.name END AS series, found.signal,
           found.state, found.observed, round(found.expected::numeric, 1)::float8 AS expected,
           found.window_minutes AS "window, min", round(found.score::numeric, 1)::float8 AS score,
           (SELECT verdict FROM feedback WHERE feedback.incident = found.id ORDER BY feedback.id DESC LIMIT 1) AS said,
           alert.evidence -> 'stories' -> 0 ->> 'headline' AS story,
           alert.evidence -> 'stories' -> 0 ->> 'url' AS url
    FROM (
        SELECT * FROM incident
        WHERE $__timeFilter(opened_at) AND state <> 'withdrawn' AND {_CHOSEN}
        ORDER BY opened_at DESC, id
        LIMIT 100
    ) AS found
    LEFT JOIN alert ON alert.id = found.leader
    ORDER BY found.opened_at DESC, found.id
"""
_BY_DAY = f"""
    SELECT extract(epoch FROM date_trunc('day', opened_at, 'UTC')) AS "time", signal AS metric, count(*) AS value
    FROM incident
    WHERE $__timeFilter(opened_at) AND state <> 'withdrawn' AND {_CHOSEN}
    GROUP BY 1, 2
    ORDER BY 1, 2
"""
_OUTBOX = """
    SELECT channel AS receiver, created_at AS created, attempts, next_try_at AS "next try",
           CASE WHEN given_up_at IS NULL THEN 'waits' ELSE 'given up' END AS state, last_error AS "last error"
    FROM outbox
    WHERE delivered_at IS NULL AND (given_up_at IS NULL OR $__timeFilter(given_up_at))
    ORDER BY created_at DESC
    LIMIT 50
"""
