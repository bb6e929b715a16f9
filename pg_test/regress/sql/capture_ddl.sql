-- What becomes of captured tables: every kind of definition statement, and who is told of it.
\pset footer off
SET client_min_messages = warning;
CREATE SCHEMA capture_ddl;
SET search_path = capture_ddl, public;
SELECT live.prepare_connection();
\set owner 11
\getenv source PG_ABS_SRCDIR
\set include :source '/include/watching.sql'
\set ECHO none
\i :include
\set ECHO all

CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE tree (id int, k int) PARTITION BY LIST (k);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES IN (1);
CREATE TABLE tree_2 PARTITION OF tree FOR VALUES IN (2);
CREATE TABLE parent (id int);
CREATE TABLE child () INHERITS (parent);
CREATE UNLOGGED TABLE fleeting (id int);
CREATE TABLE detail (id serial PRIMARY KEY, t int DEFAULT 7 REFERENCES t ON DELETE SET NULL ON UPDATE SET DEFAULT);
SELECT live.capture_table(relation) FROM unnest('{t,tree,parent,fleeting,detail}'::regclass[]) AS relation;
CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS n FROM t;
CREATE UNIQUE INDEX ON sums (n);

SELECT attach() AS boot \gset
SELECT :boot > 0 AS attached;
INSERT INTO watched (relation) VALUES ('t'), ('tree'), ('tree_1'), ('tree_2'), ('parent'), ('child'), ('fleeting'),
    ('detail'), ('sums'), ('late'), ('elsewhere.t');

CREATE VIEW incomplete AS SELECT relation::text, state FROM live.captured
    WHERE NOT complete AND relation IN (SELECT oid FROM pg_class WHERE relnamespace = 'capture_ddl'::regnamespace);

\echo -- foreign keys: SET NULL, SET DEFAULT
INSERT INTO t VALUES (1, 'a'), (2, 'b'), (7, 'z');
INSERT INTO detail (t) VALUES (1), (2);
CALL watch();
DELETE FROM t WHERE id = 1;
SELECT * FROM hit(:boot);
CALL watch();
UPDATE t SET id = 3 WHERE id = 2;
SELECT * FROM hit(:boot);

\echo -- a view with an INSTEAD OF trigger
CREATE VIEW shown AS SELECT id, upper(v) AS v FROM t;
CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE capture_ddl.t SET v = lower(new.v) WHERE id = new.id;
    RETURN new;
END $$;
CREATE TRIGGER instead INSTEAD OF UPDATE ON shown FOR EACH ROW EXECUTE FUNCTION instead();
CALL watch();
UPDATE shown SET v = 'NEW' WHERE id = 3;
SELECT * FROM hit(:boot);

\echo -- COPY FREEZE: older snapshots see it, too
CALL watch();
BEGIN;
TRUNCATE fleeting;
COPY fleeting FROM stdin WITH (FREEZE);
1
2
\.
COMMIT;
SELECT * FROM hit(:boot);

\echo -- MERGE that inserts, updates and deletes; INSERT ... ON CONFLICT DO NOTHING that finds one
CALL watch();
MERGE INTO t USING (VALUES (3, 'm'), (8, 'n')) AS s (id, v) ON t.id = s.id
    WHEN MATCHED AND s.v = 'x' THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v);
SELECT * FROM hit(:boot);
CALL watch();
MERGE INTO t USING (VALUES (8)) AS s (id) ON t.id = s.id WHEN MATCHED THEN DELETE;
SELECT * FROM hit(:boot);
CALL watch();
INSERT INTO t VALUES (3, 'never') ON CONFLICT DO NOTHING;
SELECT * FROM hit(:boot);

\echo -- TRUNCATE of a partition, of the root, with RESTART IDENTITY, in replica role
CALL watch();
TRUNCATE tree_1;
SELECT * FROM hit(:boot);
CALL watch();
TRUNCATE tree;
SELECT * FROM hit(:boot);
CALL watch();
TRUNCATE detail RESTART IDENTITY;
SELECT * FROM hit(:boot);
CALL watch();
SET session_replication_role = replica;
TRUNCATE parent;
RESET session_replication_role;
SELECT * FROM hit(:boot);

