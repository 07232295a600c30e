-- What a label is of: the text where `entity` is empty, as all labels of before are, else what the text says of that
-- company.
ALTER TABLE label ADD COLUMN entity text NOT NULL DEFAULT '';

-- The latest word of each analyst on a text, or on a company in it, and the latest verdict.
CREATE OR REPLACE VIEW label_word AS
SELECT DISTINCT ON (story, task, entity, text, final, CASE WHEN NOT final THEN analyst END)
       id, uid, text, source, task, label, analyst, labelled_at, final, step, story, entity
FROM label
ORDER BY story, task, entity, text, final, CASE WHEN NOT final THEN analyst END, id DESC;
