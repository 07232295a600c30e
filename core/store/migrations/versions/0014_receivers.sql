-- What a receiver is told of an incident. `rules` ask for it, and `severity` is what they say; a receiver that the
-- settings name is told everything, by no rule. `held`: it waits until `not_before`, for the end of quiet hours or for a
-- digest, and goes out in one message with what waits as long. `labels`: the sets of labels by which an Alertmanager
-- knows the incident, the present one first.
ALTER TABLE outbox RENAME COLUMN alert TO incident;
UPDATE outbox SET incident = alert.incident FROM alert WHERE alert.id = outbox.incident AND alert.incident IS NOT NULL;
ALTER TABLE outbox
    ADD COLUMN severity text NOT NULL DEFAULT 'warning' CHECK (severity IN ('info', 'warning', 'critical')),
    ADD COLUMN rules text[] NOT NULL DEFAULT '{}',
    ADD COLUMN labels jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN held text CHECK (held IN ('quiet', 'digest')),
    ADD COLUMN not_before timestamptz,
    ADD CONSTRAINT outbox_held CHECK ((held IS NULL) = (not_before IS NULL));
CREATE INDEX outbox_incident ON outbox (incident, channel, id);
CREATE INDEX outbox_told ON outbox (channel, incident, id DESC)
    WHERE delivered_at IS NOT NULL OR given_up_at IS NOT NULL;
