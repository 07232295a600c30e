-- One row per scheduled training: why it began, how it ended, which model came of it.
CREATE TABLE training_run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    began_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    reasons jsonb NOT NULL,
    outcome text NOT NULL DEFAULT 'running',
    model text,
    detail jsonb NOT NULL DEFAULT '{}'
);
