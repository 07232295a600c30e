-- name: try_lock
SELECT pg_try_advisory_lock(:key) AS taken

-- name: unlock
SELECT pg_advisory_unlock(:key)

-- name: state
-- `over`: the hours before it have ended, as far as the news goes.
SELECT marked_until, rolled_until,
       (SELECT date_trunc('hour', max(minute) - interval '10 minutes', 'UTC') FROM trend
        WHERE kind = 'all' AND name = 'all') AS over,
       (SELECT date_trunc('hour', min(minute), 'UTC') FROM trend WHERE kind = 'all' AND name = 'all') AS first_hour
FROM trend_rolling

-- name: mark_until
UPDATE trend_rolling SET marked_until = :until WHERE marked_until < :until

-- name: horizon
-- Transactions that are under way, or were until now, are below it.
SELECT CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS horizon

-- name: is_past
SELECT pg_snapshot_xmin(pg_current_snapshot()) >= CAST(CAST(:horizon AS text) AS xid8) AS past

-- name: roll
INSERT INTO trend_rolled (kind, name, hour, negative, neutral, positive, negative_stories, neutral_stories,
                          positive_stories, unread, unread_stories)
SELECT kind, name, date_trunc('hour', minute, 'UTC'), sum(negative), sum(neutral), sum(positive),
       sum(negative_stories), sum(neutral_stories), sum(positive_stories), sum(unread), sum(unread_stories)
FROM trend WHERE minute >= :since AND minute < :until
GROUP BY 1, 2, 3

-- name: move
UPDATE trend_rolling SET rolled_until = :until

-- name: marked
SELECT DISTINCT hour FROM trend_unrolled, trend_rolling WHERE hour < rolled_until ORDER BY hour LIMIT :limit

-- name: forget
DELETE FROM trend_rolled
WHERE kind IN ('all', 'topic', 'entity', 'source') AND hour >= :since AND hour < :until

-- name: unmark
DELETE FROM trend_unrolled WHERE hour = :hour

-- name: forget_merged
-- What retention has merged into hours is read there.
DELETE FROM trend_rolled
WHERE kind IN ('all', 'topic', 'entity', 'source') AND hour < (SELECT merged_until FROM trend_rollup)
