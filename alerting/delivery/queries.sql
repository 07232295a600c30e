-- name: latest_by_channel
SELECT DISTINCT ON (channel) channel, severity, rules, labels
FROM outbox WHERE incident = %(incident)s
ORDER BY channel, id DESC

-- name: enqueue
INSERT INTO outbox
    (channel, dedupe, incident, key, payload, severity, rules, labels, held, not_before, created_at, next_try_at)
VALUES (%(channel)s, %(dedupe)s, %(incident)s, %(key)s, %(payload)s, %(severity)s, %(rules)s, %(labels)s, %(held)s,
        %(not_before)s, %(now)s, %(now)s)
ON CONFLICT (channel, dedupe) DO NOTHING

-- name: due
SELECT id, dedupe, incident, key, payload, severity, rules, labels, held, not_before, attempts, created_at,
       EXISTS (
           SELECT FROM outbox AS later
           WHERE later.channel = mine.channel AND later.incident = mine.incident AND later.id > mine.id
             AND later.delivered_at IS NOT NULL) AS superseded
FROM outbox AS mine
WHERE channel = %(channel)s AND held IS NULL AND delivered_at IS NULL AND given_up_at IS NULL
  AND (next_try_at <= %(now)s OR next_try_at > %(never)s)
  AND NOT EXISTS (
      SELECT FROM outbox AS earlier
      WHERE earlier.channel = mine.channel AND earlier.incident = mine.incident AND earlier.id < mine.id
        AND earlier.held IS NULL AND earlier.delivered_at IS NULL AND earlier.given_up_at IS NULL)
ORDER BY attempts, id -- one that can't be sent must not come before all others again and again
LIMIT 100

-- name: held_due
SELECT id, dedupe, incident, key, payload, severity, rules, labels, held, not_before, attempts, created_at,
       EXISTS (
           SELECT FROM outbox AS later
           WHERE later.channel = mine.channel AND later.incident = mine.incident AND later.id > mine.id
             AND later.delivered_at IS NOT NULL) AS superseded,
       EXISTS (
           SELECT FROM outbox AS earlier
           WHERE earlier.channel = mine.channel AND earlier.incident = mine.incident AND earlier.id < mine.id
             AND earlier.delivered_at IS NOT NULL) AS notified_before
FROM outbox AS mine
WHERE channel = %(channel)s AND held IS NOT NULL AND delivered_at IS NULL AND given_up_at IS NULL
  AND (not_before <= %(now)s OR not_before > %(never)s)
  AND (next_try_at <= %(now)s OR next_try_at > %(never)s)
ORDER BY not_before, held, id

-- name: hold
UPDATE outbox
SET held = %(held)s, not_before = %(not_before)s, next_try_at = least(next_try_at, %(not_before)s)
WHERE id = ANY(%(ids)s)

-- name: takes_writes
SELECT NOT current_setting('transaction_read_only')::boolean AS takes_writes

-- name: mark_delivered
UPDATE outbox SET delivered_at = %(now)s, attempts = attempts + 1, last_error = NULL WHERE id = ANY(%(ids)s)

-- name: mark_failed
UPDATE outbox
SET attempts = attempts + 1, last_error = %(error)s, next_try_at = %(now)s + make_interval(secs => %(pause_s)s)
WHERE id = ANY(%(ids)s)

-- name: give_up
UPDATE outbox SET given_up_at = %(now)s, last_error = coalesce(%(error)s, last_error) WHERE id = ANY(%(ids)s)

-- name: give_up_overdue
UPDATE outbox SET given_up_at = %(now)s, last_error = %(error)s
WHERE channel = %(channel)s AND delivered_at IS NULL AND given_up_at IS NULL
  AND coalesce(not_before, created_at) < %(now)s - %(longest)s
RETURNING id

-- name: pending
SELECT count(*) AS pending, count(*) FILTER (WHERE first AND NOT failing) AS untried,
       count(*) FILTER (WHERE not_before > %(now)s) AS waiting
FROM (
    SELECT not_before, held IS NULL AND row_number() OVER (PARTITION BY channel, incident, held IS NULL ORDER BY id) = 1 AS first,
           bool_or(attempts > 0) OVER (PARTITION BY channel) AS failing
    FROM outbox WHERE delivered_at IS NULL AND given_up_at IS NULL
) AS waiting

-- name: still_open
SELECT dedupe, key, payload, labels
FROM (
    SELECT DISTINCT ON (incident) incident, dedupe, key, payload, labels
    FROM outbox
    WHERE channel = %(channel)s AND (delivered_at IS NOT NULL OR given_up_at IS NOT NULL)
    ORDER BY incident, id DESC
) AS last
WHERE payload ->> 'change' IN ('opened', 'updated')

-- name: orphans
SELECT channel, count(*) AS pending
FROM outbox
WHERE delivered_at IS NULL AND given_up_at IS NULL AND channel <> ALL(%(channels)s)
GROUP BY channel
ORDER BY channel
