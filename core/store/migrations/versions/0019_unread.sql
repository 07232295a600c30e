-- A message in a language that no live model reads has no labels. It is stored, linked to companies and counted: as a
-- message of `unread`, and its story, where such a message leads it, as one of `unread_stories`.
ALTER TABLE message
    ALTER COLUMN sentiment DROP NOT NULL,
    ALTER COLUMN sentiment_scores DROP NOT NULL,
    ALTER COLUMN topic DROP NOT NULL,
    ALTER COLUMN topic_scores DROP NOT NULL,
    ALTER COLUMN model DROP NOT NULL;

ALTER TABLE trend
    ADD COLUMN unread integer NOT NULL DEFAULT 0, ADD COLUMN unread_stories integer NOT NULL DEFAULT 0;
ALTER TABLE trend_hour
    ADD COLUMN unread integer NOT NULL DEFAULT 0, ADD COLUMN unread_stories integer NOT NULL DEFAULT 0;
ALTER TABLE trend_rolled
    ADD COLUMN unread integer NOT NULL DEFAULT 0, ADD COLUMN unread_stories integer NOT NULL DEFAULT 0;
ALTER TABLE trend_rolled_day
    ADD COLUMN unread integer NOT NULL DEFAULT 0, ADD COLUMN unread_stories integer NOT NULL DEFAULT 0;

CREATE OR REPLACE VIEW trend_history AS
SELECT kind, name, minute, negative, neutral, positive, negative_stories, neutral_stories, positive_stories,
       p_negative, p_neutral, p_positive, unread, unread_stories
FROM trend
UNION ALL
SELECT kind, name, hour, negative, neutral, positive, negative_stories, neutral_stories, positive_stories,
       p_negative, p_neutral, p_positive, unread, unread_stories
FROM trend_hour;

DROP INDEX trend_rolled_hour;
CREATE INDEX trend_rolled_hour ON trend_rolled (kind, hour)
    INCLUDE (name, negative, neutral, positive, negative_stories, neutral_stories, positive_stories, unread,
             unread_stories);

CREATE OR REPLACE FUNCTION add_up_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trend_rolled_day AS t (kind, day, name, hours, negative, neutral, positive, negative_stories,
                                       neutral_stories, positive_stories, unread, unread_stories)
    SELECT kind, date_trunc('day', hour, 'UTC'), name, sign * count(*), sign * sum(negative), sign * sum(neutral),
           sign * sum(positive), sign * sum(negative_stories), sign * sum(neutral_stories),
           sign * sum(positive_stories), sign * sum(unread), sign * sum(unread_stories)
    FROM changed, (SELECT CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END AS sign) AS direction
    GROUP BY 1, 2, 3, sign
    ON CONFLICT (kind, day, name) DO UPDATE
    SET hours = t.hours + excluded.hours,
        negative = t.negative + excluded.negative,
        neutral = t.neutral + excluded.neutral,
        positive = t.positive + excluded.positive,
        negative_stories = t.negative_stories + excluded.negative_stories,
        neutral_stories = t.neutral_stories + excluded.neutral_stories,
        positive_stories = t.positive_stories + excluded.positive_stories,
        unread = t.unread + excluded.unread,
        unread_stories = t.unread_stories + excluded.unread_stories;
    IF TG_OP = 'DELETE' THEN
        DELETE FROM trend_rolled_day
        WHERE hours = 0 AND (kind, day) IN (SELECT DISTINCT kind, date_trunc('day', hour, 'UTC') FROM changed);
    END IF;
    RETURN NULL;
END $$;

