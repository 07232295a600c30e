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
