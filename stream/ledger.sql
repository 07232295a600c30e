-- name: lock_ledger
SELECT partition, epoch, next_offset
FROM offset_ledger
WHERE topic = %(topic)s AND partition = ANY(%(partition)s::integer[])
ORDER BY partition
FOR UPDATE

-- name: lock_history
SELECT past.partition, past.epoch, past.next_offset
FROM offset_history AS past
JOIN unnest(%(partition)s::integer[], %(epoch)s::integer[]) AS batch (partition, epoch) USING (partition, epoch)
WHERE past.topic = %(topic)s
ORDER BY past.partition
FOR UPDATE OF past

-- name: open_ledger
INSERT INTO offset_ledger (topic, partition, epoch)
SELECT %(topic)s, opened.partition, 1 + coalesce(max(past.epoch), 0)
FROM unnest(%(partition)s::integer[]) AS opened (partition)
LEFT JOIN offset_history AS past ON past.topic = %(topic)s AND past.partition = opened.partition
GROUP BY opened.partition
ORDER BY opened.partition
ON CONFLICT DO NOTHING

-- name: advance_ledger
UPDATE offset_ledger AS ledger
SET first_offset = coalesce(ledger.first_offset, ledger.next_offset, batch.first_offset),
    next_offset = batch.next_offset,
    end_offset = greatest(ledger.end_offset, batch.end_offset, batch.next_offset),
    max_event_time = greatest(ledger.max_event_time, batch.max_event_time),
    messages = ledger.messages + batch.messages,
    duplicates = ledger.duplicates + batch.duplicates,
    dead_letters = ledger.dead_letters + batch.dead_letters,
    gaps = ledger.gaps + batch.gaps,
    updated_at = now()
FROM unnest(%(partition)s::integer[], %(first_offset)s::bigint[], %(next_offset)s::bigint[], %(end_offset)s::bigint[],
            %(max_event_time)s::timestamptz[], %(messages)s::bigint[], %(duplicates)s::bigint[],
            %(dead_letters)s::bigint[], %(gaps)s::bigint[])
    AS batch (partition, first_offset, next_offset, end_offset, max_event_time, messages, duplicates, dead_letters, gaps)
WHERE ledger.topic = %(topic)s AND ledger.partition = batch.partition

-- name: advance_history
UPDATE offset_history AS past
SET next_offset = batch.next_offset,
    messages = past.messages + batch.messages,
    duplicates = past.duplicates + batch.duplicates,
    dead_letters = past.dead_letters + batch.dead_letters,
    gaps = past.gaps + batch.gaps
FROM unnest(%(partition)s::integer[], %(epoch)s::integer[], %(next_offset)s::bigint[], %(messages)s::bigint[],
            %(duplicates)s::bigint[], %(dead_letters)s::bigint[], %(gaps)s::bigint[])
    AS batch (partition, epoch, next_offset, messages, duplicates, dead_letters, gaps)
WHERE past.topic = %(topic)s AND past.partition = batch.partition AND past.epoch = batch.epoch

-- name: positions
SELECT partition, epoch, next_offset FROM offset_ledger WHERE topic = %(topic)s

-- name: note_end_offsets
UPDATE offset_ledger AS ledger
SET end_offset = greatest(ledger.end_offset, seen.end_offset)
FROM unnest(%(partition)s::integer[], %(epoch)s::integer[], %(end_offset)s::bigint[])
    AS seen (partition, epoch, end_offset)
WHERE ledger.topic = %(topic)s AND ledger.partition = seen.partition AND ledger.epoch = seen.epoch
  AND ledger.end_offset IS DISTINCT FROM greatest(ledger.end_offset, seen.end_offset)
