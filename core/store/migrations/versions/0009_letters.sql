-- A letter is known by where it came from and what it holds: two bad lines at one origin are two, the same one delivered
-- twice is one. The key is a hash, so that an origin of any length fits.
ALTER TABLE dead_letter
    ADD COLUMN id uuid,
    ADD COLUMN context jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN tried_at timestamptz;
UPDATE dead_letter
SET id = encode(substring(sha256(convert_to(origin, 'UTF8') || '\x00'::bytea || sha256(value)) FOR 16), 'hex')::uuid;
ALTER TABLE dead_letter DROP CONSTRAINT dead_letter_pkey;
ALTER TABLE dead_letter ADD PRIMARY KEY (id);
CREATE INDEX dead_letter_origin ON dead_letter USING hash (origin);
CREATE INDEX dead_letter_open ON dead_letter (failed_at, id) WHERE replayed_at IS NULL;
CREATE INDEX dead_letter_failed_at ON dead_letter (failed_at, id);
