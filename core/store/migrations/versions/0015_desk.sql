-- Trends by the hour, of the hours between `trend_rollup.merged_until` and `rolled_until` but for those in
-- `trend_unrolled`: what `trend` holds of them by the minute, added up by the desk. Nothing else needs these rows.
CREATE TABLE trend_rolled (
    kind text NOT NULL,
    name text NOT NULL,
    hour timestamptz NOT NULL,
    negative integer NOT NULL,
    neutral integer NOT NULL,
    positive integer NOT NULL,
    negative_stories integer NOT NULL,
    neutral_stories integer NOT NULL,
    positive_stories integer NOT NULL,
    PRIMARY KEY (kind, name, hour)
);
CREATE INDEX trend_rolled_hour ON trend_rolled (kind, hour)
    INCLUDE (name, negative, neutral, positive, negative_stories, neutral_stories, positive_stories);
CREATE TABLE trend_rolling (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    marked_until timestamptz NOT NULL,
    rolled_until timestamptz NOT NULL CHECK (rolled_until <= marked_until)
);
INSERT INTO trend_rolling (marked_until, rolled_until) VALUES ('epoch', 'epoch');

-- Hours before `marked_until` in which a worker changed trends, noted in its transaction.
CREATE TABLE trend_unrolled (hour timestamptz NOT NULL);
CREATE INDEX trend_unrolled_hour ON trend_unrolled (hour);
CREATE FUNCTION note_unrolled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trend_unrolled (hour)
    SELECT DISTINCT date_trunc('hour', minute, 'UTC')
    FROM noted, unnest(noted.minutes) AS minute, trend_rolling
    WHERE minute < marked_until;
    RETURN NULL;
END $$;
CREATE TRIGGER trend_change_unrolls AFTER INSERT ON trend_change
    REFERENCING NEW TABLE AS noted FOR EACH STATEMENT EXECUTE FUNCTION note_unrolled();

-- Trends of series of one kind (all of them where `wanted_names` is NULL) in the hours that begin from `since` up to
-- `until`: rows to be added up. From `trend` come the minutes that are in no other table yet.
CREATE FUNCTION trend_hours(wanted_kind text, wanted_names text[], since timestamptz, until timestamptz)
RETURNS TABLE (name text, hour timestamptz, negative integer, neutral integer, positive integer,
               negative_stories integer, neutral_stories integer, positive_stories integer)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT merged.name, merged.hour, merged.negative, merged.neutral, merged.positive,
           merged.negative_stories, merged.neutral_stories, merged.positive_stories
    FROM trend_hour AS merged
    WHERE merged.kind = wanted_kind AND (wanted_names IS NULL OR merged.name = ANY(wanted_names))
      AND merged.hour >= since AND merged.hour < until
    UNION ALL
    SELECT rolled.name, rolled.hour, rolled.negative, rolled.neutral, rolled.positive,
           rolled.negative_stories, rolled.neutral_stories, rolled.positive_stories
    FROM trend_rolled AS rolled
    WHERE rolled.kind = wanted_kind AND (wanted_names IS NULL OR rolled.name = ANY(wanted_names))
      AND rolled.hour >= greatest(since, (SELECT merged_until FROM trend_rollup))
      AND rolled.hour < least(until, (SELECT rolled_until FROM trend_rolling))
      AND NOT EXISTS (SELECT FROM trend_unrolled WHERE trend_unrolled.hour = rolled.hour)
    UNION ALL
    SELECT recent.name, date_trunc('hour', recent.minute, 'UTC'), recent.negative, recent.neutral, recent.positive,
           recent.negative_stories, recent.neutral_stories, recent.positive_stories
    FROM trend AS recent
    WHERE recent.kind = wanted_kind AND (wanted_names IS NULL OR recent.name = ANY(wanted_names))
      AND recent.minute >= greatest(since, (SELECT rolled_until FROM trend_rolling)) AND recent.minute < until
    UNION ALL
    SELECT late.name, date_trunc('hour', late.minute, 'UTC'), late.negative, late.neutral, late.positive,
           late.negative_stories, late.neutral_stories, late.positive_stories
    FROM trend AS late
    WHERE late.kind = wanted_kind AND (wanted_names IS NULL OR late.name = ANY(wanted_names))
      AND late.minute >= since
      AND late.minute < least(until, (SELECT coalesce(max(merged_until), '-infinity') FROM trend_rollup),
                              (SELECT rolled_until FROM trend_rolling))
    UNION ALL
    SELECT changed.name, marked.hour, changed.negative, changed.neutral, changed.positive,
           changed.negative_stories, changed.neutral_stories, changed.positive_stories
    FROM (SELECT DISTINCT trend_unrolled.hour FROM trend_unrolled
          WHERE trend_unrolled.hour >= greatest(since, (SELECT merged_until FROM trend_rollup))
            AND trend_unrolled.hour < least(until, (SELECT rolled_until FROM trend_rolling))) AS marked
    CROSS JOIN LATERAL (
        SELECT * FROM trend
        WHERE trend.minute >= marked.hour AND trend.minute < marked.hour + interval '1 hour'
          AND trend.kind = wanted_kind AND (wanted_names IS NULL OR trend.name = ANY(wanted_names))
        OFFSET 0  -- hour by hour: there are few of them
    ) AS changed
$$;

