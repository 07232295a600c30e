-- What of the series is out of the ordinary: negative stories, their share, positive stories, or all.
ALTER TABLE alert ADD COLUMN signal text NOT NULL DEFAULT 'negative'
    CHECK (signal IN ('negative', 'share', 'positive', 'volume'));
DROP INDEX alert_open;
CREATE INDEX alert_open ON alert (kind, name, signal) WHERE state = 'open';
