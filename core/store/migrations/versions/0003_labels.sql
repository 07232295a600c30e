-- What analysts said, append-only: a correction is a new row, and the latest row of an analyst counts. The text is kept
-- here too, because retention drops messages and a label without its text teaches nothing.
CREATE TABLE label (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uid uuid,
    text text NOT NULL,
    source text NOT NULL,
    task text NOT NULL,
    label text NOT NULL,
    analyst text NOT NULL,
    labelled_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX label_labelled_at ON label (labelled_at);
CREATE INDEX label_uid ON label (uid);

CREATE FUNCTION refuse_change_of_label() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'labels are append-only: correct one by adding another';
END $$;
CREATE TRIGGER label_is_append_only BEFORE UPDATE OR DELETE ON label
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_label();
