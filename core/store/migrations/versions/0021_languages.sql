-- What a model is for: the language that its manifest names first. Older manifests name none; those models read English.
-- Of each language one model is live and one shadows it, at most.
ALTER TABLE model ADD COLUMN language text NOT NULL
    GENERATED ALWAYS AS (coalesce(manifest -> 'languages' ->> 0, 'en')) STORED;
DROP INDEX model_one_live, model_one_shadow;
CREATE UNIQUE INDEX model_one_live ON model (language) WHERE state = 'live';
CREATE UNIQUE INDEX model_one_shadow ON model (language) WHERE state = 'shadow';

-- A worker runs a model for each language; none (NULL) for one whose only model it can't use.
ALTER TABLE worker_model
    ADD COLUMN language text NOT NULL DEFAULT 'en',
    ALTER COLUMN model DROP NOT NULL,
    DROP CONSTRAINT worker_model_pkey,
    ADD PRIMARY KEY (worker, language);

-- A scheduled training makes a model for one language.
ALTER TABLE training_run ADD COLUMN language text NOT NULL DEFAULT 'en';
