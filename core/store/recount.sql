-- name: totals
-- A story is counted once in the series `all`, as a message is.
SELECT coalesce(sum(negative + neutral + positive), 0)::bigint AS messages,
       coalesce(sum(negative_stories + neutral_stories + positive_stories), 0)::bigint AS stories,
       (SELECT count(*) FROM dead_letter WHERE replayed_at IS NULL) AS dead_letters
FROM trend_history WHERE kind = 'all' AND name = 'all'

-- name: differences
WITH member AS (
    SELECT m.uid, m.story, m.published_at, m.sentiment, m.sentiment_scores, series.kind, series.name
    FROM message AS m
    CROSS JOIN LATERAL (
        SELECT 'all' AS kind, 'all' AS name
        UNION ALL SELECT 'topic', m.topic
        UNION ALL SELECT 'source', m.source
        UNION ALL SELECT 'entity', entity FROM unnest(m.entities) AS entity
    ) AS series
),
told AS (
    SELECT kind, name, date_trunc('minute', published_at, 'UTC') AS minute,
           count(*) FILTER (WHERE sentiment = 'negative') AS negative,
           count(*) FILTER (WHERE sentiment = 'neutral') AS neutral,
           count(*) FILTER (WHERE sentiment = 'positive') AS positive,
           sum(round(sentiment_scores[1]::double precision * 1000000))::bigint AS p_negative,
           sum(round(sentiment_scores[2]::double precision * 1000000))::bigint AS p_neutral,
           sum(round(sentiment_scores[3]::double precision * 1000000))::bigint AS p_positive
    FROM member
    GROUP BY 1, 2, 3
),
first AS (
    SELECT DISTINCT ON (kind, name, story) kind, name, date_trunc('minute', published_at, 'UTC') AS minute, sentiment
    FROM member
    ORDER BY kind, name, story, published_at, uid
),
story_count AS (
    SELECT kind, name, minute,
           count(*) FILTER (WHERE sentiment = 'negative') AS negative_stories,
           count(*) FILTER (WHERE sentiment = 'neutral') AS neutral_stories,
           count(*) FILTER (WHERE sentiment = 'positive') AS positive_stories
    FROM first
    GROUP BY 1, 2, 3
),
counted AS (
    SELECT kind, name, minute, negative, neutral, positive,
           coalesce(negative_stories, 0) AS negative_stories,
           coalesce(neutral_stories, 0) AS neutral_stories,
           coalesce(positive_stories, 0) AS positive_stories,
           p_negative, p_neutral, p_positive
    FROM told LEFT JOIN story_count USING (kind, name, minute)
)
SELECT coalesce(trend.kind, counted.kind), coalesce(trend.name, counted.name), coalesce(trend.minute, counted.minute),
       to_jsonb(trend), to_jsonb(counted)
FROM trend FULL JOIN counted USING (kind, name, minute)
WHERE trend.kind IS NULL OR counted.kind IS NULL
   OR (trend.negative, trend.neutral, trend.positive, trend.negative_stories, trend.neutral_stories,
       trend.positive_stories, trend.p_negative, trend.p_neutral, trend.p_positive)
   IS DISTINCT FROM
      (counted.negative, counted.neutral, counted.positive, counted.negative_stories, counted.neutral_stories,
       counted.positive_stories, counted.p_negative, counted.p_neutral, counted.p_positive)
ORDER BY 1, 2, 3
LIMIT :limit
