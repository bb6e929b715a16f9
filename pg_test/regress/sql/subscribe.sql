-- Live queries of a session, without a relay.
CREATE ROLE sub_web;
CREATE ROLE sub_other;
CREATE SCHEMA api;
GRANT USAGE ON SCHEMA api TO sub_web, sub_other;
CREATE TABLE sub_orders (id int PRIMARY KEY, customer int, amount int);
INSERT INTO sub_orders VALUES (1, 5, 10), (2, 6, 20);
ALTER TABLE sub_orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_rows ON sub_orders USING (true);
GRANT SELECT ON sub_orders TO sub_web;
SELECT live.capture_table('sub_orders');
CREATE FUNCTION api.orders(customer int) RETURNS SETOF sub_orders LANGUAGE sql STABLE
    AS 'SELECT * FROM sub_orders AS o WHERE o.customer = orders.customer ORDER BY id';
CREATE FUNCTION api.clock() RETURNS boolean LANGUAGE sql STABLE AS 'SELECT now() > ''2000-01-01''';
CREATE FUNCTION api.size() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT pg_relation_size(''sub_orders'')';
-- Waits until these are stale.
CREATE FUNCTION await_stale(VARIADIC wanted bigint[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..3000 LOOP
        IF ARRAY(SELECT id FROM live.stale() ORDER BY id) @> wanted THEN
            RETURN 'stale';
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
    RETURN 'not stale in 30 s';
END $$;
CREATE FUNCTION settle() RETURNS boolean LANGUAGE sql AS $$ SELECT live.wait(NULL, '60 s') $$;
CREATE FUNCTION api.whose() RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT id FROM sub_orders ORDER BY id';

SELECT * FROM live.subscribe('sql/api:orders', '{"customer": 5}');
SELECT * FROM live.stale();
INSERT INTO sub_orders VALUES (3, 5, 30);
SELECT await_stale(1);
SELECT * FROM live.stale();
SELECT * FROM live.read(1);
SELECT settle();
SELECT * FROM live.stale();
-- What it read itself, and wrote after that, in the same transaction.
BEGIN;
SELECT * FROM live.subscribe('sql/api:orders', '{"customer": 6}');
INSERT INTO sub_orders VALUES (4, 6, 40);
SELECT * FROM live.stale();
COMMIT;
SELECT await_stale(2);
SELECT * FROM live.read(1);
SELECT * FROM live.read(2);
-- Nothing is left of a transaction, or a part of one, that is rolled back.
BEGIN;
SELECT * FROM live.subscribe('sql/api:orders', '{"customer": 7}');
ROLLBACK;
SELECT * FROM live.read(3);
BEGIN;
SAVEPOINT s;
SELECT * FROM live.subscribe('sql/api:orders', '{"customer": 8}');
ROLLBACK TO s;
SELECT * FROM live.subscribe('sql/api:orders', '{"customer": 9}');
COMMIT;
SELECT * FROM live.read(4);
SELECT * FROM live.read(5);
-- A result that was read in one is stale again.
BEGIN;
SELECT * FROM live.read(1);
ROLLBACK;
SELECT * FROM live.stale();
SELECT * FROM live.read(1);
-- One snapshot for all, if the transaction has one.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM live.subscribe('sql/api:orders', '{"customer": 5}');
COMMIT;
UPDATE sub_orders SET amount = 11 WHERE id = 1;
SELECT await_stale(6);
SELECT live.unsubscribe(6), live.unsubscribe(6), live.unsubscribe(77);
SELECT * FROM live.read(6);

-- Rights: those of the query. A role sees its own only.
SET ROLE sub_web;
SELECT * FROM live.subscribe('sql/api:orders', '{"customer": 5}');
SELECT * FROM live.stale();
SELECT * FROM live.read(1);
SELECT live.unsubscribe(1);
SELECT * FROM live.subscribe('messages:list');
SELECT * FROM live.watch('SELECT 1');
SELECT * FROM live.preview('messages:send');
SET ROLE sub_other;
SELECT * FROM live.subscribe('sql/api:orders', '{"customer": 5}');
SELECT * FROM live.read(7);
RESET ROLE;
SELECT * FROM live.read(1);
-- An error at first is none of a live query. Later it is its result.
SELECT * FROM live.subscribe('sql/api:orders', '{"client": 5}');
SELECT * FROM live.subscribe('sql/api:size');
DROP FUNCTION api.orders(int);
DROP TABLE sub_orders;
SELECT await_stale(1);
SELECT * FROM live.read(1);
SELECT settle();
SELECT * FROM live.stale() WHERE id = 1;
CREATE TABLE sub_orders (id int PRIMARY KEY, customer int, amount int);
CREATE FUNCTION api.orders(customer int) RETURNS SETOF sub_orders LANGUAGE sql STABLE
    AS 'SELECT * FROM sub_orders AS o WHERE o.customer = orders.customer ORDER BY id';
SELECT await_stale(1);
SELECT * FROM live.read(1);
INSERT INTO sub_orders VALUES (1, 5, 12);
SELECT await_stale(1);
SELECT * FROM live.read(1);
-- Any query, of those who may. Names are looked up where they were at first.
CREATE SCHEMA sub_schema;
CREATE TABLE sub_schema.sub_here (n int);
SET search_path = sub_schema, public;
SELECT * FROM live.watch('SELECT count(*)::int AS n FROM sub_here');
RESET search_path;
INSERT INTO sub_schema.sub_here VALUES (1), (2);
SELECT await_stale(8);
SELECT * FROM live.read(8);
SELECT * FROM live.watch('SELECT * FROM pg_class');
SELECT * FROM live.watch('INSERT INTO sub_schema.sub_here VALUES (1)');
SELECT * FROM live.watch('SELECT 1; SELECT 2');
-- With what is polled.
SELECT live.poll('sub_orders', '1 second');
SELECT live.poll('pg_catalog.pg_class', '1 second');
SELECT id FROM live.watch('SELECT count(*) > 0 AS some FROM pg_class');
SELECT await_stale(9);
SELECT * FROM live.read(9);
SELECT await_stale(9);
SELECT live.poll('pg_catalog.pg_class', NULL);
SELECT * FROM live.read(9);
CREATE EXTENSION file_fdw;
CREATE SERVER sub_files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE sub_remote (n int) SERVER sub_files OPTIONS (filename '/dev/null', format 'csv');
SELECT * FROM live.watch('SELECT count(*)::int AS n FROM sub_remote');
SELECT live.poll('sub_remote', '1 second');
SELECT id, result FROM live.watch('SELECT count(*)::int AS n FROM sub_remote') \gset
SELECT :'result' AS result, await_stale(:id);
SELECT * FROM live.read(:id);
SELECT live.unsubscribe(:id);
SELECT live.poll('sub_remote', NULL);
SET client_min_messages = warning;
DROP EXTENSION file_fdw CASCADE;
RESET client_min_messages;
SELECT live.refresh('api.clock()', '0.1 seconds');
SELECT live.refresh('api.clock()', '1 second');
SELECT id, result FROM live.subscribe('sql/api:clock') \gset
SELECT :'result' AS result;
SELECT kind, "table", lower FROM live.explain('sql/api:clock');
SELECT await_stale(:id);
SELECT * FROM live.read(:id);
SELECT await_stale(:id);
SELECT live.refresh('api.clock()', NULL);
-- Without its worker a session knows nothing of what has changed since: everything is stale, and goes on with the next one.
SELECT id FROM live.watch('SELECT count(*)::int AS n FROM sub_schema.sub_here') \gset
SELECT live.stop();
SELECT await_stale(:id);
SELECT * FROM live.read(:id);
INSERT INTO sub_schema.sub_here VALUES (3);
SELECT await_stale(:id);
SELECT * FROM live.read(:id);
SELECT live.unsubscribe(:id);
-- Roles: who is a member of which, and what is left of one.
GRANT SELECT ON sub_orders TO sub_other;
GRANT sub_other TO sub_web;
SET ROLE sub_web;
SELECT id, result FROM live.subscribe('sql/api:whose') \gset
SELECT :'result' AS result;
RESET ROLE;
REVOKE sub_other FROM sub_web;
SET ROLE sub_web;
SELECT await_stale(:id);
SELECT * FROM live.read(:id);
RESET ROLE;
GRANT sub_other TO sub_web;
SET ROLE sub_web;
SELECT await_stale(:id);
SELECT * FROM live.read(:id);
RESET ROLE;
DROP OWNED BY sub_other;
SET ROLE sub_web;
SELECT await_stale(:id);
SELECT * FROM live.read(:id);
RESET ROLE;
ALTER ROLE sub_web SUPERUSER;
SET ROLE sub_web;
SELECT await_stale(:id);
SELECT * FROM live.read(:id);
SELECT live.unsubscribe() > 0 AS some;
RESET ROLE;
SELECT live.unsubscribe() > 0 AS some;
SELECT live.unsubscribe();
-- What a session leaves is forgotten.
SELECT result FROM live.watch('SELECT count(*) FROM sub_schema.sub_here');
\c -
DO $$ BEGIN
    FOR i IN 1..3000 LOOP
        EXIT WHEN live.status() ->> 'live_queries' = '0';
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
SELECT live.status() -> 'live_queries' AS live_queries;
DROP FUNCTION api.orders(int), api.clock(), api.size(), api.whose(), await_stale, settle;
DROP TABLE sub_orders;
DROP SCHEMA sub_schema CASCADE;
DROP SCHEMA api;
DROP ROLE sub_web, sub_other;
