-- name: stories
-- Stories of a series, the last first: of each sentiment so many, in the order of the index.
SELECT series.story, series.uid, series.first_at, series.sentiment
FROM unnest(CAST(:sentiments AS text[])) AS wanted (sentiment)
CROSS JOIN LATERAL (
    SELECT story, uid, first_at, sentiment
    FROM story_series
    WHERE kind = :kind AND name = :name AND story_series.sentiment = wanted.sentiment
      AND first_at >= :since AND first_at <= :until
      AND (CAST(:before AS timestamptz) IS NULL OR (first_at, story) < (:before, CAST(:before_story AS uuid)))
      AND (CAST(:source AS text) IS NULL OR EXISTS (
          SELECT FROM story_series AS published
          WHERE published.story = story_series.story AND published.kind = 'source' AND published.name = :source))
    ORDER BY first_at DESC, story DESC
    LIMIT :limit
) AS series
ORDER BY first_at DESC, story DESC
LIMIT :limit

-- name: described
-- What is known of stories.
SELECT story.id, story.headline, story.first_at, story.last_at, story.messages AS copies,
       coalesce(series.sources, '{}') AS sources, coalesce(series.entities, '{}') AS entities,
       coalesce(series.entity_sentiments, '{}') AS entity_sentiments
FROM story
LEFT JOIN LATERAL (
    SELECT array_agg(name ORDER BY first_at, name) FILTER (WHERE kind = 'source') AS sources,
           array_agg(name ORDER BY first_at, name) FILTER (WHERE kind = 'entity') AS entities,
           array_agg(sentiment ORDER BY first_at, name) FILTER (WHERE kind = 'entity') AS entity_sentiments
    FROM story_series WHERE story_series.story = story.id
) AS series ON true
WHERE story.id = ANY(CAST(:stories AS uuid[]))

-- name: story
SELECT id AS story, first_uid AS uid, first_at FROM story WHERE id = :story

-- name: headlines
-- Of the newest stories of a series in a span.
SELECT coalesce(array_agg(story.headline), '{}') AS headlines
FROM unnest(CAST(:sentiments AS text[])) AS wanted (sentiment)
CROSS JOIN LATERAL (
    SELECT story, first_at
    FROM story_series
    WHERE kind = :kind AND name = :name AND story_series.sentiment = wanted.sentiment
      AND first_at >= :since AND first_at < :until
    ORDER BY first_at DESC
    LIMIT :limit
) AS series
JOIN story ON story.id = series.story
