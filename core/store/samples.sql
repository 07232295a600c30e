-- name: window
WITH newest AS (
    SELECT uid, story, published_at, model FROM message ORDER BY published_at DESC, uid LIMIT :pool
),
own AS (
    SELECT DISTINCT ON (story) uid, story FROM newest WHERE model = :model ORDER BY story, published_at, uid
),
chosen AS (
    SELECT uid, story FROM own ORDER BY hashtextextended(story::text, :seed), story LIMIT :size
)
SELECT m.source, m.id, m.kind, m.published_at, m.received_at, m.title, m.text,
       m.sentiment_scores, m.topic, m.topic_scores
FROM chosen JOIN message AS m USING (uid)
ORDER BY m.published_at, m.uid

-- name: unsure
WITH newest AS (
    SELECT uid, story, published_at, topic_scores FROM message
    WHERE CAST(:since AS timestamptz) IS NULL OR published_at >= :since
    ORDER BY published_at DESC, uid LIMIT :pool
),
ranked AS (
    SELECT newest.*, (SELECT array_agg(score ORDER BY score DESC) FROM unnest(topic_scores) AS score) AS best
    FROM newest
),
unsure AS (
    SELECT DISTINCT ON (story) uid FROM ranked
    WHERE best[1] < :confidence OR best[1] - best[2] < :margin
    ORDER BY story, published_at, uid
)
SELECT m.source, m.id, m.kind, m.published_at, m.received_at, m.title, m.text,
       m.sentiment_scores, m.topic, m.topic_scores
FROM unsure JOIN message AS m USING (uid)
ORDER BY m.published_at DESC, m.uid
LIMIT :limit

-- name: stories
SELECT count(DISTINCT story) FROM (
    SELECT story FROM message
    WHERE CAST(:since AS timestamptz) IS NULL OR published_at >= :since
    ORDER BY published_at DESC, uid LIMIT :pool
) AS newest
