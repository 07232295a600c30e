-- name: newest_stories
-- One row for each story among the newest messages that a model read: that of its earliest message there.
WITH newest AS (
    SELECT uid, story, source, published_at, sentiment_scores, topic_scores
    FROM message WHERE sentiment IS NOT NULL ORDER BY published_at DESC, uid LIMIT :pool
)
SELECT DISTINCT ON (story) story, uid, source, sentiment_scores AS sentiment, topic_scores AS topic,
       count(*) OVER (PARTITION BY story) AS reach
FROM newest
ORDER BY story, published_at, uid

-- name: alert_stories
-- Stories behind the newest alerts, where they were counted, with the scores of their first message.
WITH alerts AS (
    SELECT kind, name, peak_at, window_minutes,
           CASE signal WHEN 'positive' THEN ARRAY['positive'] WHEN 'volume' THEN ARRAY['negative', 'neutral', 'positive']
                       ELSE ARRAY['negative'] END AS sentiments
    FROM alert WHERE state <> 'withdrawn' ORDER BY opened_at DESC LIMIT :alerts
),
driving AS (
    SELECT DISTINCT counted.story
    FROM alerts, unnest(alerts.sentiments) AS wanted (sentiment), LATERAL (
        SELECT story FROM story_series
        WHERE kind = alerts.kind AND name = alerts.name AND story_series.sentiment = wanted.sentiment
          AND first_at >= alerts.peak_at - make_interval(mins => alerts.window_minutes) AND first_at < alerts.peak_at
        ORDER BY first_at DESC LIMIT :stories
    ) AS counted
)
SELECT story.id AS story, message.uid, message.source, message.sentiment_scores AS sentiment,
       message.topic_scores AS topic, story.messages AS reach
FROM driving
JOIN LATERAL (SELECT id, first_uid, messages FROM story WHERE story.id = driving.story OFFSET 0) AS story ON true
JOIN LATERAL (SELECT uid, stored_on FROM message_key WHERE uid = story.first_uid OFFSET 0) AS key ON true
JOIN LATERAL (
    SELECT uid, source, sentiment_scores, topic_scores FROM message
    WHERE message.uid = key.uid AND message.stored_on = key.stored_on LIMIT 1
) AS message ON true

-- name: shadow_differences
-- Stories that a shadow labels otherwise, and in which tasks, among the messages it labelled last.
WITH newest AS (
    SELECT uid, live_labels, shadow_labels FROM shadow_message ORDER BY stored_at DESC LIMIT :pool
),
differing AS (
    SELECT uid, array_agg(DISTINCT given.key) AS tasks
    FROM newest, jsonb_each_text(live_labels) AS given
    WHERE live_labels <> shadow_labels AND shadow_labels ->> given.key <> given.value
    GROUP BY uid
)
SELECT message.story, message.uid, message.source, message.sentiment_scores AS sentiment,
       message.topic_scores AS topic, 1 AS reach, differing.tasks
FROM differing
JOIN LATERAL (SELECT uid, stored_on FROM message_key WHERE message_key.uid = differing.uid OFFSET 0) AS key ON true
JOIN LATERAL (
    SELECT story, uid, source, sentiment_scores, topic_scores FROM message
    WHERE message.uid = key.uid AND message.stored_on = key.stored_on LIMIT 1
) AS message ON true

-- name: labelled_tasks
SELECT wanted.story, labelled.tasks
FROM unnest(CAST(:stories AS uuid[])) AS wanted (story), LATERAL (
    SELECT array_agg(DISTINCT task) AS tasks FROM label_word
    WHERE story = wanted.story AND entity = '' AND label IS NOT NULL
) AS labelled
WHERE labelled.tasks IS NOT NULL

-- name: seconds
-- Stories among the latest labels that one analyst labelled, who is not this one, the longest waiting first.
WITH latest AS (
    SELECT id, story, analyst FROM (SELECT * FROM label ORDER BY id DESC LIMIT :pool) AS newest
    WHERE NOT final AND entity = ''
),
stories AS (
    SELECT story, min(id) AS since FROM latest GROUP BY story
    HAVING count(DISTINCT analyst) = 1 AND min(analyst) <> :analyst
)
SELECT story FROM stories ORDER BY since

-- name: reserve
INSERT INTO label_lease (story, analyst, reason, blind, skipped, expires_at)
SELECT story, '', '', false, false, now()
FROM unnest(CAST(:stories AS uuid[])) AS wanted (story)
ORDER BY story
ON CONFLICT (story) DO NOTHING

