-- The detector's state in its named parts; see alerting/codec.py for the bytes.
CREATE TABLE series_state (
    part text PRIMARY KEY,
    body bytea NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- One row: event time from which and up to which trends were judged, and whether all replays are read and judged.
CREATE TABLE alerting_progress (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    since timestamptz NOT NULL,
    judged_until timestamptz NOT NULL,
    drained boolean NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- One row per surge. `id` follows from series and `opened_at`. All times are event times.
CREATE TABLE alert (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    name text NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'closed')),
    opened_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    closed_at timestamptz,
    peak_at timestamptz NOT NULL,
    window_minutes integer NOT NULL,
    observed double precision NOT NULL,
    expected double precision NOT NULL,
    score double precision NOT NULL,
    evidence jsonb NOT NULL
);
CREATE INDEX alert_opened_at ON alert (opened_at);
CREATE UNIQUE INDEX alert_open ON alert (kind, name) WHERE state = 'open';

CREATE TABLE alert_history (
    alert uuid NOT NULL REFERENCES alert (id) ON DELETE CASCADE,
    state text NOT NULL,
    at timestamptz NOT NULL,
    observed double precision NOT NULL,
    expected double precision NOT NULL,
    score double precision NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (alert, state)
);

-- Written with the change it tells of, delivered afterwards. `dedupe` is the same at every try.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel text NOT NULL,
    dedupe text NOT NULL,
    alert uuid NOT NULL,
    key text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT now(),
    last_error text,
    delivered_at timestamptz,
    given_up_at timestamptz,
    UNIQUE (channel, dedupe)
);
CREATE INDEX outbox_pending ON outbox (channel, next_try_at) WHERE delivered_at IS NULL AND given_up_at IS NULL;
