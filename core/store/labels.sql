-- name: add
-- A label that the analyst's latest one says already is no news; it would count as a new label when training is due.
WITH given AS (
    SELECT * FROM unnest(
        CAST(:uids AS uuid[]), CAST(:texts AS text[]), CAST(:sources AS text[]), CAST(:tasks AS text[]),
        CAST(:labels AS text[]), CAST(:analysts AS text[])
    ) WITH ORDINALITY AS g (uid, text, source, task, label, analyst, place)
),
latest AS (
    SELECT DISTINCT ON (analyst, task, text) analyst, task, text, label
    FROM label WHERE analyst = ANY(CAST(:analysts AS text[]))
    ORDER BY analyst, task, text, id DESC
)
INSERT INTO label (uid, text, source, task, label, analyst)
SELECT given.uid, given.text, given.source, given.task, given.label, given.analyst
FROM given LEFT JOIN latest USING (analyst, task, text)
WHERE latest.label IS DISTINCT FROM given.label
ORDER BY given.place

-- name: newest
SELECT text, source, task, label, analyst, uid, labelled_at FROM (
    SELECT * FROM label
    WHERE CAST(:analyst AS text) IS NULL OR analyst = :analyst
    ORDER BY id DESC LIMIT :limit
) AS newest
ORDER BY id

-- name: messages
SELECT DISTINCT ON (uid) uid, id, source, kind, published_at, received_at, title, text
FROM message WHERE uid = ANY(CAST(:uids AS uuid[])) ORDER BY uid, stored_on DESC
