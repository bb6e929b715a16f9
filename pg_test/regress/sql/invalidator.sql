-- The worker as an operator sees it: owners, the bound of memory, what is refused and why; and databases that are
-- dropped although it is in them.

CREATE TABLE watched (id int);
SELECT live.capture_table('watched');

CREATE FUNCTION attach_now(owner bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..6000 LOOP
        IF live.attach(owner) > 0 THEN
            RETURN true;
        END IF;
        PERFORM pg_sleep(0.02);
    END LOOP;
    RETURN false;
END $$;

-- Waits until a figure of live.status() is as expected.
CREATE FUNCTION becomes(path text[], expected text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..6000 LOOP
        IF live.status() #>> path = expected THEN
            RETURN true;
        END IF;
        PERFORM pg_sleep(0.02);
    END LOOP;
    RAISE NOTICE '% is %', path, live.status() #>> path;
    RETURN false;
END $$;

CREATE TEMPORARY TABLE counted AS SELECT * FROM live.stats;
CREATE FUNCTION grown(counter text) RETURNS bigint LANGUAGE sql AS $$
    SELECT s.value - c.value FROM live.stats AS s JOIN counted AS c USING (name) WHERE s.name = counter
$$;

SELECT live.prepare_connection();
SELECT attach_now(501);

-- Only for owners that are attached.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT registered FROM live.watch(502, 1, 1, '{watched}');
SELECT registered FROM live.watch(501, 1, 1, '{watched}');
COMMIT;
SELECT grown('registrations_refused_no_owner');
SELECT becomes('{live_queries}', '1'), becomes('{entries,tables}', '1');
SELECT (live.status()->'owners'->'501'->>'pid')::int = pg_backend_pid() AS own,
    live.status()->'owners'->'502' IS NULL AS other_not;

-- The bound of memory.
SELECT live.status()->>'refusing' AS refusing;
ALTER SYSTEM SET pg_live.max_read_set_memory = '64kB';
SELECT pg_reload_conf();
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT count(*) FILTER (WHERE registered) > 100 AS many
    FROM generate_series(2, 200) AS sub, live.watch(501, sub, 1, '{watched}');
COMMIT;
SELECT becomes('{refusing}', 'true');
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT registered FROM live.watch(501, 1000, 1, '{watched}');
COMMIT;
SELECT grown('registrations_refused_memory_full') > 0 AS counted;
-- Nothing that was taken is dropped.
INSERT INTO watched VALUES (1);
SELECT becomes('{live_queries}', '0'), becomes('{refusing}', 'false');
SELECT count(*) > 100 AS told FROM live.clock() AS clock, live.next(501, clock.boot, 0);
ALTER SYSTEM RESET pg_live.max_read_set_memory;
SELECT pg_reload_conf();

-- What a relay has fetched is not kept.
SELECT (live.status()->'owners'->'501'->>'batches_not_fetched')::int > 0 AS waiting;
SELECT count(*) FROM live.clock() AS clock,
    live.next(501, clock.boot, (live.status()->'owners'->'501'->>'batches')::bigint);
SELECT live.status()->'owners'->'501'->>'batches_not_fetched' AS waiting;

-- Only the relay's role fetches.
CREATE ROLE nobody_special;
SET ROLE nobody_special;
SELECT live.next(501, 1, 0);
SELECT live.attach(503);
RESET ROLE;
DROP ROLE nobody_special;

-- A database with a worker is copied, renamed and dropped, once its relay is gone.
CREATE DATABASE with_worker ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0;
SELECT current_database() AS own \gset
\c with_worker
CREATE EXTENSION pg_live;
SELECT live.attach(1) IS NOT NULL AS asked;
\c :own
SET client_min_messages = warning;
CREATE DATABASE copy_of_it TEMPLATE with_worker;
ALTER DATABASE with_worker RENAME TO renamed;
\c renamed
SELECT live.attach(2) IS NOT NULL AS asked;
\c :own
DROP DATABASE renamed;
\c copy_of_it
SELECT live.attach(3) IS NOT NULL AS asked;
\c :own
DROP DATABASE copy_of_it WITH (FORCE);

DROP FUNCTION attach_now, becomes, grown;
DROP TABLE watched;
