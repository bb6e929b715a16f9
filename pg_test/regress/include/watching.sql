-- For tests of capture: live queries on whole tables, and who was told of a write. The test sets :owner, and fills
-- `watched` in the order in which `hit` is to name them; what is not a table is skipped.
CREATE TEMPORARY TABLE seen AS SELECT :owner::bigint AS owner, 0::bigint AS n, 1::bigint AS generation;
CREATE TEMPORARY TABLE watched (relation text, sub serial);

-- Attaches; the worker may have to be started first.
CREATE FUNCTION attach() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    boot bigint;
BEGIN
    FOR i IN 1..3000 LOOP
        boot := live.attach(owner) FROM seen;
        EXIT WHEN boot > 0;
        PERFORM pg_sleep(0.02);
    END LOOP;
    RETURN boot;
END $$;

-- Waits until the worker has worked off all that was published; with MODE=wal, also for the decoder that a first write
-- has started, and that may be busy with a large transaction: without its rows more is told.
CREATE PROCEDURE settle() LANGUAGE plpgsql AS $$
DECLARE
    status json;
BEGIN
    FOR i IN 1..6000 LOOP
        status := live.status();
        EXIT WHEN (status->'log'->>'lag_bytes')::bigint = 0 AND (status->>'unresolved')::int = 0
            AND (current_setting('pg_live.capture') <> 'wal' OR NOT (status->'decoder'->>'wanted')::boolean
                OR (status->'decoder'->>'lag_bytes')::bigint < 65536);
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;

-- One live query per table that there is, at a new generation.
CREATE PROCEDURE watch() LANGUAGE plpgsql AS $$
BEGIN
    CALL settle();
    UPDATE seen SET generation = generation + 1;
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
    PERFORM live.watch(owner, sub, generation, ARRAY[to_regclass(relation)])
    FROM seen, watched WHERE to_regclass(relation) IS NOT NULL;
    COMMIT;
END $$;

-- Who was told since then.
CREATE FUNCTION hit(boot bigint) RETURNS TABLE (relations text) LANGUAGE plpgsql AS $$
BEGIN
    CALL settle();
    CREATE TEMPORARY TABLE got ON COMMIT DROP AS
        SELECT next.* FROM seen, live.next(seen.owner, hit.boot, seen.n) AS next;
    UPDATE seen SET n = GREATEST(seen.n, (SELECT max(got.n) FROM got));
    RETURN QUERY SELECT string_agg(w.relation, ' ' ORDER BY w.sub)
        FROM got JOIN seen ON got.generation = seen.generation JOIN watched AS w ON w.sub = got.sub;
    DROP TABLE got;
END $$;
