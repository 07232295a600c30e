-- name: window
-- All columns come from the newest rows: a join back by uid may read every day there is.
WITH newest AS (
    SELECT uid, source, id, kind, published_at, received_at, title, text, story, model, sentiment_scores, topic,
           topic_scores
    FROM message ORDER BY published_at DESC, uid LIMIT :pool
),
own AS (
    SELECT DISTINCT ON (story) * FROM newest WHERE model = :model ORDER BY story, published_at, uid
),
chosen AS (
    SELECT * FROM own ORDER BY hashtextextended(story::text, :seed), story LIMIT :size
)
SELECT source, id, kind, published_at, received_at, title, text, sentiment_scores, topic, topic_scores
FROM chosen
ORDER BY published_at, uid

-- name: unsure
WITH newest AS (
    SELECT uid, source, id, kind, published_at, received_at, title, text, language, story, sentiment_scores, topic,
           topic_scores
    FROM message
    WHERE topic IS NOT NULL AND (CAST(:since AS timestamptz) IS NULL OR published_at >= :since)
    ORDER BY published_at DESC, uid LIMIT :pool
),
ranked AS (
    SELECT newest.*, (SELECT array_agg(score ORDER BY score DESC) FROM unnest(topic_scores) AS score) AS best
    FROM newest
),
unsure AS (
    SELECT DISTINCT ON (story) * FROM ranked
    WHERE (best[1] < :confidence OR best[1] - best[2] < :margin)
      AND (language = '' OR language = ANY(CAST(:languages AS text[])))
    ORDER BY story, published_at, uid
)
SELECT source, id, kind, published_at, received_at, title, text, sentiment_scores, topic, topic_scores
FROM unsure
ORDER BY published_at DESC, uid
LIMIT :limit

-- name: stories
SELECT count(DISTINCT story) FROM (
    SELECT story, language FROM message
    WHERE CAST(:since AS timestamptz) IS NULL OR published_at >= :since
    ORDER BY published_at DESC, uid LIMIT :pool
) AS newest
WHERE language = '' OR language = ANY(CAST(:languages AS text[]))
