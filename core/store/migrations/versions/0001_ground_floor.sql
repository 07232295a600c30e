-- Identity. A message is known by (source, id), hashed to `uid`; the key table outlives no partition of `message`
-- and is what makes a second delivery change nothing, whatever its times say.
CREATE TABLE message_key (
    uid uuid PRIMARY KEY,
    stored_on date NOT NULL
);
CREATE INDEX message_key_stored_on ON message_key USING brin (stored_on);

-- Partitioned by the day of storage, not of publication: a replay of ten years makes one partition, and a hostile
-- clock makes none. On live feeds the two days are the same.
CREATE TABLE message (
    uid uuid NOT NULL,
    stored_on date NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    published_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    title text NOT NULL,
    text text NOT NULL,
    url text NOT NULL,
    author text NOT NULL,
    language text NOT NULL,
    entities text[] NOT NULL,
    marks text[] NOT NULL,
    extra jsonb NOT NULL,
    story uuid NOT NULL,
    sentiment text NOT NULL,
    sentiment_scores real[] NOT NULL,
    topic text NOT NULL,
    topic_scores real[] NOT NULL,
    model text NOT NULL
) PARTITION BY RANGE (stored_on);
CREATE INDEX message_uid ON message (uid);
CREATE INDEX message_story ON message (story);
CREATE INDEX message_published_at ON message (published_at);

-- A story is known by the key of its first-named text. `first_at` is the earliest event time of its messages.
CREATE TABLE story (
    id uuid PRIMARY KEY,
    headline text NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    messages bigint NOT NULL,
    signature bytea NOT NULL,
    stored_on date NOT NULL
);
CREATE INDEX story_stored_on ON story USING brin (stored_on);

-- Copies with the same normalised text share a story: this key decides, whatever the order.
CREATE TABLE story_text (
    key uuid PRIMARY KEY,
    story uuid NOT NULL,
    stored_on date NOT NULL
);
CREATE INDEX story_text_stored_on ON story_text USING brin (stored_on);

-- MinHash bands of first-named texts: how a near-duplicate finds its story.
CREATE TABLE story_band (
    band bigint PRIMARY KEY,
    story uuid NOT NULL,
    first_at timestamptz NOT NULL
);

-- The first message (by event time, then uid) of a story in a series: where the story is counted.
CREATE TABLE story_series (
    story uuid NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    first_at timestamptz NOT NULL,
    uid uuid NOT NULL,
    sentiment text NOT NULL,
    PRIMARY KEY (story, kind, name)
);

-- Minute buckets in event time. Probabilities are summed in millionths, so that sums do not depend on their order.
CREATE TABLE trend (
    kind text NOT NULL,
    name text NOT NULL,
    minute timestamptz NOT NULL,
    negative integer NOT NULL,
    neutral integer NOT NULL,
    positive integer NOT NULL,
    negative_stories integer NOT NULL,
    neutral_stories integer NOT NULL,
    positive_stories integer NOT NULL,
    p_negative bigint NOT NULL,
    p_neutral bigint NOT NULL,
    p_positive bigint NOT NULL,
    PRIMARY KEY (kind, name, minute)
) WITH (fillfactor = 80);
CREATE INDEX trend_minute ON trend USING brin (minute) WITH (pages_per_range = 16, autosummarize = on);

-- Per partition: what is committed (`next_offset`), what is known to exist (`end_offset`), the highest event time
-- committed, and every offset that was ever skipped.
CREATE TABLE offset_ledger (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint,
    end_offset bigint,
    max_event_time timestamptz,
    messages bigint NOT NULL DEFAULT 0,
    dead_letters bigint NOT NULL DEFAULT 0,
    gaps bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition)
);

-- A replay holds the watermark back until it has declared where it ended.
CREATE TABLE replay (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    summary jsonb
);

CREATE TABLE dead_letter (
    origin text PRIMARY KEY,
    stage text NOT NULL,
    topic text NOT NULL,
    key bytea,
    value bytea NOT NULL,
    reason text NOT NULL,
    failed_at timestamptz NOT NULL,
    replayed_at timestamptz
);
