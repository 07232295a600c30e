-- What each transaction of a worker changed in the trends: the minutes, and how many messages it added to each. The
-- judge deletes the rows it sees and reads the counts in the same snapshot, so it misses no change and takes none twice.
CREATE TABLE trend_change (
    minutes timestamptz[] NOT NULL,
    messages integer[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The detector as it stood at `at`, a midnight of event time; see alerting/codec.py for the bytes. What follows is
-- judged again from the trends.
DROP TABLE series_state;
CREATE TABLE detector_checkpoint (
    at timestamptz PRIMARY KEY,
    body bytea NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT now()
);

-- `stale_from`: trends changed from there on and were not judged again yet. `unjudged`: messages that came too late to
-- be judged at all.
ALTER TABLE alerting_progress
    ADD COLUMN stale_from timestamptz,
    ADD COLUMN unjudged bigint NOT NULL DEFAULT 0;

-- An alert is withdrawn when what came late took away its ground, and may come and go more than once.
ALTER TABLE alert
    DROP CONSTRAINT alert_state_check,
    ADD CONSTRAINT alert_state_check CHECK (state IN ('open', 'closed', 'withdrawn'));
CREATE INDEX alert_closed_at ON alert (closed_at);
DROP INDEX alert_open;
CREATE INDEX alert_open ON alert (kind, name) WHERE state = 'open';
ALTER TABLE alert_history ADD COLUMN times integer NOT NULL DEFAULT 1;
ALTER TABLE alert_history DROP CONSTRAINT alert_history_pkey, ADD PRIMARY KEY (alert, state, times);

-- The stories that were counted in a series in a span of event time.
CREATE INDEX story_series_negative ON story_series (kind, name, first_at) WHERE sentiment = 'negative';

-- When the process of a replay was last seen alive; NULL: it gives no sign of life.
ALTER TABLE replay ADD COLUMN seen_at timestamptz;