-- name: lease
-- Nobody waits for a row that another takes at this moment, and nobody gets what another holds. A label never ends its
-- lease: whoever looked before it was committed would otherwise take the story after. Labels of companies in a text do
-- not label the text.
WITH wanted AS (
    SELECT story, reason, blind, place
    FROM unnest(CAST(:stories AS uuid[]), CAST(:reasons AS text[]), CAST(:blind AS boolean[])) WITH ORDINALITY
        AS w (story, reason, blind, place)
),
free AS (
    SELECT lease.story, wanted.reason, wanted.blind, wanted.place
    FROM wanted JOIN label_lease AS lease ON lease.story = wanted.story
    WHERE lease.expires_at <= now() AND NOT (lease.skipped AND lease.analyst = :analyst)
      AND CASE WHEN wanted.blind THEN
              (SELECT count(DISTINCT word.analyst) = 1 AND bool_and(word.analyst <> :analyst) FROM label_word AS word
               WHERE word.story = wanted.story AND word.entity = '' AND word.label IS NOT NULL AND NOT word.final
                 AND (CAST(:task AS text) IS NULL OR word.task = :task))
          ELSE
              (SELECT count(*) = 0 FROM label_word AS word
               WHERE word.story = wanted.story AND word.entity = '' AND word.label IS NOT NULL
                 AND (CAST(:task AS text) IS NULL OR word.task = :task))
          END
    ORDER BY wanted.place
    LIMIT :count
    FOR UPDATE OF lease SKIP LOCKED
)
UPDATE label_lease AS lease
SET analyst = :analyst, reason = free.reason, blind = free.blind, skipped = false,
    expires_at = now() + make_interval(secs => :seconds)
FROM free WHERE lease.story = free.story
RETURNING free.place, lease.story, lease.reason, lease.blind

-- name: held
-- What the analyst has and did not label yet; having asked for it again, they have it for as long as at first.
WITH own AS (
    SELECT story FROM label_lease
    WHERE analyst = :analyst AND expires_at > now() AND NOT skipped AND reason = ANY(CAST(:reasons AS text[]))
      AND (story = ANY(CAST(:holding AS uuid[])) OR
           (SELECT count(*) = 0 FROM label_word AS word
            WHERE word.story = label_lease.story AND word.entity = '' AND word.analyst = :analyst
              AND word.label IS NOT NULL AND NOT word.final
              AND (CAST(:task AS text) IS NULL OR word.task = :task)))
    ORDER BY expires_at LIMIT :most
    FOR UPDATE SKIP LOCKED
)
UPDATE label_lease AS lease SET expires_at = now() + make_interval(secs => :seconds)
FROM own WHERE lease.story = own.story
RETURNING lease.story, lease.reason, lease.blind

-- name: give_back
UPDATE label_lease SET expires_at = now(), skipped = true
WHERE story = :story AND analyst = :analyst AND expires_at > now()
RETURNING story

-- name: take_again
-- A row that was only reserved has no reason yet.
INSERT INTO label_lease (story, analyst, reason, blind, skipped, expires_at)
SELECT story, :analyst, :reason, false, false, now() + make_interval(secs => :seconds)
FROM unnest(CAST(:stories AS uuid[])) AS wanted (story)
ORDER BY story
ON CONFLICT (story) DO UPDATE
SET analyst = excluded.analyst, skipped = false, expires_at = excluded.expires_at,
    reason = coalesce(nullif(label_lease.reason, ''), excluded.reason)
WHERE label_lease.expires_at <= now() OR label_lease.analyst = excluded.analyst

-- name: forget_leases
DELETE FROM label_lease WHERE story IN (
    SELECT story FROM label_lease WHERE expires_at < now() - interval '1 day'
    ORDER BY expires_at LIMIT 200 FOR UPDATE SKIP LOCKED
)

-- name: items
-- What is known of stories as they are labelled: by the message that their labels are of, else by the one that leads.
SELECT wanted.story, coalesce(story.messages, 1) AS copies, labelled.text AS labelled_text,
       labelled.source AS labelled_source,
       ARRAY(SELECT DISTINCT entity FROM label
             WHERE label.story = wanted.story AND entity <> '' ORDER BY entity) AS labelled_entities,
       CASE WHEN labelled.text IS NULL THEN story.first_uid ELSE labelled.uid END AS uid
FROM unnest(CAST(:stories AS uuid[])) WITH ORDINALITY AS wanted (story, place)
LEFT JOIN LATERAL (SELECT id, first_uid, messages FROM story WHERE story.id = wanted.story OFFSET 0) AS story ON true
LEFT JOIN LATERAL (
    SELECT uid, text, source FROM label WHERE label.story = wanted.story ORDER BY id LIMIT 1
) AS labelled ON true
ORDER BY wanted.place

