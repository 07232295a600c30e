-- A registered bundle. `name` is the manifest's own name and stands beside every message the model labelled;
-- `checksum` is the SHA-256 of the manifest, which vouches for every file of the bundle.
CREATE TABLE model (
    name text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('candidate', 'shadow', 'live', 'retired')),
    location text NOT NULL,
    checksum text NOT NULL,
    size_bytes bigint NOT NULL,
    manifest jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX model_one_live ON model (state) WHERE state = 'live';
CREATE UNIQUE INDEX model_one_shadow ON model (state) WHERE state = 'shadow';

-- Every change of state: who, when and why. `evidence` holds the gates' figures. Append-only by use.
CREATE TABLE model_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model text NOT NULL REFERENCES model (name),
    from_state text,
    to_state text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    reason text NOT NULL,
    evidence jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX model_event_model ON model_event (model, id);

-- What each worker runs now, and the last bundle it refused.
CREATE TABLE worker_model (
    worker text PRIMARY KEY,
    model text NOT NULL,
    shadow text,
    refused text,
    reason text,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- What a shadow said of a sampled message beside the live model: {task: label}. `confidence` is the shadow's least
-- probability of its own labels. No trend reads this.
CREATE TABLE shadow_message (
    shadow text NOT NULL,
    uid uuid NOT NULL,
    live text NOT NULL,
    published_at timestamptz NOT NULL,
    live_labels jsonb NOT NULL,
    shadow_labels jsonb NOT NULL,
    confidence real NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shadow, uid)
);
CREATE INDEX shadow_message_stored_at ON shadow_message (stored_at);
