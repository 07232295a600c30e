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
