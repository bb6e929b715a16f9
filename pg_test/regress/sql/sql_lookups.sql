-- Read-sets of SQL by the keys that scans look up while a query runs.
SELECT live.prepare_connection();
CREATE SCHEMA api;
CREATE COLLATION lu_loose (provider = icu, locale = 'und', deterministic = false);
CREATE TABLE lu (id int PRIMARY KEY, k int, t text COLLATE "C", n numeric, u uuid, parent int, mark text);
CREATE TABLE lu_in (id int PRIMARY KEY, k bigint, v varchar(20) COLLATE "C", n numeric, u uuid, loose text COLLATE lu_loose, note text, other int);
CREATE INDEX ON lu (parent);
CREATE INDEX ON lu_in (k);
CREATE INDEX ON lu_in (v);
CREATE INDEX ON lu_in (n);
CREATE INDEX ON lu_in (u);
CREATE INDEX ON lu_in (loose);
CREATE TABLE lu_parts (id int, k int, note text) PARTITION BY LIST (k);
CREATE TABLE lu_part1 PARTITION OF lu_parts FOR VALUES IN (10);
CREATE TABLE lu_part2 PARTITION OF lu_parts FOR VALUES IN (20, 30);
CREATE INDEX ON lu_parts (k);
INSERT INTO lu VALUES (1, 10, 'x', 1.50, '00000000-0000-0000-0000-000000000001', NULL, 'a'), (2, 20, 'it''s', 2, NULL, 1, 'a'),
    (3, 10, 'x', 1.5, NULL, 1, 'a'), (4, NULL, NULL, NULL, NULL, 2, 'a'), (5, 50, 'y', 5, NULL, 4, 'b');
INSERT INTO lu_in SELECT g, g * 10, 'x', g, NULL, 'x', 'note', g FROM generate_series(1, 5) AS g;
INSERT INTO lu_parts VALUES (1, 10, 'one'), (2, 20, 'two');

CREATE FUNCTION reads(query text) RETURNS TABLE ("table" text, columns text, condition text, reason text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE FUNCTION api.q() RETURNS SETOF json LANGUAGE sql STABLE AS %L',
        'SELECT to_json(q) FROM (' || query || ') AS q');
    RETURN QUERY SELECT e."table", e.columns, e.condition, e.reason FROM live.explain('sql/api:q') AS e
        WHERE e."table" NOT IN ('live.active', '(definitions)', 'public.lu');
END $$;
-- So that joins look keys up, whatever is cheaper for a few rows.
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_seqscan = off;
SET enable_material = off;

-- Each key once, in a column of another type, too; nothing is equal to NULL.
SELECT * FROM reads('SELECT i.note FROM lu JOIN lu_in AS i ON i.k = lu.k WHERE lu.mark = ''a''');
SELECT * FROM reads('SELECT i.note FROM lu LEFT JOIN lu_in AS i ON i.k = lu.k AND i.note <> ''x'' WHERE lu.id IN (1, 5)');
SELECT * FROM reads('SELECT i.note FROM lu JOIN lu_in AS i ON i.k = lu.k WHERE lu.id = 4');
SELECT * FROM reads('SELECT i.note FROM lu JOIN lu_in AS i ON i.k = lu.k WHERE lu.id = 7');
SELECT * FROM reads('SELECT i.note FROM lu JOIN lu_in AS i ON i.v = lu.t');
SELECT * FROM reads('SELECT i.note FROM lu JOIN lu_in AS i ON i.n = lu.n');
SELECT * FROM reads('SELECT i.note FROM lu JOIN lu_in AS i ON i.u = lu.u');
SELECT * FROM reads('SELECT i.note FROM lu JOIN lu_in AS i ON i.k = lu.id AND i.id = 3');
SELECT * FROM reads('SELECT i.note FROM lu JOIN lu_in AS i ON i.k = lu.k AND i.other < 7');
-- What is looked up for each row, and stops at the first.
SELECT * FROM reads('SELECT l.note FROM lu, LATERAL (SELECT * FROM lu_in AS i WHERE i.k = lu.k ORDER BY i.id LIMIT 1) AS l');
SELECT * FROM reads('SELECT id FROM lu WHERE EXISTS (SELECT FROM lu_in AS i WHERE i.k = lu.k AND i.other > 1)');
SELECT * FROM reads('SELECT id FROM lu WHERE NOT EXISTS (SELECT FROM lu_in AS i WHERE i.k = lu.k)');
SELECT * FROM reads('SELECT id, (SELECT count(*) FROM lu_in AS i WHERE i.k = lu.k) FROM lu WHERE id < 3');
SELECT * FROM reads('SELECT lu.id FROM lu JOIN lu_in AS i ON i.k = lu.k ORDER BY lu.id LIMIT 1');
SELECT * FROM reads('SELECT p.note FROM lu JOIN lu_parts AS p ON p.k = lu.k');
SELECT * FROM reads('SELECT i.note, j.note FROM lu JOIN lu_in AS i ON i.k = lu.k JOIN lu_in AS j ON j.k = i.other WHERE lu.id = 2');
-- The table itself, row by row.
CREATE FUNCTION api.tree() RETURNS SETOF int LANGUAGE sql STABLE AS $$
    WITH RECURSIVE r AS (SELECT id FROM lu WHERE id = 1 UNION ALL SELECT lu.id FROM r JOIN lu ON lu.parent = r.id) SELECT id FROM r
