-- name: try_lock
SELECT pg_try_advisory_lock(%(key)s) AS taken

-- name: clock
SELECT clock_timestamp() AS now

-- name: merge_boundary
-- Trends that were judged by the day `judged_by`, and those that are judged now and do not wait to be judged again.
SELECT past.judged_until AS judged_then, least(now(), present.judged_until, present.stale_from) AS judged_now
FROM alerting_progress AS present
CROSS JOIN LATERAL (
    SELECT judged_until FROM judged_day WHERE day <= %(judged_by)s ORDER BY day DESC LIMIT 1
) AS past

-- name: note_judged
INSERT INTO judged_day (day, judged_until)
SELECT %(today)s, judged_until FROM alerting_progress
ON CONFLICT (day) DO NOTHING

-- name: forget_judged
WITH gone AS (
    DELETE FROM judged_day WHERE day < (SELECT max(day) FROM judged_day WHERE day <= %(judged_by)s) RETURNING day
)
SELECT count(*) AS rows FROM gone

-- name: set_merged_until
INSERT INTO trend_rollup (merged_until) VALUES (%(until)s)
ON CONFLICT (one) DO UPDATE SET merged_until = greatest(trend_rollup.merged_until, excluded.merged_until)
RETURNING merged_until

-- name: merge_minutes
-- By place: a join by key would read, for each row, all series of its minute.
WITH gone AS (
    DELETE FROM trend WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM trend WHERE minute < %(before)s ORDER BY minute LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )) RETURNING *
),
added AS (
    INSERT INTO trend_hour AS t (kind, name, hour, negative, neutral, positive, negative_stories, neutral_stories,
                                 positive_stories, p_negative, p_neutral, p_positive, unread, unread_stories)
    SELECT kind, name, date_trunc('hour', minute, 'UTC') AS hour, sum(negative), sum(neutral), sum(positive),
           sum(negative_stories), sum(neutral_stories), sum(positive_stories), sum(p_negative), sum(p_neutral),
           sum(p_positive), sum(unread), sum(unread_stories)
    FROM gone GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (kind, name, hour) DO UPDATE
    SET negative = t.negative + excluded.negative,
        neutral = t.neutral + excluded.neutral,
        positive = t.positive + excluded.positive,
        negative_stories = t.negative_stories + excluded.negative_stories,
        neutral_stories = t.neutral_stories + excluded.neutral_stories,
        positive_stories = t.positive_stories + excluded.positive_stories,
        p_negative = t.p_negative + excluded.p_negative,
        p_neutral = t.p_neutral + excluded.p_neutral,
        p_positive = t.p_positive + excluded.p_positive,
        unread = t.unread + excluded.unread,
        unread_stories = t.unread_stories + excluded.unread_stories
)
SELECT count(*) AS rows FROM gone

-- name: delete_stories
WITH old AS MATERIALIZED (
    SELECT id FROM story WHERE stored_on < %(before)s ORDER BY stored_on LIMIT %(limit)s FOR UPDATE SKIP LOCKED
),
series AS (DELETE FROM story_series USING old WHERE story_series.story = old.id),
texts AS (DELETE FROM story_text USING old WHERE story_text.story = old.id),
gone AS (DELETE FROM story USING old WHERE story.id = old.id RETURNING story.id)
SELECT count(*) AS rows FROM gone

-- name: delete_bands
-- By place: a join by key would read the whole table, where the planner takes that to be cheaper.
WITH gone AS (
    DELETE FROM story_band WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM story_band WHERE stored_on < %(before)s ORDER BY stored_on LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    )) RETURNING band
)
SELECT count(*) AS rows FROM gone

-- name: delete_keys
WITH gone AS (
    DELETE FROM message_key WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM message_key WHERE stored_on < %(before)s ORDER BY stored_on LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    )) RETURNING uid
)
SELECT count(*) AS rows FROM gone

-- name: delete_shadow_messages
WITH gone AS (
    DELETE FROM shadow_message WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM shadow_message WHERE stored_at < %(before)s ORDER BY stored_at LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    )) RETURNING uid
)
SELECT count(*) AS rows FROM gone

-- name: delete_letters
WITH gone AS (
    DELETE FROM dead_letter WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM dead_letter WHERE failed_at < %(before)s ORDER BY failed_at LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    )) RETURNING id
)
SELECT count(*) AS rows FROM gone

-- name: delete_deliveries
WITH gone AS (
    DELETE FROM outbox WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM outbox
        WHERE coalesce(delivered_at, given_up_at) < %(before)s
          AND (delivered_at IS NOT NULL OR given_up_at IS NOT NULL)
        ORDER BY coalesce(delivered_at, given_up_at) LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    )) RETURNING id
)
SELECT count(*) AS rows FROM gone

-- name: delete_alerts
-- By when its end was recorded, since event time may be that of an old file. The history goes with it.
WITH ended AS MATERIALIZED (
    SELECT alert FROM alert_history WHERE recorded_at < %(before)s AND state <> 'open'
    ORDER BY recorded_at LIMIT %(limit)s
),
gone AS (
    DELETE FROM alert WHERE id IN (SELECT alert FROM ended) AND state <> 'open'
        AND NOT EXISTS (SELECT FROM alert_history AS later
                        WHERE later.alert = alert.id AND later.recorded_at >= %(before)s)
    RETURNING id
)
SELECT count(*) AS rows FROM gone

-- name: delete_incidents
-- Those that are over, once none of their alerts is left.
WITH ended AS MATERIALIZED (
    SELECT incident FROM incident_history WHERE recorded_at < %(before)s AND change IN ('resolved', 'withdrawn')
    ORDER BY recorded_at LIMIT %(limit)s
),
gone AS (
    DELETE FROM incident WHERE id IN (SELECT incident FROM ended) AND state <> 'open'
        AND NOT EXISTS (SELECT FROM alert WHERE alert.incident = incident.id)
        AND NOT EXISTS (SELECT FROM incident_history AS later
                        WHERE later.incident = incident.id AND later.recorded_at >= %(before)s)
    RETURNING id
)
SELECT count(*) AS rows FROM gone

-- name: partitions
-- Those of `message`, and those that a retention which was killed had detached already.
SELECT pg_class.relname AS name, inhparent IS NOT NULL AS attached, coalesce(inhdetachpending, false) AS detach_pending
FROM pg_class LEFT JOIN pg_inherits ON inhrelid = pg_class.oid AND inhparent = 'message'::regclass
WHERE pg_class.relname ~ '^message_[0-9]{8}$' AND pg_class.relkind = 'r' AND pg_class.relnamespace = (SELECT parent.relnamespace FROM pg_class AS parent WHERE parent.oid = 'message'::regclass)
ORDER BY pg_class.relname

-- name: note_dropped_day
INSERT INTO dropped_day (stored_on, messages, earliest, latest)
SELECT %(day)s, count(*), min(published_at), max(published_at) FROM {table} HAVING count(*) > 0
ON CONFLICT (stored_on) DO UPDATE
SET messages = excluded.messages, earliest = excluded.earliest, latest = excluded.latest
