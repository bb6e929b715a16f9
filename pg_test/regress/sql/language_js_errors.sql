-- LANGUAGE js: errors, the validator, DO blocks, procedures, new versions, rights.
CREATE SCHEMA js_errors; SET search_path = js_errors, public;
CREATE FUNCTION bad() RETURNS int LANGUAGE js AS $$
  const x = 1;
  return x +;
$$;
CREATE FUNCTION bad() RETURNS int LANGUAGE js AS $$ return 1 }; function other() { return 2 $$;
CREATE FUNCTION bad(class int) RETURNS int LANGUAGE js AS $$ return 1 $$;
CREATE FUNCTION bad() RETURNS int LANGUAGE js AS $$ with ({}) return 1 $$;
CREATE FUNCTION bad() RETURNS int LANGUAGE js AS $$ undeclared = 1; return await 1 $$;
SET check_function_bodies = off;
CREATE FUNCTION bad() RETURNS int LANGUAGE js AS $$ return ( $$;
RESET check_function_bodies;
SELECT bad();
CREATE FUNCTION throws(how text) RETURNS int LANGUAGE js AS $$
  function inner() { throw new TypeError("inner error") }
  const how_ = {
    type: () => inner(),
    error: () => { throw new Error("just the message") },
    text: () => { throw "a text" },
    nothing: () => { throw undefined },
    object: () => { throw { toString() { return "an object" } } },
    getter: () => { throw { get message() { throw 1 } } },
    proxy: () => { throw new Proxy({}, { get() { throw 1 }, has() { throw 2 } }) },
    state: () => { throw Object.assign(new Error("own"), { sqlstate: "P0042", detail: "the detail", hint: "the hint" }) },
    success: () => { throw Object.assign(new Error("own"), { sqlstate: "00000" }) },
    undeclared: () => { nowhere = 1 },
    async: () => (async () => { await 1; throw new RangeError("later") })(),
    stack: () => { const f = () => f() + 1; return f() },
    code: () => eval("1"),
  };
  return how_[how]();
$$;
\set SHOW_CONTEXT never
DO $$
DECLARE how text; st text; c text; d text; h text;
BEGIN
  FOREACH how IN ARRAY ARRAY['type', 'error', 'text', 'nothing', 'object', 'getter', 'proxy', 'state', 'success', 'undeclared', 'async', 'code'] LOOP
    BEGIN
      PERFORM js_errors.throws(how);
    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS st = RETURNED_SQLSTATE, c = PG_EXCEPTION_CONTEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
      RAISE INFO '%: % | % | % | % | %', how, st, SQLERRM, d, h, split_part(c, E'\nSQL statement', 1);
    END;
  END LOOP;
END $$;
\set VERBOSITY terse
SELECT throws('stack');
\set VERBOSITY default
\set SHOW_CONTEXT errors
DO LANGUAGE js $$
  throw new Error("in a block");
$$;
DO LANGUAGE js $$ ( $$;
CREATE PROCEDURE increase(INOUT a int, b int) LANGUAGE js AS $$ return { a: a + b } $$;
CALL increase(1, 2);
CREATE PROCEDURE commits() LANGUAGE js AS $$ sql`COMMIT` $$;
CALL commits();
-- A new version is used at once, also within a statement's transaction.
CREATE FUNCTION version() RETURNS int LANGUAGE js AS $$ return 1 $$;
SELECT js_errors.version();
CREATE OR REPLACE FUNCTION version() RETURNS int LANGUAGE js AS $$ return 2 $$;
SELECT js_errors.version();
BEGIN;
CREATE OR REPLACE FUNCTION version() RETURNS int LANGUAGE js AS $$ return 3 $$;
SELECT js_errors.version();
ROLLBACK;
SELECT js_errors.version();
-- Rights: nobody but superusers may write functions in it unless granted; SECURITY clauses hold.
CREATE ROLE js_author; CREATE ROLE js_caller;
GRANT CREATE, USAGE ON SCHEMA js_errors TO js_author; GRANT USAGE ON SCHEMA js_errors TO js_caller;
SET ROLE js_author;
CREATE FUNCTION who() RETURNS text LANGUAGE js AS $$ return "" $$;
DO LANGUAGE js $$ $$;
RESET ROLE;
GRANT USAGE ON LANGUAGE js TO js_author;
SET ROLE js_author;
CREATE FUNCTION who() RETURNS text LANGUAGE js AS $$ return sql`SELECT current_user::text AS u`[0].u $$;
CREATE FUNCTION who_definer() RETURNS text SECURITY DEFINER LANGUAGE js AS $$
  return sql`SELECT current_user::text AS u`[0].u + " " + sql`SELECT js_errors.who() AS u`[0].u;
$$;
CREATE TABLE secret (v text); INSERT INTO secret VALUES ('s');
CREATE FUNCTION reads() RETURNS text LANGUAGE js AS $$ return sql`SELECT v FROM js_errors.secret`[0].v $$;
SELECT who(), who_definer(), reads();
SET ROLE js_caller;
SELECT js_errors.who(), js_errors.who_definer();
SELECT js_errors.reads();
RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA js_errors CASCADE;
REVOKE USAGE ON LANGUAGE js FROM js_author;
DROP ROLE js_author; DROP ROLE js_caller;