-- The functions of before, with both counters.
DROP FUNCTION trend_totals(text, text[], timestamptz, timestamptz);
DROP FUNCTION trend_hours(text, text[], timestamptz, timestamptz);
CREATE FUNCTION trend_hours(wanted_kind text, wanted_names text[], since timestamptz, until timestamptz)
RETURNS TABLE (name text, hour timestamptz, negative integer, neutral integer, positive integer,
               negative_stories integer, neutral_stories integer, positive_stories integer, unread integer, unread_stories integer)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT merged.name, merged.hour, merged.negative, merged.neutral, merged.positive,
           merged.negative_stories, merged.neutral_stories, merged.positive_stories, merged.unread, merged.unread_stories
    FROM trend_hour AS merged
    WHERE merged.kind = wanted_kind AND (wanted_names IS NULL OR merged.name = ANY(wanted_names))
      AND merged.hour >= since AND merged.hour < until
    UNION ALL
    SELECT rolled.name, rolled.hour, rolled.negative, rolled.neutral, rolled.positive,
           rolled.negative_stories, rolled.neutral_stories, rolled.positive_stories, rolled.unread, rolled.unread_stories
    FROM trend_rolled AS rolled
    WHERE rolled.kind = wanted_kind AND (wanted_names IS NULL OR rolled.name = ANY(wanted_names))
      AND rolled.hour >= greatest(since, (SELECT merged_until FROM trend_rollup))
      AND rolled.hour < least(until, (SELECT rolled_until FROM trend_rolling))
      AND NOT EXISTS (SELECT FROM trend_unrolled WHERE trend_unrolled.hour = rolled.hour)
    UNION ALL
    SELECT recent.name, date_trunc('hour', recent.minute, 'UTC'), sum(recent.negative)::integer,
           sum(recent.neutral)::integer, sum(recent.positive)::integer, sum(recent.negative_stories)::integer,
           sum(recent.neutral_stories)::integer, sum(recent.positive_stories)::integer,
           sum(recent.unread)::integer, sum(recent.unread_stories)::integer
    FROM trend AS recent
    WHERE recent.kind = wanted_kind AND (wanted_names IS NULL OR recent.name = ANY(wanted_names))
      AND recent.minute >= greatest(since, (SELECT rolled_until FROM trend_rolling)) AND recent.minute < until
    GROUP BY 1, 2
    UNION ALL
    SELECT late.name, date_trunc('hour', late.minute, 'UTC'), sum(late.negative)::integer,
           sum(late.neutral)::integer, sum(late.positive)::integer, sum(late.negative_stories)::integer,
           sum(late.neutral_stories)::integer, sum(late.positive_stories)::integer,
           sum(late.unread)::integer, sum(late.unread_stories)::integer
    FROM trend AS late
    WHERE late.kind = wanted_kind AND (wanted_names IS NULL OR late.name = ANY(wanted_names))
      AND late.minute >= since
      AND late.minute < least(until, (SELECT coalesce(max(merged_until), '-infinity') FROM trend_rollup),
                              (SELECT rolled_until FROM trend_rolling))
    GROUP BY 1, 2
    UNION ALL
    SELECT changed.name, marked.hour, sum(changed.negative)::integer,
           sum(changed.neutral)::integer, sum(changed.positive)::integer, sum(changed.negative_stories)::integer,
           sum(changed.neutral_stories)::integer, sum(changed.positive_stories)::integer,
           sum(changed.unread)::integer, sum(changed.unread_stories)::integer
    FROM (SELECT DISTINCT trend_unrolled.hour FROM trend_unrolled
          WHERE trend_unrolled.hour >= greatest(since, (SELECT merged_until FROM trend_rollup))
            AND trend_unrolled.hour < least(until, (SELECT rolled_until FROM trend_rolling))) AS marked
    CROSS JOIN LATERAL (
        SELECT * FROM trend
        WHERE trend.minute >= marked.hour AND trend.minute < marked.hour + interval '1 hour'
          AND trend.kind = wanted_kind AND (wanted_names IS NULL OR trend.name = ANY(wanted_names))
        OFFSET 0  -- hour by hour: there are few of them
    ) AS changed
    GROUP BY 1, 2
