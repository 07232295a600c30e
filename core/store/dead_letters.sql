-- name: newest
SELECT id, origin, stage, topic, key, CASE WHEN :values THEN value END AS value, octet_length(value) AS size, reason,
       failed_at, replayed_at, context
FROM dead_letter
WHERE (:replayed OR replayed_at IS NULL)
  AND (CAST(:at AS timestamptz) IS NULL OR (failed_at, id) < (:at, CAST(:id AS uuid)))
ORDER BY failed_at DESC, id DESC
LIMIT :limit

-- name: named
SELECT id, origin, stage, topic, key, value, octet_length(value) AS size, reason, failed_at, replayed_at, context
FROM dead_letter
WHERE origin = :name OR id = CAST(:id AS uuid)
ORDER BY failed_at, id

-- name: open_ids
SELECT id FROM dead_letter WHERE replayed_at IS NULL ORDER BY failed_at, id

-- name: by_ids
SELECT id, origin, stage, topic, key, value, octet_length(value) AS size, reason, failed_at, replayed_at, context
FROM dead_letter
WHERE id = ANY(CAST(:ids AS uuid[]))
ORDER BY failed_at, id

-- name: mark_replayed
UPDATE dead_letter SET replayed_at = now(), tried_at = now() WHERE id = ANY(CAST(:ids AS uuid[]))

-- name: still_dead
UPDATE dead_letter SET reason = :reason, tried_at = now() WHERE id = :id
