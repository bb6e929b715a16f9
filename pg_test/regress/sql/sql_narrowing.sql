-- Read-sets of SQL by columns and conditions, and which operators these may have.
SELECT live.prepare_connection();
CREATE SCHEMA api;
CREATE TYPE nw_mood AS ENUM ('sad', 'glad');
CREATE DOMAIN nw_name AS text COLLATE "C";
CREATE COLLATION nw_icu (provider = icu, locale = 'und');
CREATE COLLATION nw_loose (provider = icu, locale = 'und', deterministic = false);
CREATE TABLE nw (id int PRIMARY KEY, small int2, big int8, n numeric, f float8, ok boolean, c text COLLATE "C", t text COLLATE nw_icu,
    loose text COLLATE nw_loose, v varchar(20), p char(4), d date, s timestamp, z timestamptz, u uuid, m nw_mood,
    w nw_name COLLATE "C", j jsonb, y bytea, a int[]);
CREATE TABLE nw_other (id int PRIMARY KEY, nw int, note text);
CREATE INDEX ON nw_other (nw);
CREATE TABLE nw_indexed (id int PRIMARY KEY, k int, name text, open boolean, rank int);
CREATE INDEX ON nw_indexed (k) WHERE rank > 5;
CREATE INDEX ON nw_indexed (id) WHERE open;
CREATE INDEX ON nw_indexed (rank) WHERE name = 'x' AND k IS NOT NULL;
CREATE TABLE nw_parent (id int, a int);
CREATE TABLE nw_child (gone int, b int, id int, a int);
ALTER TABLE nw_child DROP COLUMN gone;
ALTER TABLE nw_child INHERIT nw_parent;
CREATE TABLE nw_parts (id int, a int, b text) PARTITION BY LIST (a);
CREATE TABLE nw_part1 (gone int, b text, a int, id int);
ALTER TABLE nw_part1 DROP COLUMN gone;
ALTER TABLE nw_parts ATTACH PARTITION nw_part1 FOR VALUES IN (1);
CREATE TABLE nw_part2 PARTITION OF nw_parts FOR VALUES IN (2, 3);

-- Before anything reads the tables: then the scribe adds triggers to them.
CREATE ROLE nw_reader;
GRANT USAGE ON SCHEMA api TO nw_reader;
CREATE TABLE nw_ruled (id int, nw int);
GRANT SELECT ON nw_ruled TO nw_reader;
ALTER TABLE nw_ruled ENABLE ROW LEVEL SECURITY;
CREATE POLICY twelve ON nw_ruled USING (nw = 12);

CREATE FUNCTION reads(query text) RETURNS TABLE ("table" text, columns text, condition text, reason text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE FUNCTION api.q() RETURNS SETOF json LANGUAGE sql STABLE AS %L',
        'SELECT to_json(q) FROM (' || query || ') AS q');
    RETURN QUERY SELECT e."table", e.columns, e.condition, e.reason FROM live.explain('sql/api:q') AS e
        WHERE e."table" NOT IN ('live.active', '(definitions)');
