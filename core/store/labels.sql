-- name: add
-- A label that the analyst's latest one says already is no news; it would count as a new label when training is due.
-- Nor is a label taken back that was never given.
WITH given AS (
    SELECT uid, text, source, task, entity, label, analyst, final, place, coalesce(story, md5(text)::uuid) AS story
    FROM unnest(
        CAST(:uids AS uuid[]), CAST(:texts AS text[]), CAST(:sources AS text[]), CAST(:tasks AS text[]),
        CAST(:labels AS text[]), CAST(:analysts AS text[]), CAST(:finals AS boolean[]), CAST(:stories AS uuid[]),
        CAST(:entities AS text[])
    ) WITH ORDINALITY AS g (uid, text, source, task, label, analyst, final, story, entity, place)
)
INSERT INTO label (uid, text, source, task, entity, label, analyst, final, story, step)
SELECT given.uid, given.text, given.source, given.task, given.entity, given.label, given.analyst, given.final,
       given.story, :step
FROM given LEFT JOIN LATERAL (
    SELECT label FROM label
    WHERE label.story = given.story AND label.task = given.task AND label.entity = given.entity
      AND label.text = given.text AND label.final = given.final AND (given.final OR label.analyst = given.analyst)
    ORDER BY id DESC LIMIT 1
) AS latest ON true
WHERE latest.label IS DISTINCT FROM given.label
ORDER BY given.place

-- name: newest
SELECT text, source, task, label, analyst, uid, labelled_at, final, story, entity FROM (
    SELECT * FROM label
    WHERE CAST(:analyst AS text) IS NULL OR analyst = :analyst
    ORDER BY id DESC LIMIT :limit
) AS newest
ORDER BY id

-- name: messages
SELECT DISTINCT ON (uid) uid, id, source, kind, published_at, received_at, title, text, story
FROM message WHERE uid = ANY(CAST(:uids AS uuid[])) ORDER BY uid, stored_on DESC
