-- What a message said, as 64 bits: a key that comes again with other content is no mere repetition.
ALTER TABLE message_key ADD COLUMN content bigint;

-- Sources whose name as written differs from the key that `message` and `trend` know them by.
CREATE TABLE source (
    key text PRIMARY KEY,
    name text NOT NULL
);

-- Trends of long ago by the hour: what `trend` held of them by the minute, added up. Reading both is reading all.
CREATE TABLE trend_hour (
    kind text NOT NULL,
    name text NOT NULL,
    hour timestamptz NOT NULL,
    negative integer NOT NULL,
    neutral integer NOT NULL,
    positive integer NOT NULL,
    negative_stories integer NOT NULL,
    neutral_stories integer NOT NULL,
    positive_stories integer NOT NULL,
    p_negative bigint NOT NULL,
    p_neutral bigint NOT NULL,
    p_positive bigint NOT NULL,
    PRIMARY KEY (kind, name, hour)
);
CREATE INDEX trend_hour_hour ON trend_hour (hour);
CREATE VIEW trend_history AS
SELECT kind, name, minute, negative, neutral, positive, negative_stories, neutral_stories, positive_stories,
       p_negative, p_neutral, p_positive
FROM trend
UNION ALL
SELECT kind, name, hour, negative, neutral, positive, negative_stories, neutral_stories, positive_stories,
       p_negative, p_neutral, p_positive
FROM trend_hour;

-- Event time before which minutes may have been merged into hours. It only ever grows, and is set before they are.
CREATE TABLE trend_rollup (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    merged_until timestamptz NOT NULL
);

-- How far alerting had judged on each day that retention ran: minutes are kept for some days after they were judged,
-- so that the replay of an old file is there by the minute too.
CREATE TABLE judged_day (
    day date PRIMARY KEY,
    judged_until timestamptz NOT NULL
);

-- Rows that are deleted make room for new ones, so that a block range soon holds all times and a BRIN index excludes
-- nothing. B-trees of so few distinct values are small.
DROP INDEX trend_minute;
CREATE INDEX trend_minute ON trend (minute);
DROP INDEX message_key_stored_on;
CREATE INDEX message_key_stored_on ON message_key (stored_on);
DROP INDEX story_stored_on;
CREATE INDEX story_stored_on ON story (stored_on);
DROP INDEX story_text_stored_on;
DROP INDEX story_band_stored_on;
CREATE INDEX story_band_stored_on ON story_band (stored_on);

CREATE INDEX outbox_done ON outbox (coalesce(delivered_at, given_up_at))
    WHERE delivered_at IS NOT NULL OR given_up_at IS NOT NULL;
CREATE INDEX alert_history_recorded_at ON alert_history (recorded_at);
