-- name: compact
WITH gone AS (DELETE FROM trend_change RETURNING minutes, messages),
cell AS (
    SELECT t.minute, sum(t.messages)::integer AS messages
    FROM gone, LATERAL unnest(gone.minutes, gone.messages) AS t (minute, messages)
    GROUP BY t.minute
)
INSERT INTO trend_change (minutes, messages)
SELECT array_agg(minute ORDER BY minute), array_agg(messages ORDER BY minute)
FROM cell
GROUP BY date_trunc('day', minute, 'UTC')