-- name: labelled_stories
-- What labels say of the stories of messages.
SELECT DISTINCT ON (uid) uid, story FROM label WHERE uid = ANY(CAST(:uids AS uuid[])) ORDER BY uid, id DESC

-- name: begin_step
INSERT INTO label_step (analyst, request, undoes) VALUES (:analyst, :request, :undoes)
ON CONFLICT (analyst, request) DO NOTHING
RETURNING id

-- name: step_of
SELECT id, undoes FROM label_step WHERE analyst = :analyst AND request = :request

-- name: step_labels
SELECT story, task, entity, label FROM label WHERE step = :step ORDER BY id

-- name: last_step
-- The latest of the analyst's steps that can be taken back: one of the last so many that changed anything, not taken
-- back yet.
WITH latest AS (
    SELECT id FROM label_step
    WHERE analyst = :analyst AND undoes IS NULL AND EXISTS (SELECT FROM label WHERE label.step = label_step.id)
    ORDER BY id DESC LIMIT :steps
)
SELECT count(*) OVER () AS left, latest.id
FROM latest LEFT JOIN label_step AS undo ON undo.undoes = latest.id
WHERE undo.id IS NULL
ORDER BY latest.id DESC LIMIT 1

-- name: former_labels
-- What the labels of a step replaced, where what it said is still the latest word.
SELECT given.uid, given.text, given.source, given.task, given.entity, former.label, given.analyst, given.final,
       given.story
FROM label AS given
LEFT JOIN LATERAL (
    SELECT label FROM label
    WHERE label.story = given.story AND label.task = given.task AND label.entity = given.entity
      AND label.text = given.text AND label.final = given.final AND (given.final OR label.analyst = given.analyst)
      AND label.id < given.id
    ORDER BY id DESC LIMIT 1
) AS former ON true
CROSS JOIN LATERAL (
    SELECT label FROM label
    WHERE label.story = given.story AND label.task = given.task AND label.entity = given.entity
      AND label.text = given.text AND label.final = given.final AND (given.final OR label.analyst = given.analyst)
    ORDER BY id DESC LIMIT 1
) AS latest
WHERE given.step = :step AND latest.label IS NOT DISTINCT FROM given.label
ORDER BY given.id

-- name: history
-- Who has a story blind does not see what others said of it.
SELECT given.id, given.story, given.uid, given.text, given.source, given.task, given.entity, given.label, given.analyst,
       given.labelled_at, given.final,
       (SELECT max(label.id) FROM label
        WHERE label.story = given.story AND label.task = given.task AND label.entity = given.entity
          AND label.text = given.text AND label.final = given.final
          AND (given.final OR label.analyst = given.analyst)) = given.id AS counts
FROM label AS given
WHERE (CAST(:before AS bigint) IS NULL OR given.id < :before)
  AND (CAST(:analyst AS text) IS NULL OR given.analyst = :analyst)
  AND (CAST(:task AS text) IS NULL OR given.task = :task)
  AND (CAST(:story AS uuid) IS NULL OR given.story = :story)
  AND (CAST(:words AS text) IS NULL OR given.text ILIKE :words)
  AND (given.analyst = :reader OR NOT EXISTS (
      SELECT FROM label_lease AS lease
      WHERE lease.story = given.story AND lease.analyst = :reader AND lease.blind AND lease.expires_at > now()))
ORDER BY given.id DESC
LIMIT :limit

-- name: rows
-- The table is append-only: while their number stays the same, they are the same.
SELECT count(*) FROM label

-- name: counts
SELECT analyst, task, entity <> '' AS companies, label, count(*) AS given, count(*) FILTER (WHERE counts) AS current,
       max(id) AS last
FROM (
    SELECT id, analyst, task, entity, label, id = max(id) OVER (
               PARTITION BY story, task, entity, text, final, CASE WHEN NOT final THEN analyst END) AS counts
    FROM label
) AS given
GROUP BY analyst, task, entity <> '', label

-- name: rows_after
-- Rows above an id, with what each of them replaced.
SELECT given.id, given.analyst, given.task, given.entity <> '' AS companies, given.label, former.id AS former,
       former.analyst AS former_analyst, former.label AS former_label
FROM label AS given
LEFT JOIN LATERAL (
    SELECT id, analyst, label FROM label
    WHERE label.story = given.story AND label.task = given.task AND label.entity = given.entity
      AND label.text = given.text AND label.final = given.final AND (given.final OR label.analyst = given.analyst)
      AND label.id < given.id
    ORDER BY id DESC LIMIT 1
) AS former ON true
WHERE given.id > :after
ORDER BY given.id LIMIT :limit

