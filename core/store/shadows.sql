-- name: add_shadow_messages
INSERT INTO shadow_message (shadow, uid, live, published_at, live_labels, shadow_labels, confidence)
SELECT CAST(:shadow AS text), uid, live, published_at, CAST(live_labels AS jsonb), CAST(shadow_labels AS jsonb),
       confidence
FROM unnest(CAST(:uid AS uuid[]), CAST(:live AS text[]), CAST(:published_at AS timestamptz[]),
            CAST(:live_labels AS text[]), CAST(:shadow_labels AS text[]), CAST(:confidence AS real[]))
    AS t (uid, live, published_at, live_labels, shadow_labels, confidence)
ON CONFLICT (shadow, uid) DO NOTHING

-- name: agreement
SELECT given.key AS task, count(*) AS messages,
       count(*) FILTER (WHERE shadow_labels ->> given.key = given.value) AS agreeing
FROM shadow_message, jsonb_each_text(live_labels) AS given
WHERE shadow = :shadow AND live = :live
GROUP BY given.key
ORDER BY given.key

-- name: disagreements
SELECT beside.uid, beside.shadow, beside.live, message.source, message.kind, beside.published_at, message.title,
       message.text, beside.live_labels, beside.shadow_labels, beside.confidence
FROM shadow_message AS beside JOIN message ON message.uid = beside.uid
WHERE beside.live_labels <> beside.shadow_labels
  AND (CAST(:shadow AS text) IS NULL OR beside.shadow = :shadow)
  AND (CAST(:task AS text) IS NULL OR beside.live_labels ->> :task IS DISTINCT FROM beside.shadow_labels ->> :task)
ORDER BY beside.stored_at DESC, beside.uid
LIMIT :limit
