-- name: alerts_in
SELECT id, kind, name, signal, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed, expected, score, evidence
FROM alert
WHERE opened_at > %(start)s AND opened_at <= %(end)s
   OR opened_at <= %(start)s AND state = 'open'
   OR opened_at <= %(start)s AND closed_at > %(start)s

-- name: save_alert
INSERT INTO alert (id, kind, name, signal, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed,
                   expected, score, evidence)
VALUES (%(id)s, %(kind)s, %(name)s, %(signal)s, %(state)s, %(opened_at)s, %(last_at)s, %(closed_at)s, %(peak_at)s,
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
