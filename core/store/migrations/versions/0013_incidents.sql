-- What people are paged for: one or more alerts that share their stories. `id` follows from the first of them, and
-- `leader` is the one it is named after, whose figures these are. All times are event times.
CREATE TABLE incident (
    id uuid PRIMARY KEY,
    leader uuid NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    signal text NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'closed', 'withdrawn')),
    opened_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    closed_at timestamptz,
    peak_at timestamptz NOT NULL,
    window_minutes integer NOT NULL,
    observed double precision NOT NULL,
    expected double precision NOT NULL,
    score double precision NOT NULL
);
CREATE INDEX incident_opened_at ON incident (opened_at);

-- Every change that people were told of; `times` counts how often it happened to the incident.
CREATE TABLE incident_history (
    incident uuid NOT NULL REFERENCES incident (id) ON DELETE CASCADE,
    change text NOT NULL CHECK (change IN ('opened', 'updated', 'resolved', 'withdrawn')),
    times integer NOT NULL,
    at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (incident, change, times)
);
CREATE INDEX incident_history_recorded_at ON incident_history (recorded_at);

-- `opened_*`: the figures with which the alert opened, which decide for good what incident it belongs to. NULL: they are
-- those it has.
ALTER TABLE alert
    ADD COLUMN incident uuid,
    ADD COLUMN opened_window_minutes integer,
    ADD COLUMN opened_observed double precision,
    ADD COLUMN opened_expected double precision;
CREATE INDEX alert_incident ON alert (incident);

-- What analysts said of an incident: append-only, and the latest counts. It outlives the incident.
CREATE TABLE feedback (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident uuid NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('useful', 'false')),
    analyst text NOT NULL,
    note text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX feedback_incident ON feedback (incident, id);

-- Stories of a series in a span of event time, by sentiment: alerts are not on bad news alone.
DROP INDEX story_series_negative;
CREATE INDEX story_series_at ON story_series (kind, name, sentiment, first_at);
