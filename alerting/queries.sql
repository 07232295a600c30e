-- name: ledger
SELECT partition, next_offset, end_offset, max_event_time FROM offset_ledger WHERE topic = %(topic)s ORDER BY partition

-- name: replays
SELECT finished_at, summary FROM replay

-- name: first_minute
SELECT min(minute) FROM trend WHERE kind = 'all'

-- name: counts
SELECT kind, name, floor(extract(epoch FROM minute) / %(step_s)s)::bigint AS step,
       sum(negative + neutral + positive)::float8, sum(negative_stories)::float8
FROM trend
WHERE minute >= %(start)s AND minute < %(end)s AND kind IN ('all', 'topic', 'entity')
GROUP BY kind, name, step

-- name: try_lock
SELECT pg_try_advisory_lock(%(key)s)

-- name: progress
SELECT since, judged_until, drained FROM alerting_progress

-- name: save_progress
INSERT INTO alerting_progress (since, judged_until, drained) VALUES (%(since)s, %(until)s, %(drained)s)
ON CONFLICT (one) DO UPDATE
SET judged_until = excluded.judged_until, drained = excluded.drained, updated_at = now()

-- name: state
SELECT part, body FROM series_state

-- name: save_state
INSERT INTO series_state (part, body) VALUES (%(part)s, %(body)s)
ON CONFLICT (part) DO UPDATE SET body = excluded.body, updated_at = now()

-- name: open_alert
INSERT INTO alert (id, kind, name, state, opened_at, last_at, peak_at, window_minutes, observed, expected, score,
                   evidence)
VALUES (%(id)s, %(kind)s, %(name)s, 'open', %(opened_at)s, %(last_at)s, %(peak_at)s, %(window_minutes)s, %(observed)s,
        %(expected)s, %(score)s, %(evidence)s)
ON CONFLICT DO NOTHING
RETURNING id

-- name: update_alert
UPDATE alert
SET last_at = %(last_at)s, peak_at = %(peak_at)s, window_minutes = %(window_minutes)s, observed = %(observed)s,
    expected = %(expected)s, score = %(score)s, evidence = coalesce(%(evidence)s, evidence)
WHERE id = %(id)s AND state = 'open'

-- name: close_alert
UPDATE alert
SET state = 'closed', closed_at = %(closed_at)s, last_at = %(last_at)s, peak_at = %(peak_at)s,
    window_minutes = %(window_minutes)s, observed = %(observed)s, expected = %(expected)s, score = %(score)s,
    evidence = %(evidence)s
WHERE id = %(id)s AND state = 'open'
RETURNING id

-- name: open_alerts
SELECT id, kind, name, opened_at, last_at, peak_at, window_minutes, observed, expected, score
FROM alert WHERE state = 'open' ORDER BY opened_at, kind, name

-- name: add_history
INSERT INTO alert_history (alert, state, at, observed, expected, score)
VALUES (%(id)s, %(state)s, %(at)s, %(observed)s, %(expected)s, %(score)s)

-- name: enqueue
INSERT INTO outbox (channel, dedupe, alert, key, payload)
VALUES (%(channel)s, %(dedupe)s, %(alert)s, %(key)s, %(payload)s)

-- name: window_stories
SELECT series.story, story.headline, message.url, message.published_at, message.source, story.messages,
       message.title, left(message.text, 2000)
FROM message
JOIN story_series AS series
  ON series.story = message.story AND series.uid = message.uid AND series.kind = %(kind)s AND series.name = %(name)s
JOIN story ON story.id = series.story
WHERE message.published_at >= %(start)s AND message.published_at < %(end)s AND series.sentiment = 'negative'
ORDER BY story.messages DESC, message.published_at, message.uid
LIMIT %(limit)s

-- name: story_reach
SELECT story, array_agg(DISTINCT source ORDER BY source), count(*)
FROM message
WHERE story = ANY(%(stories)s::uuid[]) AND published_at < %(end)s
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
SELECT count(*), count(*) FILTER (WHERE attempts = 0 AND first)
FROM (
    SELECT attempts, row_number() OVER (PARTITION BY channel, alert ORDER BY id) = 1 AS first
    FROM outbox WHERE delivered_at IS NULL AND given_up_at IS NULL
) AS waiting
