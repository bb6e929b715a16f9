-- Reads by SQL: SQL functions as queries, whose rights they have, and what cannot be live.
SELECT live.prepare_connection();
CREATE ROLE sql_web;
CREATE ROLE sql_other;
CREATE ROLE sql_root SUPERUSER;
GRANT sql_web, sql_root TO CURRENT_USER;
CREATE SCHEMA api;
GRANT USAGE ON SCHEMA api TO sql_web;
CREATE TABLE sql_orders (id int PRIMARY KEY, customer int, amount numeric, placed date);
CREATE TABLE sql_members (who text, customer int);
INSERT INTO sql_orders VALUES (1, 5, 10.50, '2024-02-29'), (2, 5, 1, NULL), (3, 6, 7, '2024-03-01');
INSERT INTO sql_members VALUES ('ann', 5), ('bob', 6);
ALTER TABLE sql_orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_members ON sql_orders USING (customer IN (SELECT m.customer FROM sql_members AS m
    WHERE m.who = current_setting('request.jwt.claims')::json->>'sub'));
GRANT SELECT ON sql_orders, sql_members TO sql_web;
CREATE FUNCTION api.orders(customer int) RETURNS SETOF sql_orders LANGUAGE sql STABLE
    AS 'SELECT * FROM sql_orders AS o WHERE o.customer = orders.customer ORDER BY id';
CREATE FUNCTION api.total(customer int DEFAULT NULL, OUT orders bigint, OUT amount numeric) LANGUAGE sql STABLE
    AS 'SELECT count(*), sum(o.amount) FROM sql_orders AS o WHERE coalesce(o.customer = total.customer, true)';
CREATE FUNCTION api.ids() RETURNS SETOF bigint LANGUAGE plpgsql STABLE
    AS $$ BEGIN RETURN QUERY SELECT id::bigint FROM sql_orders ORDER BY id; END $$;
CREATE FUNCTION api.whoami() RETURNS json LANGUAGE sql STABLE
    AS $$ SELECT json_build_object('role', current_user, 'claims', current_setting('request.jwt.claims')::json) $$;
CREATE FUNCTION api.echo(i int, n numeric, t text, b boolean, j jsonb, a int[], y bytea, x bigint) RETURNS record
    LANGUAGE sql IMMUTABLE AS 'SELECT i, n, t, b, j, a, y, x';
