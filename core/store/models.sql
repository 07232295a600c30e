-- name: models
SELECT name, state, location, checksum, size_bytes, manifest, created_at, changed_at
FROM model
WHERE (CAST(:name AS text) IS NULL OR name = :name) AND (CAST(:state AS text) IS NULL OR state = :state)
  AND (CAST(:language AS text) IS NULL OR language = :language)
ORDER BY array_position(ARRAY['live', 'shadow', 'candidate', 'retired'], state),
         CASE WHEN state IN ('live', 'shadow') THEN (language <> :english, language) END, changed_at DESC, name

-- name: history
SELECT id, model, from_state, to_state, at, actor, reason, evidence
FROM model_event
WHERE CAST(:name AS text) IS NULL OR model = :name
ORDER BY id DESC
LIMIT :limit

-- name: proven
-- By what happened, not by the state of today: a model that was live may be the shadow or a candidate by now.
SELECT model.name, model.state, location, checksum, size_bytes, manifest, created_at, changed_at
FROM model
JOIN LATERAL (
    SELECT id, evidence FROM model_event
    WHERE model_event.model = model.name AND from_state = 'live' AND to_state = 'retired'
    ORDER BY id DESC LIMIT 1
) AS last ON true
WHERE model.state <> 'live' AND last.evidence ->> 'rolled_back' IS NULL
ORDER BY last.id DESC

-- name: add_model
INSERT INTO model (name, state, location, checksum, size_bytes, manifest)
VALUES (:name, 'candidate', :location, :checksum, :size_bytes, CAST(:manifest AS jsonb))

-- name: set_state
UPDATE model SET state = :state, changed_at = clock_timestamp() WHERE name = :name

-- name: add_event
INSERT INTO model_event (model, from_state, to_state, at, actor, reason, evidence)
VALUES (:name, :before, :state, clock_timestamp(), :actor, :reason, CAST(:evidence AS jsonb))

-- name: version
SELECT coalesce(max(id), 0) FROM model_event
