-- name: alerts
SELECT id, kind, name, signal, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed, expected,
       score, evidence, incident
FROM alert
WHERE (CAST(:since AS timestamptz) IS NULL OR last_at >= :since)
  AND CASE WHEN CAST(:state AS text) IS NULL THEN state <> 'withdrawn' ELSE state = :state END
  AND (CAST(:kind AS text) IS NULL OR (kind = :kind AND name = :name))
ORDER BY opened_at DESC, kind, name, signal
LIMIT :limit

-- name: count
SELECT count(*) AS alerts FROM alert WHERE state <> 'withdrawn'

-- name: unjudged
SELECT coalesce(sum(unjudged), 0)::bigint AS messages FROM alerting_progress