\echo -- replica role: update, delete, a row that moves between partitions, rows of an inherited table
INSERT INTO tree VALUES (1, 1), (2, 2);
INSERT INTO child VALUES (1);
CALL watch();
SET session_replication_role = replica;
UPDATE tree SET k = 2 WHERE k = 1;
RESET session_replication_role;
SELECT * FROM hit(:boot);
CALL watch();
SET session_replication_role = replica;
DELETE FROM child;
RESET session_replication_role;
SELECT * FROM hit(:boot);
CALL watch();
UPDATE tree SET k = 1 WHERE id = 1;
SELECT * FROM hit(:boot);

\echo -- materialized views
CALL watch();
REFRESH MATERIALIZED VIEW sums;
SELECT * FROM hit(:boot);
CALL watch();
REFRESH MATERIALIZED VIEW CONCURRENTLY sums;
SELECT * FROM hit(:boot);
CALL watch();
ALTER MATERIALIZED VIEW sums RENAME COLUMN n TO total;
SELECT * FROM hit(:boot);
CALL watch();
DROP MATERIALIZED VIEW sums;
SELECT * FROM hit(:boot);

\echo -- rewriting and other ALTER TABLE
CALL watch();
DROP VIEW shown;
ALTER TABLE t ALTER COLUMN v TYPE varchar(50);
SELECT * FROM hit(:boot);
CALL watch();
ALTER TABLE fleeting SET LOGGED;
SELECT * FROM hit(:boot);
CALL watch();
ALTER TABLE fleeting SET UNLOGGED;
SELECT * FROM hit(:boot);
SELECT * FROM incomplete;

\echo -- a column that goes with its type
CREATE DOMAIN colour AS text;
ALTER TABLE t ADD COLUMN c colour;
CALL watch();
DROP DOMAIN colour CASCADE;
SELECT * FROM hit(:boot);

\echo -- renamed, moved to another schema and back: its writes are seen
CREATE SCHEMA elsewhere;
ALTER TABLE t SET SCHEMA elsewhere;
CALL watch();
INSERT INTO elsewhere.t VALUES (20, 'x');
SELECT * FROM hit(:boot);
ALTER TABLE elsewhere.t SET SCHEMA capture_ddl;
ALTER TABLE t RENAME TO u;
ALTER TABLE u RENAME TO t;
CALL watch();
INSERT INTO t VALUES (21, 'y');
SELECT * FROM hit(:boot);

\echo -- partitions: one made, detached, detached concurrently, attached, written to meanwhile
CREATE TABLE late PARTITION OF tree FOR VALUES IN (3);
CALL watch();
INSERT INTO late VALUES (3, 3);
SELECT * FROM hit(:boot);
CALL watch();
ALTER TABLE tree DETACH PARTITION late;
SELECT * FROM hit(:boot);
CALL watch();
INSERT INTO late VALUES (4, 3);
SELECT * FROM hit(:boot);
ALTER TABLE tree ATTACH PARTITION late FOR VALUES IN (3);
CALL watch();
ALTER TABLE tree DETACH PARTITION late CONCURRENTLY;
SELECT * FROM hit(:boot);
SELECT * FROM incomplete;
CALL watch();
ALTER TABLE tree ATTACH PARTITION late FOR VALUES IN (3);
SELECT * FROM hit(:boot);
CREATE SCHEMA made CREATE TABLE inner_part (LIKE capture_ddl.tree);
CREATE TABLE made.part PARTITION OF tree FOR VALUES IN (9);
SELECT relation, complete FROM live.captured WHERE relation = 'made.part'::regclass;
SELECT count(*) FROM live.captured WHERE relation = 'made.inner_part'::regclass;

