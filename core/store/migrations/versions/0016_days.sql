-- `trend_rolled` by the day (UTC): at any moment what its hours of that day add up to, whoever changes them. `hours`: of
-- how many rows.
CREATE TABLE trend_rolled_day (
    kind text NOT NULL,
    day timestamptz NOT NULL,
    name text NOT NULL,
    hours integer NOT NULL,
    negative integer NOT NULL,
    neutral integer NOT NULL,
    positive integer NOT NULL,
    negative_stories integer NOT NULL,
    neutral_stories integer NOT NULL,
    positive_stories integer NOT NULL,
    PRIMARY KEY (kind, day, name)
);

CREATE FUNCTION add_up_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trend_rolled_day AS t (kind, day, name, hours, negative, neutral, positive, negative_stories,
                                       neutral_stories, positive_stories)
    SELECT kind, date_trunc('day', hour, 'UTC'), name, sign * count(*), sign * sum(negative), sign * sum(neutral),
           sign * sum(positive), sign * sum(negative_stories), sign * sum(neutral_stories), sign * sum(positive_stories)
    FROM changed, (SELECT CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END AS sign) AS direction
    GROUP BY 1, 2, 3, sign
    ON CONFLICT (kind, day, name) DO UPDATE
    SET hours = t.hours + excluded.hours,
        negative = t.negative + excluded.negative,
        neutral = t.neutral + excluded.neutral,
        positive = t.positive + excluded.positive,
        negative_stories = t.negative_stories + excluded.negative_stories,
        neutral_stories = t.neutral_stories + excluded.neutral_stories,
        positive_stories = t.positive_stories + excluded.positive_stories;
    IF TG_OP = 'DELETE' THEN
        DELETE FROM trend_rolled_day
        WHERE hours = 0 AND (kind, day) IN (SELECT DISTINCT kind, date_trunc('day', hour, 'UTC') FROM changed);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER trend_rolled_added AFTER INSERT ON trend_rolled
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION add_up_days();
CREATE TRIGGER trend_rolled_taken_away AFTER DELETE ON trend_rolled
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION add_up_days();

INSERT INTO trend_rolled_day
SELECT kind, date_trunc('day', hour, 'UTC'), name, count(*), sum(negative), sum(neutral), sum(positive),
       sum(negative_stories), sum(neutral_stories), sum(positive_stories)
FROM trend_rolled
GROUP BY 1, 2, 3;

-- As before, but for minutes, which are added up by the hour: a row of each table for a series and hour.
CREATE OR REPLACE FUNCTION trend_hours(wanted_kind text, wanted_names text[], since timestamptz, until timestamptz)
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
    SELECT recent.name, date_trunc('hour', recent.minute, 'UTC'), sum(recent.negative)::integer,
           sum(recent.neutral)::integer, sum(recent.positive)::integer, sum(recent.negative_stories)::integer,
           sum(recent.neutral_stories)::integer, sum(recent.positive_stories)::integer
    FROM trend AS recent
    WHERE recent.kind = wanted_kind AND (wanted_names IS NULL OR recent.name = ANY(wanted_names))
      AND recent.minute >= greatest(since, (SELECT rolled_until FROM trend_rolling)) AND recent.minute < until
    GROUP BY 1, 2
    UNION ALL
    SELECT late.name, date_trunc('hour', late.minute, 'UTC'), sum(late.negative)::integer,
           sum(late.neutral)::integer, sum(late.positive)::integer, sum(late.negative_stories)::integer,
           sum(late.neutral_stories)::integer, sum(late.positive_stories)::integer
    FROM trend AS late
    WHERE late.kind = wanted_kind AND (wanted_names IS NULL OR late.name = ANY(wanted_names))
      AND late.minute >= since
      AND late.minute < least(until, (SELECT coalesce(max(merged_until), '-infinity') FROM trend_rollup),
                              (SELECT rolled_until FROM trend_rolling))
    GROUP BY 1, 2
    UNION ALL
    SELECT changed.name, marked.hour, sum(changed.negative)::integer,
           sum(changed.neutral)::integer, sum(changed.positive)::integer, sum(changed.negative_stories)::integer,
           sum(changed.neutral_stories)::integer, sum(changed.positive_stories)::integer
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
               neutral_stories bigint, positive_stories bigint)
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
           sum(part.negative_stories)::bigint, sum(part.neutral_stories)::bigint, sum(part.positive_stories)::bigint
    FROM (
        SELECT name, negative, neutral, positive, negative_stories, neutral_stories, positive_stories
        FROM trend_rolled_day
        WHERE kind = wanted_kind AND (wanted_names IS NULL OR name = ANY(wanted_names))
          AND day >= first AND day < last AND day <> ALL(unrolled)
        UNION ALL
        SELECT name, negative, neutral, positive, negative_stories, neutral_stories, positive_stories
        FROM trend_hour
        WHERE kind = wanted_kind AND (wanted_names IS NULL OR name = ANY(wanted_names))
          AND hour >= first AND hour < last AND date_trunc('day', hour, 'UTC') <> ALL(unrolled)
        UNION ALL
        SELECT name, negative, neutral, positive, negative_stories, neutral_stories, positive_stories
        FROM trend_hours(wanted_kind, wanted_names, since, first)
        UNION ALL
        SELECT name, negative, neutral, positive, negative_stories, neutral_stories, positive_stories
        FROM trend_hours(wanted_kind, wanted_names, last, until)
        UNION ALL
        SELECT name, negative, neutral, positive, negative_stories, neutral_stories, positive_stories
        FROM unnest(unrolled) AS changed (day),
             LATERAL trend_hours(wanted_kind, wanted_names, changed.day, changed.day + interval '24 hours')
    ) AS part
    GROUP BY part.name;
END $$;
