-- name: scores
SELECT name, manifest -> 'evaluation' -> %(variant)s::text AS scores FROM model WHERE name = ANY(%(names)s::text[])

-- name: models_of
WITH latest AS (
    SELECT found.* FROM unnest('{negative,neutral,positive}'::text[]) AS sentiment CROSS JOIN LATERAL (
        SELECT uid, first_at FROM story_series AS series
        WHERE kind = %(kind)s AND name = %(name)s AND series.sentiment = sentiment.sentiment
          AND first_at >= coalesce(%(since)s::timestamptz, '-infinity')
          AND first_at < coalesce(%(until)s::timestamptz, 'infinity')
        ORDER BY first_at DESC LIMIT %(limit)s
    ) AS found
    ORDER BY first_at DESC LIMIT %(limit)s
)
SELECT message.model, count(*) AS stories FROM message JOIN latest ON latest.uid = message.uid GROUP BY message.model
