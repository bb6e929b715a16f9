-- LANGUAGE js: statements from the body.
CREATE SCHEMA js_spi; SET search_path = js_spi, public;
CREATE TABLE t (id int PRIMARY KEY, v text, n numeric, at timestamptz);
INSERT INTO t VALUES (1, 'a', 1.50, '2024-01-01 00:00:00+00'), (2, 'b', NULL, NULL);
CREATE FUNCTION j(code text, params jsonb DEFAULT '[]') RETURNS text LANGUAGE js AS $$
  return JSON.stringify(sql.query(code, params), (k, v) => typeof v === "bigint" ? `${v}n` : v);
$$;
SELECT j('SELECT * FROM t ORDER BY id');
SELECT j('SELECT count(*) FROM t WHERE v = $1 OR id = ANY($2)', '["a", [2]]');
SELECT j('INSERT INTO t VALUES ($1, $2) RETURNING id, v', '[3, "it''s $1; DROP TABLE t"]');
CREATE FUNCTION tagged(i int, pattern text) RETURNS SETOF t STABLE LANGUAGE js AS $$
  return sql`SELECT * FROM t WHERE id >= ${i} AND v LIKE ${pattern} ORDER BY id`;
$$;
SELECT id, v FROM tagged(1, '%');
SELECT id FROM tagged(2, 'b');
CREATE FUNCTION n(code text) RETURNS int LANGUAGE js AS $$ return sql.execute(code) $$;
SELECT n('UPDATE t SET v = v'), n('SELECT FROM t'), n('DELETE FROM t WHERE id = 3'), n('CREATE TABLE made (a int)');
-- One statement, parameters by placeholders only.
SELECT j('SELECT 1; SELECT 2');
SELECT j('');
SELECT j('SELECT $1::int', '[]');
SELECT j('SELECT $1::int', '[1, 2]');
SELECT j('SELECT pg_typeof($1)');
SELECT j('SELECT * FROM nowhere');
SELECT j('SELEC');
DO LANGUAGE js $$ sql("SELECT 1") $$;
DO LANGUAGE js $$ sql.query("SELECT 1", "x") $$;
DO LANGUAGE js $$ sql.query(1) $$;
-- STABLE and IMMUTABLE functions only read; the executor sees to it.
CREATE FUNCTION writes() RETURNS int STABLE LANGUAGE js AS $$ return sql.execute("DELETE FROM t") $$;
SELECT writes();
CREATE FUNCTION delete_all() RETURNS void LANGUAGE sql AS 'DELETE FROM js_spi.t';
CREATE FUNCTION writes_hidden() RETURNS int STABLE LANGUAGE js AS $$ return sql.execute("SELECT delete_all()") $$;
SELECT count(*) FROM t;
-- Each statement of a VOLATILE function sees what the ones before it did.
CREATE FUNCTION sees() RETURNS text LANGUAGE js AS $$
  const before = sql`SELECT count(*)::int AS n FROM t`[0].n;
  sql`INSERT INTO t VALUES (${before + 1})`;
  return `${before} ${sql`SELECT count(*)::int AS n FROM t`[0].n}`;
$$;
SELECT sees();
-- An ERROR ends the function: it cannot be caught there, and arrives whole.
CREATE FUNCTION swallow(code text) RETURNS text LANGUAGE js AS $$
  try { sql.query(code) } catch (e) { return "caught" } finally { console.log("finally") }
$$;
SELECT swallow('SELECT 1/0');
ALTER TABLE t ADD CONSTRAINT short CHECK (length(v) < 20);
\set SHOW_CONTEXT never
DO $$
DECLARE c text; tab text; st text;
BEGIN
  PERFORM js_spi.swallow('INSERT INTO js_spi.t VALUES (9, repeat(''x'', 30))');
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS c = CONSTRAINT_NAME, tab = TABLE_NAME, st = RETURNED_SQLSTATE;
  RAISE INFO '% % % %', st, c, tab, SQLERRM;
