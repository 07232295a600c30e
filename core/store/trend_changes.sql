-- name: compact
-- A row that is the only one of its one day stays: to write it again would note all its hours as changed.
WITH part AS (
    SELECT change.ctid AS place, date_trunc('day', minute, 'UTC') AS day
    FROM trend_change AS change, unnest(change.minutes) AS minute
    GROUP BY place, day
),
loose AS (
    SELECT place FROM part GROUP BY place HAVING count(*) > 1
    UNION
    SELECT place FROM (SELECT place, count(*) OVER (PARTITION BY day) AS sharers FROM part) AS shared WHERE sharers > 1
),
gone AS (DELETE FROM trend_change WHERE ctid IN (SELECT place FROM loose) RETURNING minutes, messages),
cell AS (
    SELECT t.minute, sum(t.messages)::integer AS messages
    FROM gone, LATERAL unnest(gone.minutes, gone.messages) AS t (minute, messages)
    GROUP BY t.minute
)
INSERT INTO trend_change (minutes, messages)
SELECT array_agg(minute ORDER BY minute), array_agg(messages ORDER BY minute)
FROM cell
GROUP BY date_trunc('day', minute, 'UTC')
