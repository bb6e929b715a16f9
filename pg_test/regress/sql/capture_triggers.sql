-- The triggers that capture changes: where they are, in which state, and what puts them right.
\pset footer off
SET client_min_messages = warning;
CREATE SCHEMA capture_triggers;
SET search_path = capture_triggers, public;

CREATE VIEW triggers AS
    SELECT tgrelid::regclass::text AS relation, tgname AS trigger, tgenabled AS state
    FROM pg_trigger WHERE tgfoid = 'live.capture()'::regprocedure
    AND tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'capture_triggers'::regnamespace);
CREATE VIEW captured AS
    SELECT relation::text, complete FROM live.captured
    WHERE relation IN (SELECT oid FROM pg_class WHERE relnamespace = 'capture_triggers'::regnamespace);

CREATE TABLE plain (id int PRIMARY KEY, v text);
SELECT live.capture_table('plain');
SELECT live.capture_table('plain');
SELECT * FROM triggers ORDER BY 1, 2;

-- partitions at every level, those that exist and those that come later
CREATE TABLE tree (id int, k int, l int) PARTITION BY LIST (k);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES IN (1) PARTITION BY LIST (l);
CREATE TABLE tree_1_1 PARTITION OF tree_1 FOR VALUES IN (1);
SELECT live.capture_table('tree_1');
CREATE TABLE tree_1_2 PARTITION OF tree_1 FOR VALUES IN (2);
CREATE TABLE tree_2 (id int, k int, l int);
SELECT live.capture_table('tree_2');
ALTER TABLE tree ATTACH PARTITION tree_2 FOR VALUES IN (2);
CREATE TABLE tree_3 (id int, k int, l int);
ALTER TABLE tree ATTACH PARTITION tree_3 FOR VALUES IN (3);
SELECT * FROM captured WHERE relation LIKE 'tree%' ORDER BY 1;
SELECT * FROM triggers WHERE relation IN ('tree', 'tree_1_1') ORDER BY 1, 2;
ALTER TABLE tree DETACH PARTITION tree_3;
SELECT * FROM triggers WHERE relation = 'tree_3' ORDER BY 1, 2;

-- inheritance
CREATE TABLE parent (id int);
CREATE TABLE child () INHERITS (parent);
SELECT live.capture_table('child');
CREATE TABLE grandchild () INHERITS (child);
SELECT * FROM captured WHERE relation ~ 'parent|child' ORDER BY 1;

-- disabled, enabled in a wrong state, dropped, renamed
ALTER TABLE plain DISABLE TRIGGER ALL;
SELECT * FROM captured WHERE relation = 'plain';
ALTER TABLE plain ENABLE TRIGGER ALL;
SELECT * FROM captured WHERE relation = 'plain';
ALTER TABLE plain ENABLE REPLICA TRIGGER pg_live_insert;
SELECT * FROM captured WHERE relation = 'plain';
DROP TRIGGER pg_live_update ON plain;
SELECT * FROM captured WHERE relation = 'plain';
SET session_replication_role = replica;
ALTER TABLE plain DISABLE TRIGGER USER;
RESET session_replication_role;
SELECT * FROM captured WHERE relation = 'plain';

-- tables that are not captured are left alone
CREATE TABLE other (id int);
ALTER TABLE other ADD COLUMN v text;
DROP TABLE other;

-- what cannot be captured
CREATE TEMPORARY TABLE temporary (id int);
SELECT live.capture_table('temporary');
CREATE VIEW shown AS SELECT 1 AS one;
SELECT live.capture_table('shown');
SELECT live.capture();

-- an unprivileged owner can write to his captured table, and redefine it
CREATE ROLE capture_owner;
GRANT CREATE, USAGE ON SCHEMA capture_triggers TO capture_owner;
ALTER TABLE plain OWNER TO capture_owner;
SET ROLE capture_owner;
INSERT INTO plain VALUES (1, 'a');
ALTER TABLE plain ADD COLUMN w int;
ALTER TABLE plain DISABLE TRIGGER pg_live_delete;
RESET ROLE;
SELECT * FROM captured WHERE relation = 'plain';

DROP SCHEMA capture_triggers CASCADE;
DROP ROLE capture_owner;