END $$;
CREATE FUNCTION raises() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'own' USING ERRCODE = 'ZZ123', DETAIL = 'd', HINT = 'h'; END $$;
DO $$
DECLARE st text; d text; h text;
BEGIN
  PERFORM js_spi.swallow('SELECT js_spi.raises()');
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS st = RETURNED_SQLSTATE, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
  RAISE INFO '% % % %', st, SQLERRM, d, h;
END $$;
\set VERBOSITY default
\set SHOW_CONTEXT errors
-- Transactions belong to the caller; what outlives them is refused, also in what a statement calls.
\set VERBOSITY terse
SELECT j('COMMIT');
SELECT j('SAVEPOINT a');
SELECT j('SET work_mem = ''1MB''');
SELECT j('RESET work_mem');
SELECT j('SET LOCAL work_mem = ''1MB''');
SELECT j('SELECT set_config(''work_mem'', ''1MB'', false)');
SELECT j('SELECT set_config(''work_mem'', ''1MB'', $1)', '[true]');
SELECT j('SELECT set_config(''work_mem'', ''1MB'', true)');
SELECT j('LISTEN x');
SELECT j('PREPARE p AS SELECT 1');
SELECT j('DISCARD ALL');
SELECT j('DECLARE c CURSOR WITH HOLD FOR SELECT 1');
SELECT j('CREATE TEMP TABLE tmp (a int)');
SELECT j('CREATE TEMP VIEW tmp AS SELECT 1');
SELECT j('CREATE TEMP TABLE tmp ON COMMIT DROP AS SELECT 1');
SELECT j('SELECT pg_advisory_lock(1)');
SELECT j('SELECT pg_try_advisory_lock_shared(1, 2)');
SELECT j('SELECT pg_advisory_xact_lock(1)::text');
SELECT j('DO $x$ BEGIN PERFORM pg_advisory_lock(1); END $x$');
SELECT j('DO $x$ BEGIN SET work_mem = ''1MB''; END $x$');
SELECT j('SELECT setseed(0)');
SELECT j('COPY t TO STDOUT');
SHOW work_mem;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';
-- The rules are for functions only.
SELECT pg_advisory_lock(1), pg_advisory_unlock(1);
-- Calls nest, with the limits of both sides.
CREATE FUNCTION nest(n int) RETURNS int LANGUAGE js AS $$ return n === 0 ? 0 : 1 + sql`SELECT nest(${n - 1}) AS r`[0].r $$;
SELECT nest(20);
CREATE FUNCTION without_end(n int) RETURNS int LANGUAGE js AS $$ return sql`SELECT without_end(${n + 1}) AS r`[0].r $$;
SELECT without_end(1);
SELECT nest(5);
CREATE FUNCTION loops() RETURNS int LANGUAGE js AS $$ for (;;); $$;
CREATE FUNCTION calls_loops() RETURNS int LANGUAGE js AS $$ return sql`SELECT loops() AS r`[0].r $$;
SET statement_timeout = '100ms';
SELECT loops();
SELECT calls_loops();
RESET statement_timeout;
CREATE FUNCTION eats() RETURNS int LANGUAGE js AS $$ const a = []; for (;;) a.push(new Array(10000).fill(1.5)) $$;
SELECT eats();
SELECT nest(2);
\set VERBOSITY default
-- A plan follows changes of the table.
CREATE FUNCTION star() RETURNS text LANGUAGE js AS $$ return JSON.stringify(sql`SELECT * FROM made`) $$;
INSERT INTO made VALUES (1);
SELECT star();
ALTER TABLE made ADD COLUMN b text DEFAULT 'new';
SELECT star();
ALTER TABLE made DROP COLUMN a;
SELECT star();
-- Names are looked up anew when search_path changes.
CREATE SCHEMA js_spi_other; CREATE TABLE js_spi_other.made (id uuid, note text); INSERT INTO js_spi_other.made VALUES (NULL, 'other');
SET search_path = js_spi_other, js_spi;
SELECT star();
SET search_path = js_spi, public;
SELECT star();
-- The console.
DO LANGUAGE js $$ console.log("text", 1, 2n, null, [1, "x"]); console.info("info"); console.warn("warn") $$;
SET client_min_messages = warning;
DROP SCHEMA js_spi, js_spi_other CASCADE;
