-- Writes that come late, are rolled back, are many, and results over tables that are not captured.
\pset footer off
SET client_min_messages = warning;
CREATE SCHEMA capture_late;
SET search_path = capture_late, public;
SELECT live.prepare_connection();
\set owner 12
\getenv source PG_ABS_SRCDIR
\set include :source '/include/watching.sql'
\set ECHO none
\i :include
\set ECHO all

CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE log (n serial, what text);
SELECT live.capture_table(relation) FROM unnest('{t,log}'::regclass[]) AS relation;
INSERT INTO watched (relation) VALUES ('t'), ('log');
SELECT attach() AS boot \gset
\echo -- deferred constraint triggers write while the transaction commits
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO capture_late.log (what) VALUES (tg_op);
    RETURN NULL;
END $$;
CREATE TABLE source (id int);
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON source DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
CALL watch();
BEGIN;
INSERT INTO source VALUES (1);
SELECT count(*) AS not_yet FROM log;
COMMIT;
SELECT * FROM hit(:boot);
CALL watch();
BEGIN;
INSERT INTO source VALUES (2);
PREPARE TRANSACTION 'capture_late';
COMMIT PREPARED 'capture_late';
SELECT * FROM hit(:boot);

\echo -- so do cursors that outlive their transaction
CREATE FUNCTION write(word text) RETURNS int LANGUAGE sql VOLATILE AS $$
    INSERT INTO capture_late.log (what) VALUES (word) RETURNING n
$$;
CALL watch();
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT write('held') FROM generate_series(1, 3);
SELECT count(*) AS not_yet FROM log WHERE what = 'held';
COMMIT;
SELECT count(*) AS by_now FROM log WHERE what = 'held';
SELECT * FROM hit(:boot);
CLOSE held;

\echo -- a transaction whose only writes were rolled back
CALL watch();
BEGIN;
SAVEPOINT a;
INSERT INTO t VALUES (1, 'a');
ROLLBACK TO a;
COMMIT;
SELECT count(*) FROM t;
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
INSERT INTO t VALUES (1, 'a');
RELEASE b;
ROLLBACK TO a;
SAVEPOINT c;
INSERT INTO log (what) VALUES ('kept');
RELEASE c;
COMMIT;
SELECT relations LIKE '%log' AS has_log FROM hit(:boot);

\echo -- an aborted subtransaction''s parent is not dropped with it
CALL watch();
BEGIN;
INSERT INTO t VALUES (2, 'b');
SAVEPOINT a;
INSERT INTO t VALUES (2, 'twice');
ROLLBACK TO a;
COMMIT;
SELECT * FROM hit(:boot);
CALL watch();
DO $$
BEGIN
    INSERT INTO capture_late.t VALUES (3, 'c');
    BEGIN
        INSERT INTO capture_late.log (what) VALUES ('gone');
        RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN
        NULL;
    END;
END $$;
SELECT relations LIKE 't%' AS has_t FROM hit(:boot);

\echo -- DISABLE TRIGGER ALL, ENABLE TRIGGER ALL, and a write in replica role, in one transaction
CALL watch();
BEGIN;
ALTER TABLE t DISABLE TRIGGER ALL;
ALTER TABLE t ENABLE TRIGGER ALL;
SET LOCAL session_replication_role = replica;
UPDATE t SET v = 'r';
COMMIT;
SELECT * FROM hit(:boot);

\echo -- without the event trigger that write would be missed: this test would notice
ALTER EVENT TRIGGER pg_live_ddl DISABLE;
CALL watch();
BEGIN;
ALTER TABLE t DISABLE TRIGGER ALL;
ALTER TABLE t ENABLE TRIGGER ALL;
SET LOCAL session_replication_role = replica;
UPDATE t SET v = 's';
COMMIT;
SELECT * FROM hit(:boot);
ALTER EVENT TRIGGER pg_live_ddl ENABLE ALWAYS;
SELECT relation::text, state FROM live.captured WHERE relation = 't'::regclass;
SELECT live.capture_table('t');

\echo -- a million rows: the transition tables are not read, and memory is bounded
CREATE FUNCTION resident_kb() RETURNS int LANGUAGE sql AS $$
    SELECT substring(pg_read_file('/proc/self/status') FROM 'VmRSS:\s+(\d+)')::int - substring(pg_read_file('/proc/self/status') FROM 'RssShmem:\s+(\d+)')::int
$$;
-- fires last, while there are transition tables
CREATE FUNCTION sample() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('capture_late.peak', capture_late.resident_kb()::text, false);
    RETURN NULL;
END $$;
CREATE TRIGGER zz AFTER INSERT OR UPDATE ON log FOR EACH STATEMENT EXECUTE FUNCTION sample();
INSERT INTO log (what) SELECT 'warm' FROM generate_series(1, 1000);
SELECT current_setting('capture_late.peak') AS before \gset
CALL watch();
BEGIN;
INSERT INTO log (what) SELECT 'many' FROM generate_series(1, 1000000);
UPDATE log SET what = 'more';
COMMIT;
SELECT * FROM hit(:boot);
SELECT current_setting('capture_late.peak')::int - :before < 64 * 1024 AS bounded;
DROP TABLE source;

\echo -- R18: a table that is not captured is not watched, gets its triggers, and is then
CREATE TABLE fresh (id int) PARTITION BY LIST (id);
CREATE TABLE fresh_1 PARTITION OF fresh FOR VALUES IN (1);
CALL settle();
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT registered, not_live FROM live.watch(12, 5, 1, '{fresh}');
COMMIT;
CREATE PROCEDURE captured(wanted regclass) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..6000 LOOP
        EXIT WHEN EXISTS (SELECT FROM live.captured WHERE relation = wanted AND complete);
        COMMIT;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
CALL captured('fresh');
SELECT relation, complete FROM live.captured WHERE relation IN ('fresh'::regclass, 'fresh_1'::regclass) ORDER BY 1;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT registered, not_live FROM live.watch(12, 5, 2, '{fresh}');
COMMIT;
INSERT INTO fresh VALUES (1);
CALL settle();
SELECT next.generation FROM seen, live.next(12, :boot, seen.n) AS next WHERE next.sub = 5;
-- It is taken from the list after the triggers are there.
DO $$ BEGIN
    FOR i IN 1..6000 LOOP
        EXIT WHEN live.status()->'captured'->>'wanted_oids' = '[]';
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
SELECT live.status()->'captured'->>'wanted_oids' AS waiting;

\echo -- what can never be captured, and why
CREATE TEMPORARY TABLE mine (id int);
CREATE VIEW looked_at AS SELECT 1 AS one;
CREATE SEQUENCE counted;
CREATE EXTENSION IF NOT EXISTS file_fdw SCHEMA capture_late;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE outside (line text) SERVER files OPTIONS (filename '/dev/null');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT relation, registered, not_live
FROM unnest('{mine,looked_at,counted,outside,pg_catalog.pg_class,pg_catalog.pg_largeobject}'::regclass[]) WITH ORDINALITY AS r (relation, n),
    live.watch(12, 100 + n, 1, ARRAY[relation]);
COMMIT;
SELECT live.capture_table('outside');

SET client_min_messages = warning;
DROP SCHEMA capture_late CASCADE;
