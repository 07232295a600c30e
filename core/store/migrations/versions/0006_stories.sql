-- Stories no longer depend on the order of arrival. What was assigned before stays as it is: those stories are `fixed`,
-- new messages may join them, but none of theirs is moved.
ALTER TABLE message ADD COLUMN text_key uuid;

-- `first_uid`, with `first_at`, is the message that leads the story.
ALTER TABLE story ADD COLUMN first_uid uuid, ADD COLUMN fixed boolean NOT NULL DEFAULT false;
UPDATE story SET fixed = true;
UPDATE story SET first_uid = series.uid
FROM story_series AS series WHERE series.story = story.id AND series.kind = 'all' AND series.name = 'all';
UPDATE story SET first_uid = id WHERE first_uid IS NULL;
ALTER TABLE story ALTER COLUMN first_uid SET NOT NULL;

ALTER TABLE story_text RENAME TO story_text_before;
ALTER INDEX story_text_pkey RENAME TO story_text_before_pkey;
ALTER INDEX story_text_stored_on RENAME TO story_text_before_stored_on;
ALTER TABLE story_band RENAME TO story_band_before;
ALTER INDEX story_band_pkey RENAME TO story_band_before_pkey;

-- A run: the messages of a story that have one text. `text` is a hash of the normalised text and its facts, `form` of
-- the normalised text alone; times are event times. `stored_on` is the day of the last change.
CREATE TABLE story_text (
    text uuid NOT NULL,
    story uuid NOT NULL,
    form uuid NOT NULL,
    first_at timestamptz NOT NULL,
    first_uid uuid NOT NULL,
    last_at timestamptz NOT NULL,
    messages bigint NOT NULL,
    signature bytea NOT NULL,
    bands bigint[] NOT NULL,
    stored_on date NOT NULL,
    PRIMARY KEY (text, story)
);

-- How a text finds those it may be a copy of: by its normalised form (band one) and its MinHash bands. A row is also
-- the lock that two workers meet at who bring such texts at one moment. `taken` counts how often it was locked.
CREATE TABLE story_band (
    band bigint PRIMARY KEY,
    texts uuid[] NOT NULL,
    taken bigint NOT NULL,
    last_at timestamptz NOT NULL,
    stored_on date NOT NULL
) WITH (fillfactor = 90);

INSERT INTO story_text (text, story, form, first_at, first_uid, last_at, messages, signature, bands, stored_on)
SELECT story.id, story.id, story.id, story.first_at, story.first_uid, story.last_at, story.messages, story.signature,
       ARRAY[('x' || left(replace(story.id::text, '-', ''), 16))::bit(64)::bigint]
           || coalesce(band.bands, ARRAY[]::bigint[]),
       story.stored_on
FROM story LEFT JOIN (
    SELECT story, array_agg(band ORDER BY band) AS bands FROM story_band_before GROUP BY story
) AS band ON band.story = story.id;

INSERT INTO story_band (band, texts, taken, last_at, stored_on)
SELECT band, array_agg(text), 1, max(last_at), max(stored_on)
FROM story_text, unnest(bands) AS band
GROUP BY band;

DROP TABLE story_text_before, story_band_before;
ALTER TABLE story DROP COLUMN signature;

CREATE INDEX story_text_story ON story_text (story);
CREATE INDEX story_text_stored_on ON story_text USING brin (stored_on);
CREATE INDEX story_band_stored_on ON story_band USING brin (stored_on);
