-- name: ledger
SELECT partition, next_offset, end_offset, max_event_time FROM offset_ledger WHERE topic = %(topic)s ORDER BY partition

-- name: replays
SELECT finished_at IS NOT NULL AS finished, coalesce(summary -> 'end_offsets', '{}') AS end_offsets,
       finished_at IS NULL AND CASE
           WHEN seen_at IS NOT NULL THEN seen_at < now() - make_interval(secs => %(silent_s)s)
           ELSE greatest(started_at, (SELECT max(updated_at) FROM offset_ledger)) < now() - interval '1 day'
       END AS abandoned
FROM replay

-- name: clock
SELECT clock_timestamp() AS now

-- name: first_minute
SELECT min(minute) AS minute FROM trend WHERE kind = 'all' AND name = 'all'

-- name: merged_until
SELECT max(merged_until) AS at FROM trend_rollup

-- name: take_changes
DELETE FROM trend_change RETURNING minutes, messages

-- name: counts
SELECT kind, name, floor(extract(epoch FROM minute) / %(step_s)s)::bigint AS step,
       sum(negative + neutral + positive)::float8 AS messages, sum(negative_stories)::float8 AS negative
FROM trend
WHERE minute >= %(start)s AND minute < %(end)s AND kind IN ('all', 'topic', 'entity')
GROUP BY kind, name, step

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

-- name: alerts_in
SELECT id, kind, name, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed, expected, score, evidence
FROM alert
WHERE opened_at > %(start)s AND opened_at <= %(end)s
   OR opened_at <= %(start)s AND state = 'open'
   OR opened_at <= %(start)s AND closed_at > %(start)s

-- name: save_alert
INSERT INTO alert (id, kind, name, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed, expected,
                   score, evidence)
VALUES (%(id)s, %(kind)s, %(name)s, %(state)s, %(opened_at)s, %(last_at)s, %(closed_at)s, %(peak_at)s,
        %(window_minutes)s, %(observed)s, %(expected)s, %(score)s, %(evidence)s)
ON CONFLICT (id) DO UPDATE
SET state = excluded.state, last_at = excluded.last_at, closed_at = excluded.closed_at, peak_at = excluded.peak_at,
    window_minutes = excluded.window_minutes, observed = excluded.observed, expected = excluded.expected,
    score = excluded.score, evidence = excluded.evidence

-- name: add_history
INSERT INTO alert_history (alert, state, times, at, observed, expected, score)
SELECT %(id)s, %(state)s, count(*) + 1, %(at)s, %(observed)s, %(expected)s, %(score)s
FROM alert_history WHERE alert = %(id)s AND state = %(state)s
RETURNING times

-- name: enqueue
INSERT INTO outbox (channel, dedupe, alert, key, payload)
VALUES (%(channel)s, %(dedupe)s, %(alert)s, %(key)s, %(payload)s)

-- name: window_stories
SELECT series.story, series.uid, series.first_at, story.headline, story.messages
FROM story_series AS series
JOIN story ON story.id = series.story
WHERE series.kind = %(kind)s AND series.name = %(name)s AND series.sentiment = 'negative'
  AND series.first_at >= %(start)s AND series.first_at < %(end)s
ORDER BY story.messages DESC, series.first_at, series.uid
LIMIT %(limit)s

-- name: first_messages
SELECT uid, url, source FROM message WHERE uid = ANY(%(uids)s::uuid[]) AND stored_on >= %(stored_from)s

-- name: story_reach
SELECT story, array_agg(DISTINCT coalesce(written.name, member.source) ORDER BY coalesce(written.name, member.source))
           AS sources, count(*) AS messages
FROM unnest(%(stories)s::uuid[]) AS wanted (story)
CROSS JOIN LATERAL (
    SELECT source FROM message
    WHERE message.story = wanted.story AND published_at < %(end)s AND stored_on >= %(stored_from)s
    LIMIT %(limit)s
) AS member
LEFT JOIN source AS written ON written.key = member.source
GROUP BY story

-- name: due
SELECT id, dedupe, key, payload, attempts, created_at
FROM outbox AS mine
WHERE channel = %(channel)s AND delivered_at IS NULL AND given_up_at IS NULL AND next_try_at <= now()
  AND NOT EXISTS (
      SELECT FROM outbox AS earlier
      WHERE earlier.channel = mine.channel AND earlier.alert = mine.alert AND earlier.id < mine.id
        AND earlier.delivered_at IS NULL AND earlier.given_up_at IS NULL)
ORDER BY id
LIMIT 100

-- name: mark_delivered
UPDATE outbox SET delivered_at = now(), attempts = attempts + 1, last_error = NULL WHERE id = %(id)s

-- name: mark_failed
UPDATE outbox
SET attempts = attempts + 1, last_error = %(error)s, next_try_at = now() + make_interval(secs => %(pause_s)s)
WHERE id = %(id)s

-- name: give_up
UPDATE outbox SET given_up_at = now(), last_error = coalesce(%(error)s, last_error) WHERE id = %(id)s

-- name: pending
SELECT count(*) AS pending, count(*) FILTER (WHERE attempts = 0 AND first) AS untried
FROM (
    SELECT attempts, row_number() OVER (PARTITION BY channel, alert ORDER BY id) = 1 AS first
    FROM outbox WHERE delivered_at IS NULL AND given_up_at IS NULL
) AS waiting
