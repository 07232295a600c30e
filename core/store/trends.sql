-- name: rows
SELECT kind, name, date_trunc(:bucket, minute, 'UTC') AS at,
       sum(negative)::bigint AS negative, sum(neutral)::bigint AS neutral, sum(positive)::bigint AS positive,
       sum(negative_stories)::bigint AS negative_stories, sum(neutral_stories)::bigint AS neutral_stories,
       sum(positive_stories)::bigint AS positive_stories,
       sum(p_negative) / 1e6 AS p_negative, sum(p_neutral) / 1e6 AS p_neutral, sum(p_positive) / 1e6 AS p_positive,
       sum(unread)::bigint AS unread, sum(unread_stories)::bigint AS unread_stories
FROM trend_history
WHERE (CAST(:kind AS text) IS NULL OR kind = :kind) AND (CAST(:name AS text) IS NULL OR name = :name)
  AND (CAST(:since AS timestamptz) IS NULL OR minute >= :since)
  AND (CAST(:until AS timestamptz) IS NULL OR minute < :until)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3

-- name: series
SELECT kind, name, sum(negative + neutral + positive + unread)::bigint AS messages,
       sum(negative_stories + neutral_stories + positive_stories + unread_stories)::bigint AS stories,
       sum(negative_stories)::bigint AS negative_stories, sum(positive_stories)::bigint AS positive_stories,
       sum(unread)::bigint AS unread, min(minute) AS first, max(minute) AS last
FROM trend_history
WHERE (CAST(:since AS timestamptz) IS NULL OR minute >= :since)
  AND (CAST(:until AS timestamptz) IS NULL OR minute < :until)
GROUP BY 1, 2
ORDER BY array_position(ARRAY['all', 'topic', 'entity', 'source'], kind), messages DESC, name

-- name: source_names
SELECT key, name FROM source

-- name: busiest
WITH span AS (
    SELECT kind, name, floor(extract(epoch FROM minute - :since) / :step_s)::integer AS bucket, negative_stories,
           negative, neutral, positive
    FROM trend
    WHERE minute >= :since AND minute < :until AND kind IN ('all', 'topic', 'entity')
),
chosen AS (
    SELECT kind, name, sum(negative) AS negative, sum(neutral) AS neutral, sum(positive) AS positive,
           sum(negative_stories) AS weight
    FROM span GROUP BY 1, 2 ORDER BY kind = 'all' DESC, weight DESC, name LIMIT :limit
)
SELECT chosen.kind, chosen.name, chosen.negative::bigint, chosen.neutral::bigint, chosen.positive::bigint,
       counts.buckets, counts.stories
FROM chosen, LATERAL (
    SELECT array_agg(bucket) AS buckets, array_agg(stories) AS stories
    FROM (
        SELECT bucket, sum(negative_stories)::bigint AS stories
        FROM span WHERE span.kind = chosen.kind AND span.name = chosen.name GROUP BY 1
    ) AS by_bucket
) AS counts
ORDER BY chosen.kind = 'all' DESC, chosen.weight DESC, chosen.name