$$;

-- What the rows of `trend_hours` add up to, by series. Days that are rolled up as a whole are read by the day. A stable
-- function: all its queries see what the query sees that calls it.
CREATE FUNCTION trend_totals(wanted_kind text, wanted_names text[], since timestamptz, until timestamptz)
RETURNS TABLE (name text, negative bigint, neutral bigint, positive bigint, negative_stories bigint,
               neutral_stories bigint, positive_stories bigint, unread bigint, unread_stories bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    almost_a_day CONSTANT interval := interval '24 hours' - interval '1 microsecond';
    first timestamptz := least(until, greatest(
        date_trunc('day', since + almost_a_day, 'UTC'),
        (SELECT date_trunc('day', merged_until + almost_a_day, 'UTC') FROM trend_rollup)));
    last timestamptz := greatest(first, least(
        date_trunc('day', until, 'UTC'), (SELECT date_trunc('day', rolled_until, 'UTC') FROM trend_rolling)));
    unrolled timestamptz[] := ARRAY(
        SELECT DISTINCT date_trunc('day', hour, 'UTC') FROM trend_unrolled WHERE hour >= first AND hour < last);
BEGIN
    RETURN QUERY
    SELECT part.name, sum(part.negative)::bigint, sum(part.neutral)::bigint, sum(part.positive)::bigint,
           sum(part.negative_stories)::bigint, sum(part.neutral_stories)::bigint, sum(part.positive_stories)::bigint,
           sum(part.unread)::bigint, sum(part.unread_stories)::bigint
    FROM (
        SELECT name, negative, neutral, positive, negative_stories, neutral_stories, positive_stories, unread,
               unread_stories
        FROM trend_rolled_day
        WHERE kind = wanted_kind AND (wanted_names IS NULL OR name = ANY(wanted_names))
          AND day >= first AND day < last AND day <> ALL(unrolled)
        UNION ALL
        SELECT name, negative, neutral, positive, negative_stories, neutral_stories, positive_stories, unread,
               unread_stories
        FROM trend_hour
        WHERE kind = wanted_kind AND (wanted_names IS NULL OR name = ANY(wanted_names))
          AND hour >= first AND hour < last AND date_trunc('day', hour, 'UTC') <> ALL(unrolled)
        UNION ALL
        SELECT name, negative, neutral, positive, negative_stories, neutral_stories, positive_stories, unread,
               unread_stories
        FROM trend_hours(wanted_kind, wanted_names, since, first)
        UNION ALL
        SELECT name, negative, neutral, positive, negative_stories, neutral_stories, positive_stories, unread,
               unread_stories
        FROM trend_hours(wanted_kind, wanted_names, last, until)
        UNION ALL
        SELECT name, negative, neutral, positive, negative_stories, neutral_stories, positive_stories, unread,
               unread_stories
        FROM unnest(unrolled) AS changed (day),
             LATERAL trend_hours(wanted_kind, wanted_names, changed.day, changed.day + interval '24 hours')
    ) AS part
    GROUP BY part.name;
END $$;

-- As before, but for messages without a topic. What it gives for all others is the same, so the index stays.
CREATE OR REPLACE FUNCTION search_words(title text, body text, topic text, source text, entities text[])
RETURNS tsvector LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 10000 AS $$  -- dear, so look it up
DECLARE
    no_spaces CONSTANT text :=
        '[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+';
    whole text := left(translate(title || ' ' || body, '<>', '  '), 4000);  -- what looks like a tag is text too
    found text[] := array_remove(ARRAY['topic=' || topic, 'source=' || source], NULL);
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

-- One live model for each language: the first that its manifest names is the one it is for. Older manifests name none;
-- those models read English.
DROP INDEX model_one_live;
CREATE UNIQUE INDEX model_one_live ON model ((coalesce(manifest -> 'languages' ->> 0, 'en'))) WHERE state = 'live';
