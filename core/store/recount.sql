-- name: totals
-- A story is counted once in the series `all`, as a message is.
SELECT coalesce(sum(negative + neutral + positive + unread), 0)::bigint AS messages,
       coalesce(sum(negative_stories + neutral_stories + positive_stories + unread_stories), 0)::bigint AS stories,
       (SELECT count(*) FROM dead_letter WHERE replayed_at IS NULL) AS dead_letters
FROM trend_history WHERE kind = 'all' AND name = 'all'

-- name: stored_messages
SELECT count(*) AS stored, count(*) FILTER (WHERE sentiment IS NULL) AS unread,
       (SELECT coalesce(sum(messages), 0)::bigint FROM dropped_day) AS dropped
FROM message WHERE stored_on NOT IN (SELECT stored_on FROM dropped_day)

-- name: unchecked
WITH bucket AS (
    SELECT minute AS at, CASE WHEN minute < (SELECT merged_until FROM trend_rollup)
                              THEN interval '1 hour' ELSE interval '1 minute' END AS width
    FROM trend_history
)
SELECT count(*) AS rows FROM bucket
WHERE EXISTS (SELECT FROM dropped_day WHERE at <= latest AND at + width > date_trunc('minute', earliest, 'UTC'))

-- name: differences
-- Minutes that retention merges into hours are compared by the hour, whether they are merged yet or not.
WITH merged AS (
    SELECT coalesce((SELECT merged_until FROM trend_rollup), '-infinity') AS until
),
stored AS (
    SELECT kind, name, CASE WHEN minute < until THEN date_trunc('hour', minute, 'UTC') ELSE minute END AS at,
           sum(negative) AS negative, sum(neutral) AS neutral, sum(positive) AS positive,
           sum(negative_stories) AS negative_stories, sum(neutral_stories) AS neutral_stories,
           sum(positive_stories) AS positive_stories,
           sum(p_negative)::bigint AS p_negative, sum(p_neutral)::bigint AS p_neutral,
           sum(p_positive)::bigint AS p_positive, sum(unread) AS unread, sum(unread_stories) AS unread_stories
    FROM trend_history CROSS JOIN merged
    GROUP BY 1, 2, 3
),
member AS (
    -- A company that the message names may have a sentiment of its own: three scores each, in the order of `entities`.
    SELECT m.uid, m.story, m.published_at, coalesce(series.own, m.sentiment, 'unread') AS sentiment,
           CASE WHEN series.own IS NULL THEN m.sentiment_scores
                ELSE m.entity_scores[3 * series.place - 2 : 3 * series.place] END AS sentiment_scores,
           series.kind, series.name,
           date_trunc(CASE WHEN m.published_at < until THEN 'hour' ELSE 'minute' END, m.published_at, 'UTC') AS at
    FROM message AS m
    CROSS JOIN merged
    CROSS JOIN LATERAL (
        SELECT 'all' AS kind, 'all' AS name, NULL AS own, NULL::integer AS place
        UNION ALL SELECT 'topic', m.topic, NULL, NULL WHERE m.topic IS NOT NULL
        UNION ALL SELECT 'source', m.source, NULL, NULL
        UNION ALL SELECT 'entity', entity, m.entity_sentiments[place], place::integer
        FROM unnest(m.entities) WITH ORDINALITY AS named (entity, place)
    ) AS series
),
message_count AS (
    SELECT kind, name, at,
           count(*) FILTER (WHERE sentiment = 'negative') AS negative,
           count(*) FILTER (WHERE sentiment = 'neutral') AS neutral,
           count(*) FILTER (WHERE sentiment = 'positive') AS positive,
           count(*) FILTER (WHERE sentiment = 'unread') AS unread,
           coalesce(sum(round(sentiment_scores[1]::double precision * 1000000)), 0)::bigint AS p_negative,
           coalesce(sum(round(sentiment_scores[2]::double precision * 1000000)), 0)::bigint AS p_neutral,
           coalesce(sum(round(sentiment_scores[3]::double precision * 1000000)), 0)::bigint AS p_positive
    FROM member
    GROUP BY 1, 2, 3
),
first AS (
    SELECT DISTINCT ON (kind, name, story) kind, name, story, uid, at, sentiment
    FROM member
    ORDER BY kind, name, story, published_at, uid
),
-- Once messages were dropped, the first of those left may not be the story's first: `story_series` knows that one. A
-- story that is forgotten there leaves open what its minute should hold.
judged_first AS (
    SELECT first.kind, first.name, first.at, first.sentiment,
           NOT EXISTS (SELECT FROM dropped_day) OR known.uid = first.uid
               OR EXISTS (SELECT FROM message WHERE message.uid = known.uid) AS counts,
           EXISTS (SELECT FROM dropped_day) AND known.uid IS NULL AS open
    FROM first LEFT JOIN story_series AS known USING (kind, name, story)
),
story_count AS (
    SELECT kind, name, at,
           count(*) FILTER (WHERE counts AND sentiment = 'negative') AS negative_stories,
           count(*) FILTER (WHERE counts AND sentiment = 'neutral') AS neutral_stories,
           count(*) FILTER (WHERE counts AND sentiment = 'positive') AS positive_stories,
           count(*) FILTER (WHERE counts AND sentiment = 'unread') AS unread_stories,
           bool_or(open) AS open
    FROM judged_first
    GROUP BY 1, 2, 3
),
counted AS (
    SELECT kind, name, at, negative, neutral, positive,
           coalesce(negative_stories, 0) AS negative_stories,
           coalesce(neutral_stories, 0) AS neutral_stories,
           coalesce(positive_stories, 0) AS positive_stories,
           p_negative, p_neutral, p_positive, unread, coalesce(unread_stories, 0) AS unread_stories,
           coalesce(open, false) AS open
    FROM message_count LEFT JOIN story_count USING (kind, name, at)
)
SELECT coalesce(stored.kind, counted.kind) AS kind, coalesce(stored.name, counted.name) AS name,
       coalesce(stored.at, counted.at) AS minute, to_jsonb(stored) AS stored, to_jsonb(counted) - 'open' AS counted
FROM stored FULL JOIN counted USING (kind, name, at) CROSS JOIN merged
WHERE (stored.kind IS NULL OR counted.kind IS NULL
       OR (stored.negative, stored.neutral, stored.positive, stored.p_negative, stored.p_neutral, stored.p_positive,
           stored.unread)
       IS DISTINCT FROM
          (counted.negative, counted.neutral, counted.positive, counted.p_negative, counted.p_neutral,
           counted.p_positive, counted.unread)
       OR NOT counted.open
       AND (stored.negative_stories, stored.neutral_stories, stored.positive_stories, stored.unread_stories)
       IS DISTINCT FROM
           (counted.negative_stories, counted.neutral_stories, counted.positive_stories, counted.unread_stories))
  AND NOT EXISTS (SELECT FROM dropped_day
                  WHERE coalesce(stored.at, counted.at) <= latest
                    AND coalesce(stored.at, counted.at)
                        + CASE WHEN coalesce(stored.at, counted.at) < merged.until
                               THEN interval '1 hour' ELSE interval '1 minute' END
                        > date_trunc('minute', earliest, 'UTC'))
ORDER BY 1, 2, 3
LIMIT :limit
