-- name: rows
SELECT partition, epoch, topic_id, first_offset, next_offset, end_offset, max_event_time, messages, duplicates,
       dead_letters, gaps
FROM offset_ledger
WHERE topic = :topic
ORDER BY partition

-- name: lock
SELECT partition, epoch FROM offset_ledger WHERE topic = :topic ORDER BY partition FOR UPDATE

-- name: open
INSERT INTO offset_ledger (topic, partition, epoch, topic_id, first_offset, next_offset, end_offset)
VALUES (:topic, :partition, (SELECT 1 + coalesce(max(epoch), 0) FROM offset_history
                             WHERE topic = :topic AND partition = :partition), :topic_id, :start, :start, :end)
ON CONFLICT DO NOTHING

-- name: begin_reading
UPDATE offset_ledger
SET topic_id = :topic_id, first_offset = :start, next_offset = :start
WHERE topic = :topic AND partition = :partition AND epoch = :epoch AND next_offset IS NULL

-- name: adopt_id
UPDATE offset_ledger SET topic_id = :topic_id
WHERE topic = :topic AND partition = :partition AND epoch = :epoch AND topic_id IS NULL

-- name: keep_history
-- Versions before opened a partition that had been closed as epoch 1 once more: such a row gets a number of its own.
INSERT INTO offset_history (topic, partition, epoch, topic_id, first_offset, next_offset, end_offset, messages,
                            duplicates, dead_letters, gaps, began_at)
SELECT topic, partition, greatest(epoch, 1 + (SELECT max(past.epoch) FROM offset_history AS past
                                              WHERE past.topic = :topic AND past.partition = :partition)),
       topic_id, first_offset, next_offset, end_offset, messages, duplicates, dead_letters, gaps, began_at
FROM offset_ledger
WHERE topic = :topic AND partition = :partition

-- name: begin_epoch
UPDATE offset_ledger
SET epoch = (SELECT 1 + max(past.epoch) FROM offset_history AS past
             WHERE past.topic = :topic AND past.partition = :partition),
    topic_id = :topic_id, first_offset = :start, next_offset = :start, end_offset = :end,
    max_event_time = NULL, messages = 0, duplicates = 0, dead_letters = 0, gaps = 0, began_at = now(),
    updated_at = now()
WHERE topic = :topic AND partition = :partition

-- name: close
DELETE FROM offset_ledger WHERE topic = :topic AND partition = :partition

-- name: forget_replay_ends
UPDATE replay
SET summary = jsonb_set(summary, '{end_offsets}', (summary -> 'end_offsets') - CAST(:partition AS text))
WHERE summary -> 'end_offsets' ? CAST(:partition AS text)

-- name: note_end
UPDATE offset_ledger SET end_offset = :end
WHERE topic = :topic AND partition = :partition AND epoch = :epoch AND (end_offset IS NULL OR end_offset < :end)

-- name: skip
UPDATE offset_ledger
SET next_offset = :next_offset, gaps = gaps + :next_offset - next_offset, updated_at = now()
WHERE topic = :topic AND partition = :partition AND epoch = :epoch AND next_offset = :expected

-- name: epochs
SELECT topic, partition, epoch, first_offset, next_offset, messages, duplicates, dead_letters, gaps, false AS current
FROM offset_history
UNION ALL
SELECT topic, partition, epoch, first_offset, next_offset, messages, duplicates, dead_letters, gaps, true
FROM offset_ledger
ORDER BY topic, partition, epoch

-- name: end_replay
UPDATE replay
SET finished_at = now(),
    summary = coalesce(summary, '{}') || CAST(:summary AS jsonb) || jsonb_build_object('end_offsets', (
        SELECT coalesce(jsonb_object_agg(ended.key, CASE
            WHEN ledger.epoch > 1 AND ledger.began_at > replay.started_at
            THEN least(CAST(ended.value AS bigint), coalesce(ledger.end_offset, 0))
            ELSE CAST(ended.value AS bigint) END), '{}')
        FROM jsonb_each_text(CAST(:ends AS jsonb)) AS ended
        LEFT JOIN offset_ledger AS ledger
            ON ledger.topic = :topic AND ledger.partition = CAST(ended.key AS integer)))
WHERE id = :id
