-- name: open_run
INSERT INTO training_run (language, reasons, detail)
VALUES (:language, CAST(:reasons AS jsonb), CAST(:detail AS jsonb)) RETURNING id

-- name: close_run
UPDATE training_run
SET ended_at = now(), outcome = :outcome, model = :model, detail = detail || CAST(:detail AS jsonb)
WHERE id = :id AND outcome = 'running'

-- name: close_abandoned
UPDATE training_run SET ended_at = now(), outcome = 'interrupted'
WHERE outcome = 'running' AND language = :language RETURNING id

-- name: runs
SELECT id, language, began_at, ended_at, reasons, outcome, model, detail
FROM training_run
WHERE CAST(:language AS text) IS NULL OR language = :language
ORDER BY id DESC LIMIT :limit

-- name: last_learned
SELECT max(began_at) FROM training_run
WHERE outcome IN ('candidate', 'shadow', 'live', 'refused') AND language = :language

-- name: began_run_of
SELECT max(began_at) FROM training_run WHERE model = :model

-- name: new_labels
-- What was taken back is none; what was given anew after that is there a second time. A text whose companies are
-- labelled counts once, however many they are: it is one more text to learn from.
SELECT min(text) AS text FROM label AS given
WHERE (CAST(:since AS timestamptz) IS NULL OR labelled_at > :since) AND label IS NOT NULL
  AND NOT EXISTS (
      SELECT FROM label AS later
      WHERE later.story = given.story AND later.task = given.task AND later.entity = given.entity
        AND later.text = given.text AND later.analyst = given.analyst AND later.final = given.final
        AND later.label IS NULL AND later.id > given.id)
GROUP BY story, task, entity <> '', hashtextextended(text, 0)

-- name: take_lock
SELECT pg_try_advisory_lock(%(key)s)

-- name: holds_lock
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() AND classid = 0 AND objsubid = 1
      AND objid = %(key)s::bigint::oid
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)

-- name: lock_holder
SELECT activity.application_name, activity.backend_start
FROM pg_locks JOIN pg_stat_activity AS activity USING (pid)
WHERE locktype = 'advisory' AND granted AND classid = 0 AND objsubid = 1 AND objid = %(key)s::bigint::oid
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())

-- name: is_running
SELECT EXISTS (SELECT FROM training_run WHERE id = :id AND outcome = 'running')
