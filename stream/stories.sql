-- name: lock_bands
WITH locked AS (
    INSERT INTO story_band AS known (band, texts, taken, last_at, stored_on)
    SELECT band, array_agg(DISTINCT text), 1, max(at), %(today)s
    FROM unnest(%(texts)s::uuid[], %(ats)s::timestamptz[], %(bands)s::text[]) AS new (text, at, bands),
         unnest(new.bands::bigint[]) AS band
    GROUP BY band
    ORDER BY band
    ON CONFLICT (band) DO UPDATE
    SET texts = CASE WHEN excluded.texts <@ known.texts THEN known.texts
                     ELSE (known.texts || ARRAY(SELECT unnest(excluded.texts) EXCEPT SELECT unnest(known.texts)))
                          [greatest(cardinality(known.texts) + cardinality(excluded.texts) - %(most)s, 0) + 1:] END,
        taken = known.taken + 1,
        last_at = greatest(known.last_at, excluded.last_at),
        stored_on = excluded.stored_on
    RETURNING band, texts, taken
)
SELECT band, texts FROM locked WHERE taken > 1 OR cardinality(texts) > 1

-- name: lock_stories
SELECT id FROM story WHERE id = ANY(%(stories)s::uuid[]) ORDER BY id FOR UPDATE

-- name: runs_of_texts
SELECT run.text, run.story, run.form, run.first_at, run.first_uid, run.last_at, run.messages, run.signature, run.bands
FROM unnest(%(texts)s::uuid[], %(since)s::timestamptz[], %(until)s::timestamptz[]) AS wanted (text, since, until)
JOIN story_text AS run
  ON run.text = wanted.text AND run.last_at >= wanted.since AND run.first_at <= wanted.until

-- name: runs_of_stories
SELECT text, story, form, first_at, first_uid, last_at, messages, signature, bands
FROM story_text
WHERE story = ANY(%(stories)s::uuid[])

-- name: stories
SELECT id, first_at, first_uid, last_at, messages, stored_on, fixed FROM story WHERE id = ANY(%(stories)s::uuid[])

-- name: messages_of_runs
SELECT message.uid, message.published_at, message.story, message.text_key
FROM unnest(%(texts)s::uuid[], %(stories)s::uuid[]) AS run (text, story)
JOIN message ON message.story = run.story AND message.text_key = run.text AND message.stored_on >= %(stored_since)s
ORDER BY message.published_at, message.uid

-- name: move_runs
UPDATE message SET story = run.target
FROM unnest(%(texts)s::uuid[], %(sources)s::uuid[], %(targets)s::uuid[]) AS run (text, source, target)
WHERE message.story = run.source AND message.text_key = run.text AND message.stored_on >= %(stored_since)s

-- name: move_messages
UPDATE message SET story = moved.target
FROM unnest(%(uids)s::uuid[], %(sources)s::uuid[], %(targets)s::uuid[]) AS moved (uid, source, target)
WHERE message.story = moved.source AND message.uid = moved.uid AND message.stored_on >= %(stored_since)s

-- name: delete_runs
DELETE FROM story_text AS run
USING unnest(%(texts)s::uuid[], %(stories)s::uuid[]) AS gone (text, story)
WHERE run.text = gone.text AND run.story = gone.story

-- name: add_to_runs
INSERT INTO story_text AS run (text, story, form, first_at, first_uid, last_at, messages, signature, bands, stored_on)
SELECT text, story, form, first_at, first_uid, last_at, messages, signature, bands::bigint[], %(today)s
FROM unnest(%(texts)s::uuid[], %(stories)s::uuid[], %(forms)s::uuid[], %(first_ats)s::timestamptz[],
            %(first_uids)s::uuid[], %(last_ats)s::timestamptz[], %(messages)s::bigint[], %(signatures)s::bytea[],
            %(bands)s::text[])
    AS t (text, story, form, first_at, first_uid, last_at, messages, signature, bands)
ON CONFLICT (text, story) DO UPDATE
SET first_at = least(run.first_at, excluded.first_at),
    first_uid = CASE WHEN (excluded.first_at, excluded.first_uid) < (run.first_at, run.first_uid)
                     THEN excluded.first_uid ELSE run.first_uid END,
    last_at = greatest(run.last_at, excluded.last_at),
    messages = run.messages + excluded.messages,
    stored_on = excluded.stored_on