$$;
SELECT columns, condition, reason FROM live.explain('sql/api:tree') WHERE "table" = 'public.lu';
-- Results of subqueries.
SELECT * FROM reads('SELECT note FROM lu_in WHERE k = (SELECT max(k) FROM lu)');
SELECT * FROM reads('SELECT note FROM lu_in WHERE k = ANY (ARRAY(SELECT k FROM lu))');
SELECT * FROM reads('SELECT note FROM lu_in WHERE k = ANY (ARRAY(SELECT k FROM lu WHERE id = 7))');
SELECT * FROM reads('SELECT i.id, (SELECT count(*) FROM lu_in AS j WHERE j.k = (SELECT lu.k FROM lu WHERE lu.id = i.id)) FROM lu_in AS i WHERE i.id < 3')
    ORDER BY 3;
-- One that no row was compared with may have any result; and what comes behind may not be reached.
SET enable_seqscan = on;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SELECT * FROM reads('SELECT note FROM lu_in WHERE note LIKE ''%none'' AND k = (SELECT max(k) FROM lu)');
SELECT * FROM reads('SELECT note FROM lu_in WHERE other <> (SELECT max(k) FROM lu) AND k = 10');
CREATE FUNCTION api.caught() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM FROM lu_in WHERE k = (SELECT 1 / (count(*) - 5) FROM lu);
    RETURN 'fine';
EXCEPTION WHEN division_by_zero THEN RETURN 'failed';
END $$;
SELECT "table", columns, condition, reason FROM live.explain('sql/api:caught') WHERE "table" = 'public.lu_in';
RESET enable_indexscan;
RESET enable_bitmapscan;
SET enable_seqscan = off;
-- What is not understood.
SELECT * FROM reads('SELECT i.note FROM lu JOIN lu_in AS i ON i.k = lu.k + 1');
SELECT * FROM reads('SELECT i.note FROM lu JOIN lu_in AS i ON i.loose = lu.t COLLATE lu_loose');
SELECT * FROM reads('SELECT i.note FROM lu JOIN lu_in AS i ON i.k > lu.k');
SELECT * FROM reads('SELECT i.note FROM lu JOIN lu_in AS i ON i.k = lu.k OR i.id = 1');
-- Too many keys: then what else is known of the scan holds.
SELECT "table", columns, length(condition) AS long, reason
    FROM reads('SELECT i.note FROM generate_series(1, 128) AS g JOIN lu_in AS i ON i.k = g');
SELECT * FROM reads('SELECT i.note FROM generate_series(1, 129) AS g JOIN lu_in AS i ON i.k = g');
SELECT "table", columns, left(condition, 20) AS condition, reason
    FROM reads('SELECT i.note FROM generate_series(1, 129) AS g JOIN lu_in AS i ON i.k = g AND i.other > 3');
SELECT * FROM reads('SELECT i.note FROM (SELECT g % 2 AS k FROM generate_series(1, 1000) AS g OFFSET 0) AS g JOIN lu_in AS i ON i.k = g.k');

-- A cursor reads on while something else runs.
CREATE FUNCTION api.cursor() RETURNS SETOF text LANGUAGE plpgsql STABLE AS $$
DECLARE
    c CURSOR FOR SELECT i.note FROM lu JOIN lu_in AS i ON i.k = lu.k WHERE lu.mark = 'a' ORDER BY lu.id;
    found text;
BEGIN
    OPEN c;
    FETCH c INTO found;
    RETURN QUERY SELECT i.note FROM lu JOIN lu_in AS i ON i.k = lu.k WHERE lu.id = 5;
    FETCH c INTO found;
END $$;
SELECT "table", columns, condition, reason FROM live.explain('sql/api:cursor') WHERE "table" = 'public.lu_in';

SET client_min_messages = warning;
DROP SCHEMA api CASCADE;
DROP FUNCTION reads;
DROP TABLE lu, lu_in, lu_parts;
DROP COLLATION lu_loose;
