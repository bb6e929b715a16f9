-- Every kind of write to a captured table is published and matched, and nothing else is.
\pset footer off
SET client_min_messages = warning;
CREATE SCHEMA capture_writes;
SET search_path = capture_writes, public;
SELECT live.prepare_connection();
\set owner 10
\getenv source PG_ABS_SRCDIR
\set include :source '/include/watching.sql'
\set ECHO none
\i :include
\set ECHO all

CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE detail (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE ON UPDATE SET NULL);
CREATE TABLE tree (id int, k int) PARTITION BY LIST (k);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES IN (1);
CREATE TABLE tree_2 PARTITION OF tree FOR VALUES IN (2);
CREATE TABLE parent (id int);
CREATE TABLE child () INHERITS (parent);
CREATE TABLE free (id int);
SELECT live.capture_table(relation) FROM unnest('{t,detail,tree,parent}'::regclass[]) AS relation;

INSERT INTO watched (relation) VALUES ('t'), ('detail'), ('tree'), ('tree_1'), ('parent'), ('child');
SELECT attach() AS boot \gset
SELECT :boot > 0 AS attached;

CALL watch();
INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd');
SELECT * FROM hit(:boot);
\echo -- nothing is watched any more: a second write is silent
INSERT INTO t VALUES (5, 'e');
SELECT * FROM hit(:boot);

CALL watch();
UPDATE t SET v = 'x' WHERE id = 1;
SELECT * FROM hit(:boot);
CALL watch();
DELETE FROM t WHERE id = 5;
SELECT * FROM hit(:boot);

\echo -- an update that changes nothing, and statements without rows, are silent
CALL watch();
UPDATE t SET v = v;
UPDATE t SET v = 'y' WHERE false;
DELETE FROM t WHERE id = 99;
INSERT INTO t SELECT 1, 'a' WHERE false;
SELECT * FROM hit(:boot);

\echo -- COPY
COPY t FROM stdin;
6	f
\.
SELECT * FROM hit(:boot);

\echo -- ON CONFLICT, MERGE, a CTE that writes
CALL watch();
INSERT INTO t VALUES (6, 'g') ON CONFLICT (id) DO UPDATE SET v = excluded.v;
SELECT * FROM hit(:boot);
CALL watch();
MERGE INTO t USING (VALUES (6)) AS s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = 'h';
SELECT * FROM hit(:boot);
CALL watch();
WITH gone AS (DELETE FROM t WHERE id = 6 RETURNING id) SELECT count(*) FROM gone;
SELECT * FROM hit(:boot);

\echo -- foreign keys: detail changes by cascade
INSERT INTO detail VALUES (1, 1), (2, 2);
CALL watch();
DELETE FROM t WHERE id = 1;
SELECT * FROM hit(:boot);
CALL watch();
UPDATE t SET id = 20 WHERE id = 2;
SELECT * FROM hit(:boot);

\echo -- a view
CREATE VIEW shown AS SELECT * FROM t;
CALL watch();
UPDATE shown SET v = 'z' WHERE id = 3;
SELECT * FROM hit(:boot);

\echo -- partitions: through the root, directly, and a row that moves
CALL watch();
INSERT INTO tree VALUES (1, 2);
SELECT * FROM hit(:boot);
CALL watch();
INSERT INTO tree_1 VALUES (2, 1);
SELECT * FROM hit(:boot);
CALL watch();
UPDATE tree SET k = 1 WHERE k = 2;
SELECT * FROM hit(:boot);

\echo -- a partition directly, then another one through the root
CALL watch();
BEGIN;
INSERT INTO tree_2 VALUES (3, 2);
INSERT INTO tree VALUES (4, 1);
COMMIT;
SELECT * FROM hit(:boot);

\echo -- inheritance
CALL watch();
INSERT INTO child VALUES (1);
SELECT * FROM hit(:boot);
CALL watch();
UPDATE parent SET id = id + 1;
SELECT * FROM hit(:boot);

\echo -- TRUNCATE, with CASCADE
CALL watch();
TRUNCATE t CASCADE;
SELECT * FROM hit(:boot);