-- name: add_to_stories
INSERT INTO story AS known (id, headline, first_at, first_uid, last_at, messages, stored_on)
SELECT id, headline, first_at, first_uid, last_at, messages, %(today)s
FROM unnest(%(ids)s::uuid[], %(headlines)s::text[], %(first_ats)s::timestamptz[], %(first_uids)s::uuid[],
            %(last_ats)s::timestamptz[], %(messages)s::bigint[])
    AS t (id, headline, first_at, first_uid, last_at, messages)
ON CONFLICT (id) DO UPDATE
SET headline = CASE WHEN (excluded.first_at, excluded.first_uid) < (known.first_at, known.first_uid)
                    THEN excluded.headline ELSE known.headline END,
    first_uid = CASE WHEN (excluded.first_at, excluded.first_uid) < (known.first_at, known.first_uid)
                     THEN excluded.first_uid ELSE known.first_uid END,
    first_at = least(known.first_at, excluded.first_at),
    last_at = greatest(known.last_at, excluded.last_at),
    messages = known.messages + excluded.messages,
    stored_on = least(known.stored_on, excluded.stored_on)

-- name: recount_stories
INSERT INTO story AS known (id, headline, first_at, first_uid, last_at, messages, stored_on)
SELECT story, left(CASE WHEN title = '' THEN text ELSE title END, %(headline)s), published_at, uid, last_at, messages,
       first_stored
FROM (
    -- Not by LIMIT 1 for each story: Postgres would walk the index of times through all history to find it.
    SELECT DISTINCT ON (story) story, title, text, published_at, uid,
           max(published_at) OVER (PARTITION BY story) AS last_at, count(*) OVER (PARTITION BY story) AS messages,
           min(stored_on) OVER (PARTITION BY story) AS first_stored
    FROM message WHERE story = ANY(%(stories)s::uuid[]) AND stored_on >= %(stored_since)s
    ORDER BY story, published_at, uid
) AS leader
ON CONFLICT (id) DO UPDATE
SET headline = excluded.headline, first_at = excluded.first_at, first_uid = excluded.first_uid,
    last_at = excluded.last_at, messages = excluded.messages, stored_on = excluded.stored_on

-- name: recounted_firsts
SELECT DISTINCT ON (message.story, series.kind, series.name)
       message.story, series.kind, series.name, message.published_at, message.uid,
       coalesce(series.own, message.sentiment, 'unread') AS sentiment
FROM message
CROSS JOIN LATERAL (
    SELECT 'all' AS kind, 'all' AS name, NULL AS own
    UNION ALL SELECT 'topic', message.topic, NULL WHERE message.topic IS NOT NULL
    UNION ALL SELECT 'source', message.source, NULL
    UNION ALL SELECT 'entity', entity, message.entity_sentiments[place]
    FROM unnest(message.entities) WITH ORDINALITY AS named (entity, place)
) AS series
WHERE message.story = ANY(%(stories)s::uuid[]) AND message.stored_on >= %(stored_since)s
ORDER BY message.story, series.kind, series.name, message.published_at, message.uid

-- name: delete_stories
DELETE FROM story WHERE id = ANY(%(stories)s::uuid[])

-- name: delete_story_firsts
DELETE FROM story_series AS known
USING unnest(%(story)s::uuid[], %(kind)s::text[], %(name)s::text[]) AS gone (story, kind, name)
WHERE known.story = gone.story AND known.kind = gone.kind AND known.name = gone.name

-- name: story_firsts
SELECT story, kind, name, first_at, uid, sentiment FROM story_series WHERE story = ANY(%(stories)s::uuid[])

-- name: upsert_story_firsts
INSERT INTO story_series (story, kind, name, first_at, uid, sentiment)
SELECT * FROM unnest(%(story)s::uuid[], %(kind)s::text[], %(name)s::text[], %(first_at)s::timestamptz[],
                     %(uid)s::uuid[], %(sentiment)s::text[])
ON CONFLICT (story, kind, name) DO UPDATE
SET first_at = excluded.first_at, uid = excluded.uid, sentiment = excluded.sentiment
