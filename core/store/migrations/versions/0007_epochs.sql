-- An epoch is one life of a partition's log: a topic that was re-created, emptied or cut short begins the next one.
-- `topic_id` is the broker's id of the topic. Of the offsets from `first_offset` up to `next_offset` each one is a
-- message, a duplicate, a dead letter or a gap.
ALTER TABLE offset_ledger
    ADD COLUMN epoch integer NOT NULL DEFAULT 1,
    ADD COLUMN topic_id text,
    ADD COLUMN first_offset bigint,
    ADD COLUMN duplicates bigint NOT NULL DEFAULT 0,
    ADD COLUMN began_at timestamptz NOT NULL DEFAULT now();

-- Epochs that are over. Epoch 0 is what was counted before epochs were: its duplicates are unknown, and so is its
-- first offset (NULL).
CREATE TABLE offset_history (
    topic text NOT NULL,
    partition integer NOT NULL,
    epoch integer NOT NULL,
    topic_id text,
    first_offset bigint,
    next_offset bigint,
    end_offset bigint,
    messages bigint NOT NULL,
    duplicates bigint NOT NULL,
    dead_letters bigint NOT NULL,
    gaps bigint NOT NULL,
    began_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, epoch)
);
INSERT INTO offset_history (topic, partition, epoch, next_offset, end_offset, messages, duplicates, dead_letters, gaps,
                            began_at)
SELECT topic, partition, 0, next_offset, end_offset, messages, 0, dead_letters, gaps, updated_at
FROM offset_ledger
WHERE next_offset IS NOT NULL OR EXISTS (SELECT FROM message);
UPDATE offset_ledger
SET first_offset = next_offset, messages = 0, dead_letters = 0, gaps = 0
WHERE next_offset IS NOT NULL;

-- What retention dropped: of each day of storage how many messages, and the first and last event time among them.
-- Minutes between those can't be counted again.
CREATE TABLE dropped_day (
    stored_on date PRIMARY KEY,
    messages bigint NOT NULL,
    earliest timestamptz NOT NULL,
    latest timestamptz NOT NULL
);