\echo -- DDL
CALL watch();
ALTER TABLE detail ADD COLUMN more int;
SELECT * FROM hit(:boot);
CALL watch();
DROP TABLE detail;
SELECT * FROM hit(:boot);
CALL watch();
CREATE POLICY p ON t USING (true);
SELECT * FROM hit(:boot);
CALL watch();
DROP POLICY p ON t;
SELECT * FROM hit(:boot);
\echo -- a table that inherits no longer takes rows away from its parent
CALL watch();
ALTER TABLE child NO INHERIT parent;
SELECT * FROM hit(:boot);
CALL watch();
ALTER TABLE tree DETACH PARTITION tree_1;
SELECT * FROM hit(:boot);
ALTER TABLE tree ATTACH PARTITION tree_1 FOR VALUES IN (1);
CALL watch();
DROP TABLE tree_1;
SELECT * FROM hit(:boot);

\echo -- a transaction that is rolled back
CALL watch();
BEGIN;
INSERT INTO t VALUES (7, 'h');
ROLLBACK;
SELECT * FROM hit(:boot);
\echo -- savepoints: what was rolled back may widen, what was kept is there
BEGIN;
SAVEPOINT a;
INSERT INTO t VALUES (8, 'i');
ROLLBACK TO a;
INSERT INTO tree_2 VALUES (8, 2);
COMMIT;
SELECT relations ~ 'tree$' AS kept FROM hit(:boot);
CALL watch();
BEGIN;
SAVEPOINT a;
INSERT INTO t VALUES (8, 'i');
RELEASE a;
COMMIT;
SELECT * FROM hit(:boot);

\echo -- two-phase commit: nothing until it commits
CALL watch();
BEGIN;
INSERT INTO t VALUES (9, 'j');
PREPARE TRANSACTION 'capture_writes';
SELECT pg_sleep(0.2);
SELECT count(*) FROM live.next(10, :boot, (SELECT n FROM seen));
SELECT (live.status()->>'unresolved')::int AS unresolved;
COMMIT PREPARED 'capture_writes';
SELECT * FROM hit(:boot);
CALL watch();
BEGIN;
INSERT INTO t VALUES (10, 'k');
PREPARE TRANSACTION 'capture_writes';
ROLLBACK PREPARED 'capture_writes';
SELECT * FROM hit(:boot);

\echo -- replica role fires the row triggers only
CALL watch();
SET session_replication_role = replica;
INSERT INTO t VALUES (11, 'l');
RESET session_replication_role;
SELECT * FROM hit(:boot);

\echo -- more rows than are read one by one
CALL watch();
SET pg_live.max_write_keys = 10;
INSERT INTO t SELECT i, 'm' FROM generate_series(100, 200) AS i;
RESET pg_live.max_write_keys;
SELECT * FROM hit(:boot);

\echo -- a table that is not captured
INSERT INTO free VALUES (1);
SELECT * FROM hit(:boot);

\echo -- unregistered
CALL watch();
SELECT live.unregister(10, '{1}');
INSERT INTO t VALUES (12, 'n');
SELECT * FROM hit(:boot);

\echo -- the same owner again: its batches count from 1
SELECT attach() = :boot AS same;
SELECT count(*) FROM live.next(10, :boot, 0);

\echo -- gaps
\set VERBOSITY sqlstate
SELECT * FROM live.next(10, :boot + 1, 0);
SELECT * FROM live.next(10, :boot, 5);
\set VERBOSITY default

\echo -- registrations need a fixed snapshot
SELECT * FROM live.watch(10, 1, 1000, '{t}');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT live.prepare_connection();
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;
SELECT registered FROM live.watch(10, 1, 1000, '{t}');
COMMIT;

\echo -- what an owner registered goes with its session
CALL settle();
SELECT (live.status()->>'live_queries')::int > 0 AS some;
\c -
SET search_path = capture_writes, public;
-- the other session may need a moment to end
CREATE PROCEDURE vanish() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..6000 LOOP
        EXIT WHEN (live.status()->>'live_queries')::int = 0;
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
CALL vanish();
SELECT (live.status()->>'live_queries')::int AS live_queries;

SET client_min_messages = warning;
DROP SCHEMA capture_writes CASCADE;
