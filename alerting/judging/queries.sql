-- name: ledger
SELECT partition, next_offset, end_offset, max_event_time FROM offset_ledger WHERE topic = %(topic)s ORDER BY partition

-- name: replays
SELECT finished_at IS NOT NULL AS finished, coalesce(summary -> 'end_offsets', '{}') AS end_offsets,
       finished_at IS NULL AND CASE
           -- while the database was away nobody could be seen, unless that is long ago
           WHEN seen_at IS NOT NULL THEN seen_at < now() - interval '1 hour'
               OR greatest(seen_at, pg_postmaster_start_time()) < now() - make_interval(secs => %(silent_s)s)
           ELSE greatest(started_at, (SELECT max(updated_at) FROM offset_ledger)) < now() - interval '1 day'
       END AS abandoned
FROM replay

-- name: clock
SELECT clock_timestamp() AS now

-- name: first_minute
SELECT min(minute) AS minute FROM trend WHERE kind = 'all' AND name = 'all'

-- name: last_minute
SELECT max(minute) AS minute FROM trend WHERE kind = 'all' AND name = 'all'

-- name: merged_until
SELECT max(merged_until) AS at FROM trend_rollup

-- name: take_changes
DELETE FROM trend_change RETURNING minutes, messages

-- name: counts
-- A row for each series: its cells as float8 in network byte order, which are read without an object for each: the
-- step, messages, and negative, neutral and positive stories.
SELECT kind, name,
       string_agg(float8send(step) || float8send(messages) || float8send(negative) || float8send(neutral)
                  || float8send(positive), '') AS cells
FROM (
    SELECT kind, name, floor(extract(epoch FROM minute) / %(step_s)s)::float8 AS step,
           sum(negative + neutral + positive + unread)::float8 AS messages, sum(negative_stories)::float8 AS negative,
           sum(neutral_stories)::float8 AS neutral, sum(positive_stories)::float8 AS positive
    FROM trend
    WHERE minute >= %(start)s AND minute < %(end)s AND kind IN ('all', 'topic', 'entity')
    GROUP BY kind, name, step
) AS cell
GROUP BY kind, name

-- name: try_lock
SELECT pg_try_advisory_lock(%(key)s) AS taken

-- name: progress
SELECT since, judged_until, drained, stale_from, unjudged FROM alerting_progress

-- name: save_progress
INSERT INTO alerting_progress (since, judged_until, drained, stale_from, unjudged)
VALUES (%(since)s, %(judged_until)s, %(drained)s, %(stale_from)s, %(unjudged)s)
ON CONFLICT (one) DO UPDATE
SET since = excluded.since, judged_until = excluded.judged_until, drained = excluded.drained,
    stale_from = excluded.stale_from, unjudged = excluded.unjudged, updated_at = now()

-- name: forget_progress
DELETE FROM alerting_progress

-- name: checkpoints
SELECT at, body FROM detector_checkpoint ORDER BY at

-- name: save_checkpoint
INSERT INTO detector_checkpoint (at, body) VALUES (%(at)s, %(body)s)
ON CONFLICT (at) DO UPDATE SET body = excluded.body, saved_at = now()

-- name: keep_checkpoints
DELETE FROM detector_checkpoint WHERE at <> ALL (%(kept)s)

-- name: pages
SELECT coalesce(said.verdict, 'none') AS verdict, count(*) AS incidents
FROM incident
LEFT JOIN LATERAL (
    SELECT verdict FROM feedback WHERE feedback.incident = incident.id ORDER BY feedback.id DESC LIMIT 1
) AS said ON true
WHERE opened_at > %(until)s - interval '7 days' AND opened_at <= %(until)s AND state <> 'withdrawn' AND kind <> 'outage'
GROUP BY 1
