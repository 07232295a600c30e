"""What the board Market mood asks Postgres."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from alerting.grafana.choices import chosen_series, series_chosen
from alerting.grafana.postgres import SOURCE, QueryBuilder

SHOWN = 20
NEWEST = 20_000  # stories that are looked at for those with most copies


def total(expression: str) -> str:
    return f"""
        SELECT {expression} AS value
        FROM trend_history JOIN {chosen_series("topic", "topic")} USING (kind, name)
        WHERE $__timeFilter(minute)
    """


def shares() -> str:
    total = "nullif(sum(negative + neutral + positive), 0)"
    return f"""
        SELECT $__timeGroupAlias(minute, $__interval), sum(negative)::float8 / {total} AS negative,
               sum(neutral)::float8 / {total} AS neutral, sum(positive)::float8 / {total} AS positive
        FROM trend_history JOIN {chosen_series("topic", "topic")} USING (kind, name)
        WHERE $__timeFilter(minute)
        GROUP BY 1
        ORDER BY 1
    """


def by_topic(expression: str) -> str:
    return f"""
        SELECT $__timeGroupAlias(minute, $__interval), name AS metric, {expression} AS value
        FROM trend_history
        WHERE {series_chosen("topic", "topic")} AND $__timeFilter(minute)
        GROUP BY 1, 2
        ORDER BY 1, 2
    """


def surprise(kind: str, variable: str) -> str:
    """Of the series chosen, those with most negative stories in the range.

    Buckets are cut into slots of an hour at most, so that what is usual in a long one is the sum of its hours. Hours of
    the week are counted from the epoch; of the weeks before, those are read that the range holds.
    """
    hour = "floor(date_part('epoch', {}) / 3600)::bigint % 168"
    return f"""
        WITH bounds AS (
            SELECT since, until, date_part('epoch', until - since) / 604800 AS weeks
            FROM (
                SELECT $__timeFrom()::timestamptz AS until, greatest(
                    $__timeFrom()::timestamptz - interval '28 days',
                    (SELECT min(minute) FROM trend_history WHERE kind = 'all' AND name = 'all')) AS since
            ) AS span
            WHERE until - since >= interval '7 days'
        ),
        shown AS (
            SELECT name
            FROM trend_history
            WHERE {series_chosen(kind, variable)} AND $__timeFilter(minute)
            GROUP BY name
            ORDER BY sum(negative_stories) DESC, name
            LIMIT {SHOWN}
        ),
        slot AS (
            SELECT $__timeGroup(at, $__interval) AS bucket, {hour.format("at")} AS hour,
                   least($__interval_ms / 1000, 3600) AS seconds
            FROM generate_series($__timeFrom()::timestamptz, $__timeTo()::timestamptz,
                                 least($__interval_ms / 1000, 3600) * interval '1 second') AS at
        ),
        past AS (
            SELECT began, {hour.format("began")} AS hour
            FROM bounds, generate_series(date_trunc('hour', since, 'UTC'), until, interval '1 hour') AS began
            WHERE {hour.format("began")} IN (SELECT hour FROM slot)
        ),
        usual AS (
            SELECT shown.name, jsonb_object_agg(by_hour.hour, by_hour.per_second) AS per_second
            FROM shown CROSS JOIN bounds CROSS JOIN LATERAL (
                SELECT past.hour, sum(counted.stories) / (3600 * bounds.weeks) AS per_second
                FROM past CROSS JOIN LATERAL (
                    SELECT sum(negative_stories) AS stories
                    FROM trend_history
                    WHERE kind = '{kind}' AND name = shown.name AND minute >= greatest(began, bounds.since)
                      AND minute < least(began + interval '1 hour', bounds.until)
                ) AS counted
                GROUP BY 1
            ) AS by_hour
            GROUP BY 1
        ),
        observed AS (
            SELECT name, $__timeGroup(minute, $__interval) AS bucket, sum(negative_stories) AS stories
            FROM trend_history
            WHERE kind = '{kind}' AND name = ANY(ARRAY(SELECT name FROM shown)) AND $__timeFilter(minute)
            GROUP BY 1, 2
        ),
        expected AS (
            SELECT name, bucket, sum(coalesce((per_second ->> hour::text)::float8, 0) * seconds) AS stories
            FROM usual CROSS JOIN slot
            GROUP BY 1, 2
        )
        SELECT bucket AS "time", name AS metric,
               2 * (sqrt(coalesce(observed.stories, 0) + 0.375) - sqrt(expected.stories + 0.375)) AS value
        FROM expected LEFT JOIN observed USING (name, bucket)
        ORDER BY 1, 2
    """


def movers() -> str:
    return f"""
        WITH span AS ({_span("topic", "topic")} UNION ALL {_span("entity", "company")}),
        total AS (
            SELECT kind, name, coalesce(sum(negative_stories) FILTER (WHERE is_now), 0) AS stories,
                   coalesce(sum(negative_stories) FILTER (WHERE NOT is_now), 0) AS before,
                   sum(negative) FILTER (WHERE is_now)::float8
                       / nullif(sum(messages) FILTER (WHERE is_now), 0) AS share,
                   sum(negative) FILTER (WHERE NOT is_now)::float8
                       / nullif(sum(messages) FILTER (WHERE NOT is_now), 0) AS share_before
            FROM span
            GROUP BY kind, name
        )
        SELECT name AS series, stories AS "negative stories", before,
               round((2 * (sqrt(stories + 0.375) - sqrt(before + 0.375)))::numeric, 1)::float8 AS change,
               share, share_before AS "share before"
        FROM total
        ORDER BY abs(sqrt(stories + 0.375) - sqrt(before + 0.375)) DESC, kind, name
        LIMIT 25
    """


def _span(kind: str, variable: str) -> str:
    """Rows of the range and of the time of the same length before."""
    return f"""
            SELECT kind, name, minute >= $__timeFrom()::timestamptz AS is_now, negative_stories, negative,
                   negative + neutral + positive AS messages
            FROM trend_history
            WHERE {series_chosen(kind, variable)}
              AND minute >= $__timeFrom()::timestamptz - ($__timeTo()::timestamptz - $__timeFrom()::timestamptz)
              AND minute <= $__timeTo()"""


def incidents() -> str:
    return """
        SELECT opened_at AS opened, CASE kind WHEN 'all' THEN 'all' ELSE name END AS series, signal, state, observed,
               round(expected::numeric, 1)::float8 AS expected, window_minutes AS "window, min",
               round(score::numeric, 1)::float8 AS score
        FROM incident
        WHERE opened_at <= $__timeTo() AND state <> 'withdrawn' AND (closed_at IS NULL OR closed_at >= $__timeFrom())
        ORDER BY opened_at DESC
        LIMIT 50
    """


def stories() -> str:
    return f"""
        SELECT top.first_at AS first, top.messages, top.name AS "topic or all", top.headline,
               (SELECT url FROM message
                WHERE message.uid = top.uid AND stored_on >= (top.first_at AT TIME ZONE 'UTC')::date LIMIT 1) AS url
        FROM (
            SELECT found.first_at, found.uid, found.name, story.messages, story.headline
            FROM (
                SELECT story, name, first_at, uid
                FROM story_series JOIN {chosen_series("topic", "topic")} USING (kind, name)
                WHERE sentiment = 'negative' AND $__timeFilter(first_at)
                ORDER BY first_at DESC
                LIMIT {NEWEST}
            ) AS found
            JOIN story ON story.id = found.story
            ORDER BY story.messages DESC, found.first_at DESC, found.uid
            LIMIT 30
        ) AS top
        ORDER BY top.messages DESC, top.first_at DESC
    """


def surges() -> dashboard.AnnotationQuery:
    sql = """
        SELECT opened_at AS time, coalesce(closed_at, last_at) AS timeend,
               CASE kind WHEN 'all' THEN 'all' ELSE name END || ': ' || observed || ' where '
                   || round(expected::numeric, 1) || ' were expected' AS text,
               signal AS tags
        FROM incident
        WHERE $__timeFilter(opened_at) AND state <> 'withdrawn'
        ORDER BY opened_at
        LIMIT 500
    """
    return (
        dashboard.AnnotationQuery()
        .name("Surges")
        .datasource(SOURCE)
        .enable(True)
        .icon_color("red")
        .target(QueryBuilder(sql))
    )
