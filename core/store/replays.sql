-- name: begin
INSERT INTO replay (id, name, seen_at, summary) VALUES (:id, :name, now(), '{"stack": true}')

-- name: forget_former
DELETE FROM replay WHERE seen_at IS NULL OR summary -> 'stack' IS NOT NULL

-- name: declare
INSERT INTO replay (id, name, seen_at) VALUES (:id, :name, now())

-- name: forget_old
DELETE FROM replay WHERE coalesce(finished_at, seen_at) < now() - interval '1 day'

-- name: note_alive
UPDATE replay SET seen_at = now() WHERE id = :id AND finished_at IS NULL

-- name: abandon
UPDATE replay SET seen_at = now() - interval '1 hour' WHERE id = :id AND finished_at IS NULL

-- name: forget_all
DELETE FROM replay
