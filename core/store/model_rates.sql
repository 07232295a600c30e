-- name: scores
SELECT name, manifest -> 'streams' AS streams, manifest -> 'evaluation' -> %(variant)s::text AS scores
FROM model WHERE name = ANY(%(names)s::text[])

-- name: usual
SELECT coalesce(sum(negative_stories), 0)::bigint AS negative, coalesce(sum(neutral_stories), 0)::bigint AS neutral,
       coalesce(sum(positive_stories), 0)::bigint AS positive
FROM trend_history,
     (SELECT coalesce(%(until)s::timestamptz, (
          SELECT max(minute) + interval '1 minute' FROM trend_history WHERE kind = %(kind)s AND name = %(name)s
      )) AS end) AS week
WHERE kind = %(kind)s AND name = %(name)s AND minute >= week.end - interval '7 days' AND minute < week.end

-- name: models_of
WITH latest AS (
    SELECT found.* FROM unnest('{negative,neutral,positive}'::text[]) AS sentiment CROSS JOIN LATERAL (
        SELECT uid, first_at FROM story_series AS series
        WHERE kind = %(kind)s AND name = %(name)s AND series.sentiment = sentiment.sentiment
          AND first_at >= coalesce(%(since)s::timestamptz, '-infinity')
          AND first_at < coalesce(%(until)s::timestamptz, 'infinity')
        ORDER BY first_at DESC LIMIT %(limit)s
    ) AS found
    ORDER BY first_at DESC LIMIT %(limit)s
)
SELECT message.model, count(*) AS stories FROM message JOIN latest ON latest.uid = message.uid GROUP BY message.model

-- name: labelled_stories
SELECT story FROM (SELECT id, story, task, entity FROM label ORDER BY id DESC LIMIT %(pool)s) AS newest
WHERE task = 'sentiment' AND entity = ''
GROUP BY story ORDER BY max(id) DESC

-- name: own
-- What counts for each story, a verdict or else what most analysts say, beside what its model said. Ties say nothing.
WITH word AS (
    SELECT wanted.story, said.label, count(*) AS analysts, max(count(*)) OVER (PARTITION BY wanted.story) AS most
    FROM unnest(%(stories)s::uuid[]) AS wanted (story), LATERAL (
        SELECT label, final, bool_or(final) OVER () AS decided FROM label_word
        WHERE label_word.story = wanted.story AND task = 'sentiment' AND entity = '' AND label IS NOT NULL
    ) AS said
    WHERE said.final = said.decided
    GROUP BY wanted.story, said.label
),
truth AS (
    SELECT story, min(label) AS label FROM word WHERE analysts = most GROUP BY story HAVING count(*) = 1
)
SELECT message.model, truth.label AS true, message.sentiment AS found, count(*) AS stories
FROM truth, LATERAL (
    SELECT uid FROM label WHERE label.story = truth.story AND uid IS NOT NULL ORDER BY id LIMIT 1
) AS labelled, LATERAL (
    SELECT model, sentiment FROM message_key JOIN message USING (uid, stored_on)
    WHERE message_key.uid = labelled.uid LIMIT 1
) AS message
WHERE message.model IS NOT NULL AND message.sentiment IS NOT NULL
GROUP BY 1, 2, 3