-- name: hours
SELECT analyst, date_trunc('hour', labelled_at, 'UTC') AS hour, count(*) FILTER (WHERE label IS NOT NULL) AS labels
FROM label
WHERE labelled_at >= date_trunc('hour', now(), 'UTC') - make_interval(hours => :hours - 1)
GROUP BY analyst, hour
ORDER BY hour, analyst

-- name: labelled_twice
-- The words of analysts on the stories that more than one of them labelled, among the latest labels.
WITH latest AS (
    SELECT story FROM (SELECT story, analyst FROM label WHERE NOT final ORDER BY id DESC LIMIT :pool) AS newest
    GROUP BY story HAVING count(DISTINCT analyst) > 1
)
SELECT word.story, word.text, word.task, word.entity, word.analyst, word.label
FROM latest, LATERAL (
    SELECT story, text, task, entity, analyst, label, count(*) OVER (PARTITION BY text, task, entity) AS words
    FROM label_word WHERE label_word.story = latest.story AND NOT final AND label IS NOT NULL
) AS word
WHERE word.words > 1
ORDER BY word.story, word.text, word.task, word.entity, word.analyst

-- name: disputed
-- What analysts are split on among the latest labels, texts and companies in them, where nobody gave a verdict.
WITH latest AS (
    SELECT story, max(id) AS at FROM (
        SELECT story, id, analyst FROM label WHERE NOT final ORDER BY id DESC LIMIT :pool
    ) AS newest
    GROUP BY story HAVING count(DISTINCT analyst) > 1
)
SELECT latest.at, latest.story, said.task, said.entity, said.text, said.uid, said.source, said.analysts, said.labels
FROM latest, LATERAL (
    SELECT task, entity, text, min(uid::text)::uuid AS uid, min(source) AS source,
           array_agg(analyst ORDER BY analyst) FILTER (WHERE NOT final) AS analysts,
           array_agg(label ORDER BY analyst) FILTER (WHERE NOT final) AS labels
    FROM label_word WHERE label_word.story = latest.story AND label IS NOT NULL
    GROUP BY task, entity, text
    HAVING count(DISTINCT label) FILTER (WHERE NOT final) > 1 AND count(*) FILTER (WHERE final) = 0
) AS said
WHERE (CAST(:task AS text) IS NULL OR said.task = :task)
  AND (CAST(:before AS bigint) IS NULL OR (latest.at, said.task, said.entity) < (:before, :before_task, :before_entity))
ORDER BY latest.at DESC, said.task DESC, said.entity DESC
LIMIT :limit

-- name: disputed_story
SELECT task, text, min(uid::text)::uuid AS uid, min(source) AS source, array_agg(analyst ORDER BY analyst) AS analysts
FROM label_word
WHERE story = :story AND task = :task AND entity = :entity AND label IS NOT NULL AND NOT final
GROUP BY task, text
HAVING count(DISTINCT label) > 1

-- name: words
-- What counts, text by text.
SELECT text, source, task, label, analyst, uid, labelled_at, final, story, entity
FROM label_word WHERE label IS NOT NULL
ORDER BY story, text, id

-- name: lock_steps
-- One step back at a time.
SELECT pg_advisory_xact_lock(hashtextextended('label_step ' || CAST(:analyst AS text), 0))

-- name: unlabelled_lease
SELECT blind FROM label_lease AS lease
WHERE story = :story AND analyst = :analyst AND expires_at > now()
  AND (SELECT count(*) = 0 FROM label_word AS word
       WHERE word.story = lease.story AND word.entity = '' AND word.analyst = :analyst AND word.label IS NOT NULL
         AND NOT word.final)

-- name: evaluated
-- What an evaluation follows from: labels are append-only, and so is what a model said of a message.
SELECT (SELECT count(*) FROM label) AS labels, (SELECT count(*) FROM dropped_day) AS dropped_days

-- name: latest_stories
SELECT story FROM (SELECT id, story FROM label ORDER BY id DESC LIMIT :pool) AS newest
GROUP BY story ORDER BY max(id) DESC

-- name: labelled_messages
-- The message that the labels of a story are of.
SELECT wanted.story, labelled.uid
FROM unnest(CAST(:stories AS uuid[])) AS wanted (story),
     LATERAL (SELECT uid FROM label WHERE label.story = wanted.story ORDER BY id LIMIT 1) AS labelled
WHERE labelled.uid IS NOT NULL

-- name: words_of
-- What counts for each story: verdicts where there are any, else the words of analysts.
SELECT wanted.story, word.task, word.entity, word.label
FROM unnest(CAST(:stories AS uuid[])) AS wanted (story), LATERAL (
    SELECT task, entity, label, final, bool_or(final) OVER (PARTITION BY task, entity) AS decided
    FROM label_word WHERE label_word.story = wanted.story AND label IS NOT NULL
) AS word
WHERE word.final = word.decided
