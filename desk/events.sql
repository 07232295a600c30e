-- name: marks
SELECT (SELECT max(judged_until) FROM alerting_progress) AS judged_until,
       (SELECT coalesce(sum(messages), 0)::bigint FROM offset_ledger) AS messages,
       (SELECT max(updated_at) FROM offset_ledger) AS committed_at,
       (SELECT max(recorded_at) FROM incident_history) AS incident_changes,
       (SELECT max(id) FROM feedback) AS feedback,
       (SELECT max(id) FROM label) AS labels,
       (SELECT max(id) FROM incident_handling) AS handling,
       (SELECT max(id) FROM model_event) AS model_changes
