-- name: alerts_in
SELECT id, kind, name, signal, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed,
       expected, score, evidence, incident
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

-- name: members
-- The alerts that opened by `start` of every incident that any of them was in after `since`.
SELECT id, kind, name, signal, opened_at, closed_at, incident,
       coalesce(opened_window_minutes, window_minutes) AS window_minutes, coalesce(opened_observed, observed) AS observed,
       coalesce(opened_expected, expected) AS expected
FROM alert
WHERE opened_at <= %(start)s AND state <> 'withdrawn' AND incident IN (
    SELECT incident FROM alert AS active
    WHERE active.opened_at <= %(start)s AND (active.state = 'open' OR active.closed_at > %(since)s)
)

-- name: place
UPDATE alert
SET incident = %(incident)s, opened_window_minutes = %(window_minutes)s, opened_observed = %(observed)s,
    opened_expected = %(expected)s
WHERE id = %(id)s

-- name: incidents_of
SELECT DISTINCT incident FROM alert WHERE id = ANY(%(alerts)s::uuid[]) AND incident IS NOT NULL

-- name: incidents
SELECT id, leader, kind, name, signal, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed,
       expected, score
FROM incident WHERE id = ANY(%(incidents)s::uuid[])

-- name: alerts_of_incidents
SELECT id, kind, name, signal, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed, expected,
       score, evidence, incident, coalesce(opened_window_minutes, window_minutes) AS opened_window_minutes,
       coalesce(opened_observed, observed) AS opened_observed, coalesce(opened_expected, expected) AS opened_expected
FROM alert WHERE incident = ANY(%(incidents)s::uuid[])

-- name: save_incident
INSERT INTO incident (id, leader, kind, name, signal, state, opened_at, last_at, closed_at, peak_at, window_minutes,
                      observed, expected, score)
VALUES (%(id)s, %(leader)s, %(kind)s, %(name)s, %(signal)s, %(state)s, %(opened_at)s, %(last_at)s, %(closed_at)s,
        %(peak_at)s, %(window_minutes)s, %(observed)s, %(expected)s, %(score)s)
ON CONFLICT (id) DO UPDATE
SET leader = excluded.leader, kind = excluded.kind, name = excluded.name, signal = excluded.signal,
    state = excluded.state, opened_at = excluded.opened_at, last_at = excluded.last_at,
    closed_at = excluded.closed_at, peak_at = excluded.peak_at, window_minutes = excluded.window_minutes,
    observed = excluded.observed, expected = excluded.expected, score = excluded.score

-- name: add_incident_history
INSERT INTO incident_history (incident, change, times, at)
SELECT %(incident)s, %(change)s, count(*) + 1, %(at)s
FROM incident_history WHERE incident = %(incident)s AND change = %(change)s
RETURNING times

-- name: stories_within
-- Of equal times the uid decides: the id of a story depends on what of it came first.
SELECT wanted.kind, wanted.name, found.story, found.first_at
FROM unnest(%(kinds)s::text[], %(names)s::text[]) AS wanted (kind, name)
CROSS JOIN LATERAL (
    SELECT latest.* FROM unnest(%(sentiments)s::text[]) AS sentiment CROSS JOIN LATERAL (
        SELECT story, uid, first_at FROM story_series AS series
        WHERE series.kind = wanted.kind AND series.name = wanted.name AND series.sentiment = sentiment.sentiment
          AND first_at >= %(start)s AND first_at < %(end)s
        ORDER BY first_at DESC, uid LIMIT %(limit)s
    ) AS latest
    ORDER BY first_at DESC, uid LIMIT %(limit)s
) AS found

-- name: stories_held
SELECT series.kind, series.name, story
FROM story_series AS series
JOIN unnest(%(kinds)s::text[], %(names)s::text[]) AS wanted (kind, name)
    ON series.kind = wanted.kind AND series.name = wanted.name
WHERE story = ANY(%(stories)s::uuid[]) AND sentiment = ANY(%(sentiments)s::text[]) AND first_at < %(until)s

