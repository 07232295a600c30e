-- name: totals
-- Counts of one series in a span, by the minute.
SELECT coalesce(sum(negative_stories), 0)::bigint AS negative, coalesce(sum(neutral_stories), 0)::bigint AS neutral,
       coalesce(sum(positive_stories), 0)::bigint AS positive,
       coalesce(sum(negative + neutral + positive + unread), 0)::bigint AS messages
FROM trend_history WHERE kind = :kind AND name = :name AND minute >= :since AND minute < :until

-- name: totals_by_hour
SELECT coalesce(sum(negative_stories), 0)::bigint AS negative, coalesce(sum(neutral_stories), 0)::bigint AS neutral,
       coalesce(sum(positive_stories), 0)::bigint AS positive,
       coalesce(sum(negative + neutral + positive + unread), 0)::bigint AS messages
FROM trend_totals(:kind, ARRAY[CAST(:name AS text)], :since, :until)

-- name: leading
-- The series of a kind with the most negative stories in the hours of a span, their counts in them.
SELECT name, negative_stories AS negative, neutral_stories AS neutral, positive_stories AS positive,
       negative + neutral + positive + unread AS messages
FROM trend_totals(:kind, NULL, :since, :until)
ORDER BY negative DESC, messages DESC, name
LIMIT :limit

-- name: buckets_by_minute
-- Counts of some series, as arrays of big-endian integers that belong together: in which of the steps of `step_s`
-- since 1970, and how many. A step may be there more than once, to be added up.
SELECT name, string_agg(int4send(floor(date_part('epoch', minute) / :step_s)::integer), '') AS steps,
       string_agg(int4send(negative_stories), '') AS negative, string_agg(int4send(neutral_stories), '') AS neutral,
       string_agg(int4send(positive_stories), '') AS positive,
       string_agg(int4send(negative + neutral + positive + unread), '') AS messages
FROM trend
WHERE kind = :kind AND name = ANY(CAST(:names AS text[])) AND minute >= :since AND minute < :until
GROUP BY name

-- name: buckets_by_hour
SELECT name, string_agg(int4send(floor(date_part('epoch', hour) / :step_s)::integer), '') AS steps,
       string_agg(int4send(negative_stories), '') AS negative, string_agg(int4send(neutral_stories), '') AS neutral,
       string_agg(int4send(positive_stories), '') AS positive,
       string_agg(int4send(negative + neutral + positive + unread), '') AS messages
FROM trend_hours(:kind, :names, :since, :until)
GROUP BY name

-- name: negative_by_minute
SELECT name, string_agg(int4send(floor(date_part('epoch', minute) / :step_s)::integer), '') AS steps,
       string_agg(int4send(negative_stories), '') AS negative
FROM trend
WHERE kind = :kind AND name = ANY(CAST(:names AS text[])) AND minute >= :since AND minute < :until
  AND negative_stories <> 0
GROUP BY name

-- name: negative_by_hour
-- What an expectation is made of; from `counted` on all counts, each of these arrays in the order of those steps.
SELECT name, string_agg(int4send(floor(date_part('epoch', hour) / :step_s)::integer), '') AS steps,
       string_agg(int4send(negative_stories), '') AS negative,
       string_agg(int4send(neutral_stories), '') FILTER (WHERE hour >= :counted) AS neutral,
       string_agg(int4send(positive_stories), '') FILTER (WHERE hour >= :counted) AS positive,
       string_agg(int4send(negative + neutral + positive + unread), '') FILTER (WHERE hour >= :counted) AS messages
FROM trend_hours(:kind, :names, :since, :until)
WHERE negative_stories <> 0 OR hour >= :counted
GROUP BY name

-- name: names
-- Names of series of a kind that hold a text, each looked up once: those of all hours that are kept, and of the last ones.
WITH RECURSIVE each (name) AS (
    SELECT min(name) FROM trend_rolled WHERE kind = :kind
    UNION ALL
    SELECT (SELECT min(name) FROM trend_rolled WHERE kind = :kind AND name > each.name)
    FROM each WHERE each.name IS NOT NULL
),
latest AS (
    SELECT DISTINCT name FROM trend_hours(:kind, NULL, :recent, :until)
)
SELECT name FROM (SELECT name FROM each UNION SELECT name FROM latest) AS known
WHERE strpos(lower(name), lower(:holds)) > 0
ORDER BY length(name), name
LIMIT :limit

-- name: known_series
-- The busiest series of a kind in a span, or of some.
SELECT name, sum(negative_stories + neutral_stories + positive_stories + unread_stories)::bigint AS stories,
       sum(negative_stories)::bigint AS negative, max(hour) AS last_hour
FROM trend_hours(:kind, CAST(:names AS text[]), :since, :until)
GROUP BY name
ORDER BY stories DESC, name
LIMIT :limit

-- name: source_names
SELECT key, name FROM source WHERE key = ANY(CAST(:keys AS text[]))
