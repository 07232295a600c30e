-- name: days
-- When messages were stored.
SELECT uid, stored_on FROM message_key WHERE uid = ANY(CAST(:uids AS uuid[]))

-- name: messages
-- The days stand there twice: as an array they leave all others out of the plan, which takes long to make for hundreds.
SELECT message.uid, story, source, id, kind, published_at, received_at, title, text, url, author, language, entities,
       model, sentiment, sentiment_scores, topic, topic_scores, entity_sentiments
FROM unnest(CAST(:uids AS uuid[]), CAST(:days AS date[])) AS wanted (uid, stored_on), LATERAL (
    SELECT * FROM message
    WHERE message.uid = wanted.uid AND message.stored_on = wanted.stored_on
      AND message.stored_on = ANY(CAST(:days AS date[]))
    LIMIT 1
) AS message

-- name: of_story
SELECT uid, story, source, id, kind, published_at, received_at, title, text, url, author, language, entities, model,
       sentiment, sentiment_scores, topic, topic_scores, entity_sentiments
FROM message
WHERE story = :story AND stored_on >= :stored_from
  AND (CAST(:after AS timestamptz) IS NULL OR (published_at, uid) > (:after, CAST(:after_uid AS uuid)))
ORDER BY published_at, uid
LIMIT :limit
