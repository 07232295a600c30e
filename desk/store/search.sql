-- name: matching
-- Looked up by their words, whatever the limit: in the order of time, each message would have to be taken apart.
SELECT * FROM (
    SELECT uid, story, source, kind, published_at, title, text, url, author, language, entities, topic, sentiment,
           sentiment_scores, model, entity_sentiments
    FROM message
    WHERE search_words(title, text, topic, source, entities)
              @@ (websearch_to_tsquery('pg_catalog.english', :words) && CAST(:exact AS tsquery))
      AND published_at >= :since AND published_at < :until AND stored_on >= :stored_from
      AND (CAST(:sentiment AS text) IS NULL OR sentiment = :sentiment)
      AND (CAST(:before AS timestamptz) IS NULL OR (published_at, uid) < (:before, CAST(:before_uid AS uuid)))
      AND NOT EXISTS (SELECT FROM unnest(CAST(:runs AS text[])) AS run WHERE strpos(title || ' ' || text, run) = 0)
    OFFSET 0
) AS found
ORDER BY published_at DESC, uid DESC
LIMIT :limit

-- name: newest
SELECT uid, story, source, kind, published_at, title, text, url, author, language, entities, topic, sentiment,
       sentiment_scores, model, entity_sentiments
FROM message
WHERE published_at >= :since AND published_at < :until AND stored_on >= :stored_from
  AND (CAST(:sentiment AS text) IS NULL OR sentiment = :sentiment)
  AND (CAST(:before AS timestamptz) IS NULL OR (published_at, uid) < (:before, CAST(:before_uid AS uuid)))
ORDER BY published_at DESC, uid DESC
LIMIT :limit

-- name: known
-- Times between which all messages are.
SELECT least((SELECT min(minute) FROM trend WHERE kind = 'all' AND name = 'all'),
             (SELECT min(hour) FROM trend_hour WHERE kind = 'all' AND name = 'all')) AS since,
       (SELECT max(minute) + interval '1 minute' FROM trend WHERE kind = 'all' AND name = 'all') AS until