-- name: window_stories
-- Of the latest `most` stories of the window, those with the most messages by its end. Later messages do not count: how
-- many of them are stored already depends on when this is asked.
SELECT latest.story, latest.uid, latest.first_at, story.headline,
       CASE WHEN story.messages = 1 THEN 1 ELSE (
           SELECT count(*) FROM (
               SELECT FROM message
               WHERE message.story = story.id AND published_at < %(end)s AND message.stored_on >= story.stored_on
               LIMIT %(copies)s
           ) AS member
       ) END AS messages
FROM unnest(%(sentiments)s::text[]) AS sentiment
CROSS JOIN LATERAL (
    SELECT story, uid, first_at FROM story_series AS series
    WHERE kind = %(kind)s AND name = %(name)s AND series.sentiment = sentiment.sentiment
      AND first_at >= %(start)s AND first_at < %(end)s
    ORDER BY first_at DESC, uid LIMIT %(most)s
) AS latest
JOIN story ON story.id = latest.story
ORDER BY messages DESC, latest.first_at, latest.uid
LIMIT %(limit)s

-- name: latest_headlines
SELECT story.headline
FROM (
    SELECT latest.* FROM unnest(%(sentiments)s::text[]) AS sentiment CROSS JOIN LATERAL (
        SELECT story, uid, first_at FROM story_series AS series
        WHERE kind = %(kind)s AND name = %(name)s AND series.sentiment = sentiment.sentiment
          AND first_at >= %(start)s AND first_at < %(end)s
        ORDER BY first_at DESC, uid LIMIT %(limit)s
    ) AS latest
    ORDER BY first_at DESC, uid LIMIT %(limit)s
) AS latest
JOIN story ON story.id = latest.story

-- name: first_messages
SELECT uid, url, kind, model FROM message WHERE uid = ANY(%(uids)s::uuid[]) AND stored_on >= %(stored_from)s

-- name: story_names
SELECT kind, coalesce(written.name, counted.name) AS name, stories
FROM (
    SELECT kind, name, count(*) AS stories,
           row_number() OVER (PARTITION BY kind ORDER BY count(*) DESC, name) AS place
    FROM story_series
    WHERE story = ANY(%(stories)s::uuid[]) AND kind IN ('entity', 'source') AND first_at < %(end)s
    GROUP BY kind, name
) AS counted
LEFT JOIN source AS written ON counted.kind = 'source' AND written.key = counted.name
WHERE place <= %(limit)s
ORDER BY kind, place

-- name: window_counts
SELECT coalesce(sum(negative), 0)::bigint AS negative, coalesce(sum(neutral), 0)::bigint AS neutral,
       coalesce(sum(positive), 0)::bigint AS positive, coalesce(sum(negative_stories), 0)::bigint AS negative_stories,
       coalesce(sum(neutral_stories), 0)::bigint AS neutral_stories,
       coalesce(sum(positive_stories), 0)::bigint AS positive_stories
FROM trend WHERE kind = %(kind)s AND name = %(name)s AND minute >= %(start)s AND minute < %(end)s

-- name: story_sentiments
-- What stories say as a whole, and of each of their companies, as it is counted.
SELECT story, max(sentiment) FILTER (WHERE kind = 'all') AS sentiment,
       coalesce(jsonb_object_agg(name, sentiment) FILTER (WHERE kind = 'entity'), '{}') AS entities
FROM story_series
WHERE story = ANY(%(stories)s::uuid[]) AND kind IN ('all', 'entity') AND first_at < %(end)s AND sentiment <> 'unread'
GROUP BY story

-- name: story_reach
SELECT story.id AS story, array_agg(DISTINCT coalesce(written.name, member.source)
                                    ORDER BY coalesce(written.name, member.source)) AS sources, count(*) AS messages
FROM story
CROSS JOIN LATERAL (
    SELECT source FROM message
    WHERE message.story = story.id AND published_at < %(end)s AND message.stored_on >= story.stored_on
    ORDER BY published_at, uid LIMIT %(limit)s
) AS member
LEFT JOIN source AS written ON written.key = member.source
WHERE story.id = ANY(%(stories)s::uuid[])
GROUP BY story.id
