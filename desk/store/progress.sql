-- name: progress
SELECT now() AS now, judged.since AS judged_since, judged.judged_until, judged.stale_from,
       coalesce(judged.unjudged, 0) AS unjudged,
       (SELECT min(max_event_time) FROM offset_ledger) AS watermark,
       (SELECT max(updated_at) FROM offset_ledger) AS committed_at,
       (SELECT max(merged_until) FROM trend_rollup) AS merged_until,
       (SELECT max(minute) FROM trend WHERE kind = 'all' AND name = 'all') AS last_minute,
       least((SELECT min(minute) FROM trend WHERE kind = 'all' AND name = 'all'),
             (SELECT min(hour) FROM trend_hour WHERE kind = 'all' AND name = 'all')) AS first_minute
FROM (VALUES (1)) AS one (row) LEFT JOIN alerting_progress AS judged ON true
