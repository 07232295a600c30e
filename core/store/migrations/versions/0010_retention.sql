-- What a message said, as 64 bits: a key that comes again with other content is no mere repetition.
ALTER TABLE message_key ADD COLUMN content bigint;

-- Sources whose name as written differs from the key that `message` and `trend` know them by.
CREATE TABLE source (
    key text PRIMARY KEY,
    name text NOT NULL
);