-- What a message can be found by: its words, stemmed as English; each two neighbours in scripts that set no spaces, and
-- the last character of such a run; and its series, as `topic=NAME`. Made with what every Postgres has: pg_trgm finds no
-- letters but Latin ones in a database of the locale C.
CREATE FUNCTION search_words(title text, body text, topic text, source text, entities text[])
RETURNS tsvector LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 10000 AS $$  -- dear, so look it up
DECLARE
    no_spaces CONSTANT text :=
        '[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+';
    whole text := left(translate(title || ' ' || body, '<>', '  '), 4000);  -- what looks like a tag is text too
    found text[] := ARRAY['topic=' || topic, 'source=' || source];
    entity text;
BEGIN
    FOREACH entity IN ARRAY entities LOOP
        found := found || ('entity=' || entity);
    END LOOP;
    IF octet_length(whole) > length(whole) AND whole ~ no_spaces THEN
        found := found || ARRAY(
            SELECT substr(run[1], place, 2)
            FROM regexp_matches(whole, no_spaces, 'g') AS run, generate_series(1, length(run[1])) AS place);
        whole := regexp_replace(whole, no_spaces, ' ', 'g');
    END IF;
    RETURN to_tsvector('pg_catalog.english', whole) || array_to_tsvector(found);
END $$;
CREATE INDEX message_search ON message USING gin (search_words(title, text, topic, source, entities));

-- People of the desk. Who comes through OIDC or a proxy has no password; `subject` is what OIDC knows them by.
CREATE TABLE account (
    name text PRIMARY KEY,
    role text NOT NULL CHECK (role IN ('viewer', 'analyst', 'admin')),
    password_hash text,
    subject text UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
);

-- Browsers that are logged in, by the SHA-256 of the token in their cookie.
CREATE TABLE desk_session (
    token bytea PRIMARY KEY,
    account text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    csrf text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX desk_session_expires_at ON desk_session (expires_at);

-- Links that log in once: by the SHA-256 of the token in their address.
CREATE TABLE login_link (
    token bytea PRIMARY KEY,
    account text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);

-- Programs that use the API, by the SHA-256 of their token. A token has the role of its account, or less.
CREATE TABLE api_token (
    id uuid PRIMARY KEY,
    token bytea NOT NULL UNIQUE,
    account text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'analyst', 'admin')),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);

-- Who did what on the desk: append-only.
CREATE TABLE audit_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    account text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    detail jsonb NOT NULL
);
CREATE INDEX audit_event_at ON audit_event (at);
CREATE FUNCTION refuse_change_of_audit_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit events are append-only';
END $$;
CREATE TRIGGER audit_event_is_append_only BEFORE UPDATE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit_event();

-- What an analyst has on the screen: nobody else gets that story until `expires_at`. `blind`: a second opinion is asked
-- for. `skipped`: the analyst gave it back and is not asked again; others are.
CREATE TABLE label_lease (
    story uuid PRIMARY KEY,
    analyst text NOT NULL,
    reason text NOT NULL,
    blind boolean NOT NULL,
    skipped boolean NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX label_lease_expires_at ON label_lease (expires_at);
CREATE INDEX label_lease_analyst ON label_lease (analyst, expires_at);

-- Labels that an analyst gives at once and may take back at once. `request` is the client's own id for it: sent twice, it
-- is done once. `undoes`: the step that this one took back.
CREATE TABLE label_step (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    analyst text NOT NULL,
    request uuid NOT NULL,
    undoes bigint UNIQUE REFERENCES label_step (id),
    at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (analyst, request)
);
CREATE INDEX label_step_analyst ON label_step (analyst, id);

-- `label` NULL takes the analyst's former word back. `final`: a verdict on what analysts disagree about, which outranks
-- them all. `story`: that of the message; a text that was never a message is known by its hash.
ALTER TABLE label
    ALTER COLUMN label DROP NOT NULL,
    ADD COLUMN final boolean NOT NULL DEFAULT false,
    ADD COLUMN step bigint REFERENCES label_step (id),
    ADD COLUMN story uuid;
ALTER TABLE label DISABLE TRIGGER label_is_append_only;
UPDATE label SET story = coalesce(
    (SELECT message.story FROM message WHERE message.uid = label.uid ORDER BY stored_on DESC LIMIT 1), md5(text)::uuid
);
ALTER TABLE label ENABLE TRIGGER label_is_append_only;
ALTER TABLE label ALTER COLUMN story SET NOT NULL;
CREATE INDEX label_story ON label (story, task, id);
CREATE INDEX label_analyst ON label (analyst, id);
CREATE INDEX label_step_labels ON label (step);
CREATE INDEX label_taken_back ON label (story) WHERE label IS NULL;

-- The latest word of each analyst on a text, and the latest verdict on it.
CREATE VIEW label_word AS
SELECT DISTINCT ON (story, task, text, final, CASE WHEN NOT final THEN analyst END)
       id, uid, text, source, task, label, analyst, labelled_at, final, step, story
FROM label
ORDER BY story, task, text, final, CASE WHEN NOT final THEN analyst END, id DESC;

-- What people do with an incident besides marking it: the latest row counts.
CREATE TABLE incident_handling (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident uuid NOT NULL,
    account text NOT NULL,
    acknowledged boolean NOT NULL,
    snoozed_until timestamptz,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX incident_handling_incident ON incident_handling (incident, id);

-- Logins under way at an identity provider, by the SHA-256 of their state.
CREATE TABLE oidc_login (
    state bytea PRIMARY KEY,
    nonce text NOT NULL,
    verifier text NOT NULL,
    expires_at timestamptz NOT NULL
);
