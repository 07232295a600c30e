-- name: open_run
INSERT INTO training_run (reasons, detail) VALUES (CAST(:reasons AS jsonb), CAST(:detail AS jsonb)) RETURNING id

-- name: close_run
UPDATE training_run
SET ended_at = now(), outcome = :outcome, model = :model, detail = detail || CAST(:detail AS jsonb)
WHERE id = :id AND outcome = 'running'

-- name: close_abandoned
UPDATE training_run SET ended_at = now(), outcome = 'interrupted' WHERE outcome = 'running' RETURNING id

-- name: runs
SELECT id, began_at, ended_at, reasons, outcome, model, detail FROM training_run ORDER BY id DESC LIMIT :limit

-- name: last_learned
SELECT max(began_at) FROM training_run WHERE outcome IN ('candidate', 'shadow', 'live', 'refused')

-- name: began_run_of
SELECT max(began_at) FROM training_run WHERE model = :model

-- name: new_labels
SELECT count(DISTINCT (story, text, task)) FROM label AS given
WHERE (CAST(:since AS timestamptz) IS NULL OR labelled_at > :since) AND label IS NOT NULL
  AND (SELECT label FROM label
       WHERE label.story = given.story AND label.task = given.task AND label.text = given.text
         AND label.analyst = given.analyst AND label.final = given.final
       ORDER BY id DESC LIMIT 1) IS NOT NULL

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
