-- Makes the partition of one day, with the rights of whoever owns the schema: a worker whose role may only write rows
-- can begin a day, and nothing else of the schema.
CREATE FUNCTION make_message_partition(day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    name text := 'message_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass(name) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE message INCLUDING ALL)', name);
        EXECUTE format('ALTER TABLE message ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, day, day + 1);
    END IF;
END $$;

REVOKE ALL ON FUNCTION make_message_partition(date) FROM PUBLIC;

-- The names in its body mean this schema's tables, whatever the caller's path or temporary tables are.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION make_message_partition(date) SET search_path = %I, pg_temp', current_schema());
END $$;