CREATE FUNCTION api.write() RETURNS int LANGUAGE sql AS 'INSERT INTO sql_members VALUES (''x'', 1) RETURNING 1';
CREATE FUNCTION api.hidden_write() RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN api.write(); END $$;
CREATE FUNCTION api.secret() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION api.secret() FROM PUBLIC;
CREATE FUNCTION api.twice(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * x';
CREATE FUNCTION api.twice(x text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT x || x';

-- From SQL: as whoever calls.
SELECT live.query('sql/api:orders', '{"customer": 5}');
SELECT live.query('sql/api:total');
SELECT live.query('sql/api:total', '{"customer": 6}');
SELECT live.query('sql/api:ids');
SELECT live.query('sql/api:echo', '{"i": 1, "n": 1.5, "t": "é", "b": true, "j": {"k": [1, {"$integer": "AQAAAAAAAAA="}]},
    "a": [1, null, 3], "y": {"$bytes": "AQI="}, "x": {"$integer": "AQAAAAAAAAA="}}');
SELECT live.query('sql/api:twice', '{"x": 1}');
SELECT live.query('sql/api:orders', '{"client": 5}');
SELECT live.query('sql/api:orders', '{"customer": "five"}');
SELECT live.query('sql/api:write');
SELECT live.query('sql/api:hidden_write');
SELECT live.query('sql/pg_catalog:now');
SELECT live.query('sql/api:nothing');

-- For clients: as the role of the token, with its claims.
CREATE FUNCTION as_client(path text, args text, identity json, OUT ok boolean, OUT value text, OUT error text)
LANGUAGE sql AS $$ SELECT ok, value, error FROM live.run_query(path, args, json_build_object('user', identity)::text, 0, 0, 0) $$;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT * FROM as_client('sql/api:whoami', '{}', '{"role": "sql_web", "subject": "ann", "issuer": "here", "tokenIdentifier": "here|ann"}');
SELECT * FROM as_client('sql/api:orders', '{"customer": 5}', '{"role": "sql_web", "subject": "ann"}');
SELECT * FROM as_client('sql/api:orders', '{"customer": 5}', '{"role": "sql_web", "subject": "bob"}');
SELECT * FROM as_client('sql/api:total', '{}', '{"role": "sql_web", "subject": "bob"}');
SELECT * FROM as_client('sql/api:secret', '{}', '{"role": "sql_web"}');
SELECT * FROM as_client('sql/api:orders', '{"customer": 5}', '{"role": "sql_other"}');
SELECT * FROM as_client('sql/api:orders', '{"customer": 5}', '{"role": "sql_root"}');
SELECT * FROM as_client('sql/api:orders', '{"customer": 5}', '{"role": 7}');
SELECT * FROM as_client('sql/api:orders', '{"customer": 5}', NULL);
SET LOCAL pg_live.anonymous_role = 'sql_web';
SELECT * FROM as_client('sql/api:total', '{}', NULL);
SELECT current_user = session_user AS as_before, coalesce(current_setting('request.jwt.claims', true), '') AS claims;
COMMIT;

-- What a result depends on.
SELECT kind, "table" FROM live.explain('sql/api:orders', '{"customer": 5}') ORDER BY 1, 2;
SELECT kind, "table" FROM live.explain('sql/api:ids') ORDER BY 1, 2;
CREATE TABLE sql_parts (id int, a int) PARTITION BY LIST (a);
CREATE TABLE sql_parts_1 PARTITION OF sql_parts FOR VALUES IN (1);
CREATE TABLE sql_parts_2 PARTITION OF sql_parts FOR VALUES IN (2);
CREATE VIEW sql_view AS SELECT o.id FROM sql_orders AS o LEFT JOIN sql_parts AS p ON p.id = o.id AND p.a = 1;
CREATE FUNCTION api.view() RETURNS bigint LANGUAGE sql STABLE
    AS 'WITH q AS (SELECT id FROM sql_view) SELECT count(*) FROM q WHERE EXISTS (SELECT FROM sql_members)';
SELECT kind, "table" FROM live.explain('sql/api:view') ORDER BY 1, 2;

-- What cannot be live, and why.
CREATE TEMPORARY TABLE sql_temporary (id int);
CREATE SEQUENCE sql_sequence;
CREATE FUNCTION sql_js(x int) RETURNS int LANGUAGE js STABLE AS 'return sql`SELECT count(*)::int AS n FROM sql_members`[0].n';
CREATE FUNCTION sql_plans() RETURNS SETOF text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN QUERY EXPLAIN (COSTS off) SELECT 1; END $$;
CREATE FUNCTION why(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE found record;
BEGIN
    SELECT * INTO found FROM live.watch_query(77, 1, 1, query);
    RETURN CASE WHEN found.error IS NOT NULL THEN 'error: ' || found.error
        WHEN found.not_live LIKE '%try again' THEN 'live' ELSE coalesce(found.not_live, 'live') END;
END $$;
SELECT live.attach(77) IS NOT NULL AS attached;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT query, why(query) FROM (VALUES
    ('SELECT 1'),
    ('SELECT count(*) FROM sql_orders'),
    ('SELECT o, now(), to_char(placed, ''YYYY''), current_setting(''x.y'', true) FROM sql_orders AS o'),
    ('SELECT tableoid FROM sql_parts'),
    ('SELECT random() FROM sql_orders'),
    ('SELECT ctid FROM sql_orders'),
    ('SELECT id FROM sql_orders WHERE xmin::text = ''3'''),
    ('SELECT count(*) FROM sql_orders TABLESAMPLE BERNOULLI (50)'),
    ('SELECT count(*) FROM pg_class'),
    ('SELECT count(*) FROM information_schema.tables'),
    ('SELECT count(*) FROM sql_temporary'),
    ('SELECT last_value FROM sql_sequence'),
    ('SELECT pg_relation_size(''sql_orders'')'),
    ('SELECT sql_js(id) FROM sql_orders'),
    ('SELECT * FROM sql_plans()'),
    ('INSERT INTO sql_members VALUES (''y'', 1)'),
    ('CREATE TABLE sql_new ()'),
    ('COMMIT'),
    ('SELECT 1; SELECT 2'),
    ('SELECT 1/0 FROM sql_members'),
    ('SELECT * FROM sql_nothing')) AS q(query);
COMMIT;
SELECT live.depends('sql_js(int)', '{sql_members}');
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT why('SELECT sql_js(id) FROM sql_orders');
COMMIT;

-- What a query sets is not there for the next one, whose caller may be somebody else.
CREATE FUNCTION api.enter(tenant text, for_transaction boolean) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM set_config('app.tenant', tenant, for_transaction);
    RETURN current_setting('app.tenant');
END $$;
CREATE FUNCTION api.tenant() RETURNS text LANGUAGE sql STABLE AS $$ SELECT nullif(current_setting('app.tenant', true), '') $$;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT * FROM as_client('sql/api:enter', '{"tenant": "one", "for_transaction": true}', '{"role": "sql_web", "subject": "ann"}');
SELECT * FROM as_client('sql/api:tenant', '{}', '{"role": "sql_web", "subject": "bob"}');
SELECT * FROM as_client('sql/api:enter', '{"tenant": "two", "for_transaction": false}', '{"role": "sql_web", "subject": "ann"}');
SELECT * FROM as_client('sql/api:tenant', '{}', '{"role": "sql_web", "subject": "bob"}');
COMMIT;
SELECT live.query('sql/api:enter', '{"tenant": "three", "for_transaction": false}');
SELECT live.query('sql/api:tenant');

-- PL/pgSQL sets the functions of an expression up once in a transaction; each query that calls them has read what they do.
CREATE FUNCTION sql_declared() RETURNS int LANGUAGE js STABLE AS 'return 1';
SELECT live.depends('sql_declared()', '{sql_members}');
CREATE FUNCTION api.plain(x int) RETURNS int LANGUAGE plpgsql STABLE AS $$ DECLARE n int; BEGIN n := x + sql_declared(); RETURN n; END $$;
CREATE FUNCTION api.hidden(x int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN IF sql_undeclared(x) > 0 THEN RETURN 1; END IF; RETURN 2; END $$;
CREATE FUNCTION sql_undeclared(x int) RETURNS int LANGUAGE js STABLE AS 'return x';
CREATE FUNCTION tables_of(path text) RETURNS SETOF text LANGUAGE sql AS $$ SELECT e."table" FROM live.explain(path, '{"x": 1}') AS e WHERE e."table" LIKE 'public.%' $$;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT api.plain(1);
SELECT tables_of('sql/api:plain');
SELECT tables_of('sql/api:plain');
SELECT why('SELECT api.hidden(1)');
SELECT why('SELECT api.hidden(2)');
COMMIT;

-- No more plans are kept than the session wants.
SET pg_live.kept_statements = 2;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT w.result FROM generate_series(1, 6) AS n, LATERAL live.watch_query(77, n, 1, format('SELECT %s AS kept', n)) AS w ORDER BY n;
SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'CachedPlanSource' AND ident LIKE '% AS kept';
COMMIT;
RESET pg_live.kept_statements;

SET client_min_messages = warning;
DROP SCHEMA api CASCADE;
DROP VIEW sql_view;
DROP TABLE sql_parts, sql_orders, sql_members;
DROP FUNCTION as_client, why, tables_of, sql_js, sql_declared, sql_undeclared, sql_plans;
DELETE FROM live.dependencies;
DROP SEQUENCE sql_sequence;
DROP ROLE sql_web, sql_other, sql_root;