END $$;
CREATE FUNCTION conditions(query text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(coalesce(r.condition, CASE WHEN r.columns IS NULL THEN 'whole table' ELSE 'any row' END), ' or '
        ORDER BY r.condition COLLATE "C")
    FROM reads('SELECT id FROM nw WHERE ' || query) AS r
$$;

-- One condition on one column is enough, the best one.
SELECT q, conditions(q) FROM (VALUES
    ('id = 5'), ('5 = id'), ('id = 5::bigint'), ('id = 5::smallint'), ('small = 70000'), ('id = 5.0'), ('id::bigint = 5'),
    ('id IN (1, 2, NULL)'), ('id = ANY (ARRAY[3, 4]::bigint[])'), ('id = NULL'), ('id <> 5'), ('id NOT IN (1, 2)'),
    ('big > 5'), ('5 > big'), ('big BETWEEN 2 AND 4'), ('big >= 2 AND big < 4 AND n > 1'), ('big > 4 AND big < 2'),
    ('n = 1.50'), ('f > 0.5 AND ok'), ('ok'), ('NOT ok'), ('ok IS NOT TRUE'), ('ok IS UNKNOWN'), ('ok = false'),
    ('c = ''x'''), ('c < ''x'''), ('t = ''it''''s'''), ('t < ''x'''), ('loose = ''x'''), ('v = ''x'''), ('p = ''x'''), ('w = ''x'''),
    ('c LIKE ''ab%'''), ('t LIKE ''ab_c'''), ('t LIKE ''%ab'''), ('t NOT LIKE ''ab%'''), ('t ILIKE ''ab%'''), ('t ^@ ''ab'''),
    ('d = ''2024-02-29'''), ('d < ''2024-02-29''::timestamp'), ('s > ''2024-02-29 10:00'''), ('z > now()'),
    ('u = ''00000000-0000-0000-0000-000000000001'''), ('m = ''glad'''), ('m > ''sad'''), ('j = ''{}'''), ('a = ''{1}'''),
    ('c IS NULL'), ('c IS NOT NULL'), ('c IS NOT NULL AND id = 1'), ('j IS NULL'), ('c IS DISTINCT FROM ''x'''),
    ('id = 1 OR big = 2'), ('id = 1 OR f + 1 = 2'), ('(id = 1 AND f > 2) OR (big = 3 AND f + 1 = 3)'), ('NOT (id = 1 OR big = 2)'),
    ('id = small'), ('id + 1 = 2'), ('coalesce(id, 1) = 2'),
    -- What may fail is not passed by.
    ('c ~ c AND big = 5'), ('c ~ c AND big > 5'), ('big > 5 AND c ~ c'), ('c LIKE ''%x'' AND big = 5'), ('c LIKE d::text AND big = 5'), ('big = 5 OR (10 / small > 1 AND id = 5)')) AS v(q);

-- The columns that were read, however the table is scanned.
SELECT * FROM reads('SELECT id, c FROM nw WHERE big = 3') ORDER BY 1, 3;
SELECT * FROM reads('SELECT count(*) FROM nw') ORDER BY 1, 3;
SELECT * FROM reads('SELECT count(*) FROM nw WHERE d IS NULL') ORDER BY 1, 3;
SELECT * FROM reads('SELECT * FROM nw') ORDER BY 1, 3;
SELECT * FROM reads('SELECT nw FROM nw WHERE id = 1') ORDER BY 1, 3;
SELECT * FROM reads('SELECT nw.id, o.note FROM nw JOIN nw_other AS o ON o.nw = nw.small WHERE nw.id = 3') ORDER BY 1, 3;
SELECT * FROM reads('SELECT nw.c FROM nw LEFT JOIN nw_other AS o ON o.nw = nw.id AND o.note = ''x'' WHERE o.id IS NULL') ORDER BY 1, 3;
SELECT * FROM reads('SELECT id FROM nw WHERE EXISTS (SELECT FROM nw_other AS o WHERE o.nw = nw.big AND o.id = 7)') ORDER BY 1, 3;
SELECT * FROM reads('SELECT max(big), (SELECT min(id) FROM nw_other WHERE nw = 3) FROM nw WHERE small = 2') ORDER BY 1, 3;
SELECT * FROM reads('SELECT id, row_number() OVER (PARTITION BY small ORDER BY big) FROM nw WHERE id < 4') ORDER BY 1, 3;
SELECT * FROM reads('WITH q AS MATERIALIZED (SELECT * FROM nw WHERE id = 1) SELECT q.c FROM q UNION ALL SELECT note FROM nw_other WHERE id = 2') ORDER BY 1, 3;
-- Of trees the tables that are scanned, each by its own columns.
SELECT * FROM reads('SELECT id FROM nw_parent WHERE id = 1') ORDER BY 1, 3;
SELECT * FROM reads('SELECT b FROM nw_parts WHERE id = 1') ORDER BY 1, 3;
SELECT * FROM reads('SELECT b FROM nw_parts WHERE a = 1 AND id > 3') ORDER BY 1, 3;
SELECT * FROM reads('SELECT b FROM nw_parts WHERE a = 7') ORDER BY 1, 3;

-- Policies are conditions, and read columns.
CREATE FUNCTION api.others() RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT id FROM nw_ruled';
CREATE FUNCTION as_reader() RETURNS TABLE ("table" text, columns text, condition text) LANGUAGE plpgsql SET role = nw_reader AS $$
BEGIN
    RETURN QUERY SELECT e."table", e.columns, e.condition FROM live.explain('sql/api:others') AS e WHERE e.kind = 'rows';
END $$;
GRANT USAGE ON SCHEMA live TO nw_reader;
GRANT EXECUTE ON FUNCTION live.explain(text, json) TO nw_reader;
SELECT * FROM as_reader();

-- Parameters, also of plans that are made once.
CREATE FUNCTION api.one(wanted int) RETURNS SETOF int LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan
    AS $$ BEGIN RETURN QUERY SELECT o.id FROM nw_other AS o WHERE o.nw = wanted; END $$;
SELECT "table", columns, condition FROM live.explain('sql/api:one', '{"wanted": 42}') WHERE kind = 'rows';
SELECT "table", columns, condition FROM live.explain('sql/api:one', '{"wanted": null}') WHERE kind = 'rows';

\pset format unaligned
-- What a partial index promises of its rows is no more in the plan, but in the read-set.
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM nw_indexed WHERE k = 3 AND rank > 5;
SELECT * FROM reads('SELECT id FROM nw_indexed WHERE k = 3 AND rank > 5') ORDER BY 1, 3;
SELECT * FROM reads('SELECT id FROM nw_indexed WHERE open ORDER BY id LIMIT 1') ORDER BY 1, 3;
SELECT * FROM reads('SELECT count(*) FROM nw_indexed WHERE name = ''x'' AND k = 1') ORDER BY 1, 3;
SELECT * FROM reads('SELECT o.id FROM nw_other AS o JOIN nw_indexed AS i ON i.k = o.nw AND i.rank > 6 WHERE o.id = 1') ORDER BY 1, 3;
SET enable_bitmapscan = on;
SET enable_indexscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM nw_indexed WHERE k = 3 AND rank > 5;
SELECT * FROM reads('SELECT id FROM nw_indexed WHERE k = 3 AND rank > 5') ORDER BY 1, 3;
RESET enable_seqscan;
RESET enable_bitmapscan;
RESET enable_indexscan;

-- No other operator narrows. Equal by one of these means equal keys, whatever the family is called.
SELECT f.opfname AS family, string_agg(DISTINCT o.oprname || ' ' || o.oprleft::regtype || ' ' || o.oprright::regtype, ', '
    ORDER BY o.oprname || ' ' || o.oprleft::regtype || ' ' || o.oprright::regtype) AS narrowed
FROM pg_amop AS a JOIN pg_opfamily AS f ON f.oid = a.amopfamily JOIN pg_operator AS o ON o.oid = a.amopopr
JOIN pg_am AS m ON m.oid = f.opfmethod
WHERE m.amname = 'btree' AND live.narrows(o.oid) GROUP BY 1 ORDER BY 1;
SELECT o.oid::regoperator AS not_of_btree FROM pg_operator AS o
WHERE live.narrows(o.oid) AND NOT EXISTS (SELECT FROM pg_amop AS a JOIN pg_opfamily AS f ON f.oid = a.amopfamily
    JOIN pg_am AS m ON m.oid = f.opfmethod WHERE a.amopopr = o.oid AND m.amname = 'btree') ORDER BY 1;

SET client_min_messages = warning;
DROP SCHEMA api CASCADE;
DROP FUNCTION reads, conditions, as_reader;
DROP TABLE nw_ruled, nw_indexed, nw_child, nw_parent, nw_parts, nw_other, nw;
DROP TYPE nw_mood;
DROP DOMAIN nw_name;
DROP COLLATION nw_loose, nw_icu;
REVOKE ALL ON SCHEMA live FROM nw_reader;
REVOKE ALL ON FUNCTION live.explain(text, json) FROM nw_reader;
DROP ROLE nw_reader;
