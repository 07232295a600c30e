-- name: insert_keys
INSERT INTO message_key (uid, stored_on, content)
SELECT uid, %(today)s, content FROM unnest(%(uids)s::uuid[], %(contents)s::bigint[]) AS t (uid, content)
ON CONFLICT DO NOTHING
RETURNING uid

-- name: known_contents
SELECT uid, content FROM message_key WHERE uid = ANY(%(uids)s::uuid[])

-- name: stored_messages
SELECT key.uid, key.content, message.language, message.entities, message.model, message.entity_sentiments,
       message.sentiment, message.sentiment_scores::double precision[] AS sentiment_scores,
       message.topic, message.topic_scores::double precision[] AS topic_scores,
       message.entity_scores::double precision[] AS entity_scores
FROM message_key AS key
LEFT JOIN message ON message.uid = key.uid AND message.stored_on = key.stored_on
WHERE key.uid = ANY(%(uids)s::uuid[])

-- name: copy_messages
COPY message (uid, stored_on, source, id, kind, published_at, received_at, title, text, url, author, language,
              entities, marks, extra, story, text_key, sentiment, sentiment_scores, topic, topic_scores, model,
              entity_sentiments, entity_scores)
FROM STDIN

-- name: name_sources
INSERT INTO source (key, name) SELECT key, name FROM unnest(%(keys)s::text[], %(names)s::text[]) AS t (key, name)
ON CONFLICT DO NOTHING

-- name: add_to_trends
INSERT INTO trend AS t (kind, name, minute, negative, neutral, positive, negative_stories, neutral_stories,
                        positive_stories, p_negative, p_neutral, p_positive, unread, unread_stories)
SELECT * FROM unnest(%(kind)s::text[], %(name)s::text[], %(minute)s::timestamptz[], %(negative)s::integer[],
                     %(neutral)s::integer[], %(positive)s::integer[], %(negative_stories)s::integer[],
                     %(neutral_stories)s::integer[], %(positive_stories)s::integer[], %(p_negative)s::bigint[],
                     %(p_neutral)s::bigint[], %(p_positive)s::bigint[], %(unread)s::integer[],
                     %(unread_stories)s::integer[])
ON CONFLICT (kind, name, minute) DO UPDATE
SET negative = t.negative + excluded.negative,
    neutral = t.neutral + excluded.neutral,
    positive = t.positive + excluded.positive,
    negative_stories = t.negative_stories + excluded.negative_stories,
    neutral_stories = t.neutral_stories + excluded.neutral_stories,
    positive_stories = t.positive_stories + excluded.positive_stories,
    p_negative = t.p_negative + excluded.p_negative,
    p_neutral = t.p_neutral + excluded.p_neutral,
    p_positive = t.p_positive + excluded.p_positive,
    unread = t.unread + excluded.unread,
    unread_stories = t.unread_stories + excluded.unread_stories

-- name: note_trend_change
INSERT INTO trend_change (minutes, messages) VALUES (%(minutes)s::timestamptz[], %(messages)s::integer[])

-- name: archive_dead_letters
INSERT INTO dead_letter (id, origin, stage, topic, key, value, reason, failed_at, context)
SELECT * FROM unnest(%(id)s::uuid[], %(origin)s::text[], %(stage)s::text[], %(topic)s::text[], %(key)s::bytea[],
                     %(value)s::bytea[], %(reason)s::text[], %(failed_at)s::timestamptz[], %(context)s::jsonb[])
ON CONFLICT (id) DO NOTHING
RETURNING id
