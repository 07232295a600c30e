-- name: report_worker
INSERT INTO worker_model (worker, language, model, shadow, refused, reason, updated_at)
VALUES (:worker, :language, :model, :shadow, :refused, :reason, now())
ON CONFLICT (worker, language) DO UPDATE
SET model = excluded.model, shadow = excluded.shadow, refused = excluded.refused, reason = excluded.reason,
    updated_at = excluded.updated_at

-- name: forget_workers
DELETE FROM worker_model
WHERE updated_at < now() - make_interval(secs => :age_s) OR (worker = :worker AND language <> ALL(:languages))

-- name: workers
SELECT worker, language, model, shadow, refused, reason, updated_at
FROM worker_model
WHERE updated_at >= now() - make_interval(secs => :age_s)
ORDER BY worker, language <> :english, language