\echo -- CREATE TABLE ... LIKE INCLUDING ALL and CREATE TABLE AS make tables that are not captured
CREATE TABLE similar_table (LIKE t INCLUDING ALL);
CREATE TABLE copied AS SELECT * FROM t;
SELECT count(*) FROM live.captured WHERE relation IN ('similar_table'::regclass, 'copied'::regclass);

\echo -- inheritance taken away and given back
CALL watch();
ALTER TABLE child NO INHERIT parent;
SELECT * FROM hit(:boot);
CALL watch();
INSERT INTO child VALUES (5);
SELECT * FROM hit(:boot);
ALTER TABLE child INHERIT parent;
CALL watch();
INSERT INTO child VALUES (6);
SELECT * FROM hit(:boot);

\echo -- triggers renamed, dropped one by one, disabled as pg_restore --disable-triggers does
ALTER TRIGGER pg_live_insert ON t RENAME TO mine;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass AND tgname IN ('mine', 'pg_live_insert');
SELECT * FROM incomplete;
DROP TRIGGER pg_live_insert ON t;
SELECT * FROM incomplete;
CALL watch();
SET client_min_messages = notice;
ALTER TABLE t DISABLE TRIGGER ALL;
RESET client_min_messages;
COPY t FROM stdin;
30	restored
\.
SET client_min_messages = warning;
ALTER TABLE t ENABLE TRIGGER ALL;
SELECT * FROM hit(:boot);
SELECT * FROM incomplete;
\echo -- and enabled in the wrong state for replica role
CALL watch();
SET session_replication_role = replica;
INSERT INTO t VALUES (31, 'r');
RESET session_replication_role;
SELECT * FROM hit(:boot);

\echo -- event triggers that are disabled: the status tells, and their return puts right
ALTER EVENT TRIGGER pg_live_ddl DISABLE;
ALTER TABLE t DISABLE TRIGGER USER;
SELECT * FROM incomplete;
SELECT live.status()->'captured'->>'event_triggers' AS event_triggers,
    live.status()->'captured'->'incomplete'->>'capture_ddl.t' AS t;
ALTER EVENT TRIGGER pg_live_ddl ENABLE ALWAYS;
ALTER TABLE t ADD COLUMN again int;
SELECT * FROM incomplete;
SELECT live.status()->'captured'->>'event_triggers' AS event_triggers;

\echo -- the setting that silences the repair is not for everybody
CREATE ROLE capture_ddl_owner;
SET ROLE capture_ddl_owner;
SET pg_live.repairing = on;
RESET ROLE;

\echo -- another owner, GRANT and REVOKE
GRANT USAGE, CREATE ON SCHEMA capture_ddl TO capture_ddl_owner;
ALTER TABLE t OWNER TO capture_ddl_owner;
REVOKE ALL ON t FROM PUBLIC;
GRANT SELECT ON t TO PUBLIC;
CALL watch();
SET ROLE capture_ddl_owner;
INSERT INTO t VALUES (40, 'o');
RESET ROLE;
SELECT * FROM hit(:boot);

\echo -- dropped and made again under the same name: another table
CALL watch();
DROP TABLE fleeting;
SELECT * FROM hit(:boot);
CREATE TABLE fleeting (id int);
SELECT live.capture_table('fleeting');
CALL watch();
INSERT INTO fleeting VALUES (1);
SELECT * FROM hit(:boot);
\echo -- DROP OWNED, DROP SCHEMA CASCADE
ALTER TABLE fleeting OWNER TO capture_ddl_owner;
CALL watch();
DROP OWNED BY capture_ddl_owner CASCADE;
SELECT * FROM hit(:boot);
CREATE TABLE elsewhere.t (id int);
SELECT live.capture_table('elsewhere.t');
CALL watch();
DROP SCHEMA elsewhere CASCADE;
SELECT * FROM hit(:boot);

SET client_min_messages = warning;
DROP SCHEMA capture_ddl, made CASCADE;
DROP ROLE capture_ddl_owner;
