-- Functions that call functions.
\getenv source PG_ABS_SRCDIR
\set messages `cat :'source'/functions/messages.js`
\set schema `cat :'source'/functions/schema.js`
\set nested `cat :'source'/functions/nested.js`
SELECT json_build_object('modules', json_build_array(json_build_object('path', 'messages.js', 'source', :'messages'),
        json_build_object('path', 'nested.js', 'source', :'nested')),
    'schema', json_build_object('path', 'schema.js', 'source', :'schema')) AS deployment \gset
SELECT live.deploy(:'deployment') IS NOT NULL AS deployed;

SELECT live.mutation('nested:catching');
SELECT live.mutation('nested:failingOutside');
SELECT live.query('nested:listBelow');
SELECT live.mutation('nested:cursorOverRollback');
SELECT live.mutation('nested:tableOverRollback', '{"table": "made"}');
SELECT count(*) FROM made;
DELETE FROM entries;
SELECT live.mutation('nested:parallel');
SELECT live.mutation('nested:stale');
SELECT live.mutation('nested:clocks');
SELECT live.mutation('nested:logs');
DELETE FROM entries;
SELECT jsonb_pretty(live.mutation('nested:refusals')::jsonb);
SELECT jsonb_pretty(live.query('nested:fromQuery')::jsonb);
SELECT live.mutation('nested:queryWrites');

-- Limits of values.
SELECT json_array_length(live.query('nested:wide', '{"n": 8192}'));
SELECT live.query('nested:wide', '{"n": 8193}');
SELECT length(live.query('nested:nest', '{"n": 64}')::text);
SELECT live.query('nested:nest', '{"n": 65}');
SELECT live.query('nested:list', json_build_object('a', array_fill(1, ARRAY[8193])));

-- What ends a function that is called ends its caller, too: time is counted over all of them.
SET pg_live.user_time_ms = 50;
SELECT live.mutation('nested:busyForever');
SELECT live.mutation('nested:catchForever');
RESET pg_live.user_time_ms;
SET statement_timeout = 200;
SELECT live.mutation('nested:catchForever');
RESET statement_timeout;

-- What is read below is read.
SELECT kind, "table", index, lower, upper FROM live.explain('nested:list') ORDER BY 1, 2;
SELECT kind, "table", index, lower, upper FROM live.explain('nested:listBelow') ORDER BY 1, 2;
SELECT kind, "table" FROM live.explain('nested:deep', '{"n": 2}') ORDER BY 1, 2;
SELECT kind FROM live.explain('nested:clock') ORDER BY 1;

-- Handles stay the same, name one function, and cannot be made up.
SELECT live.query('nested:handleOf', '{"name": "list"}')->>0 IS NULL AS text;
SELECT live.query('nested:handleOf', '{"name": "list"}') #>> '{}' AS handle \gset
SELECT :'handle' ~ '^function://[0-9a-f]{32}#nested:list$' AS formed;
SELECT live.query('nested:handleOf', '{"name": "list"}') #>> '{}' = :'handle' AS same;
SELECT live.query('nested:byHandle', json_build_object('functionHandle', :'handle'));
SELECT live.query('nested:byHandle', json_build_object('functionHandle', 'function://00000000000000000000000000000000#nested:list'));
SELECT live.query('nested:handleOf', '{"name": "nothing"}');
SELECT live.query('nested:byReference');
SELECT live.query('nested:names');

-- Limits.
INSERT INTO entries (_extra) SELECT jsonb_build_object('body', 'n' || n) FROM generate_series(1, 9) AS n;
SELECT jsonb_pretty(live.query('nested:metrics')::jsonb);
SELECT live.mutation('nested:limited', '{"limits": {"documentsRead": 5}}');
SELECT live.mutation('nested:limited', '{"limits": {"documentsRead": 100}}');
SELECT live.mutation('nested:limited', '{"limits": {"databaseQueries": 0}}');
SELECT live.mutation('nested:limited', '{"limits": {"documentsWritten": 0}, "type": "mutation", "name": "add", "args": {"body": "x"}}');
SELECT live.mutation('nested:limited', '{"limits": {"nothing": 0}}');
SELECT live.mutation('nested:limited', '{"limits": {"bytesRead": "x"}}');
SET pg_live.max_documents_read = 10;
SELECT live.query('nested:list');
SET pg_live.max_documents_read = 4;
SELECT live.query('nested:list');
RESET pg_live.max_documents_read;
SET pg_live.max_call_depth = 0;
SELECT live.query('nested:listBelow');
RESET pg_live.max_call_depth;
-- A session may lower a limit. Who is no superuser may not raise it.
SET ROLE app;
SET pg_live.max_documents_read = 100;
SHOW pg_live.max_documents_read;
SET pg_live.max_documents_read = 32001;
SET pg_live.max_bytes_read = '17MB';
SET pg_live.max_documents_read = 32000;
ALTER ROLE app SET pg_live.max_documents_read = 32001;
RESET ROLE;
ALTER ROLE app SET pg_live.max_documents_read = 50;
ALTER ROLE app LOGIN;
\c - app
SHOW pg_live.max_documents_read;
SET pg_live.max_documents_read = 51;
SET pg_live.max_documents_read = 49;
\c - postgres
SET pg_live.max_documents_read = 64000;
SHOW pg_live.max_documents_read;
ALTER ROLE app RESET pg_live.max_documents_read;
ALTER ROLE app NOLOGIN;
DELETE FROM entries;
DELETE FROM made;

-- Errors of Postgres in a mutation keep their SQLSTATE, one that is not in Postgres' list too. Where a
-- mutation called the mutation that met one, it can catch it; but no lost race.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'refused: %', NEW._extra->>'body' USING ERRCODE = NEW._extra->>'body', HINT = 'none';
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON entries FOR EACH ROW WHEN (length(NEW._extra->>'body') = 5) EXECUTE FUNCTION refuse();

DO $$
DECLARE
    code text;
BEGIN
    FOREACH code IN ARRAY ARRAY['23505', 'APP01', 'XX000', '40001'] LOOP
        BEGIN
            PERFORM live.mutation('nested:add', json_build_object('body', code));
        EXCEPTION WHEN OTHERS THEN
            RAISE INFO '% %', SQLSTATE, SQLERRM;
        END;
        BEGIN
            RAISE INFO 'caught: %', live.mutation('nested:catchingAny', json_build_object('body', code));
        EXCEPTION WHEN OTHERS THEN
            RAISE INFO 'not caught: % %', SQLSTATE, SQLERRM;
        END;
    END LOOP;
END $$;

SELECT live.query('nested:list');
DROP FUNCTION refuse CASCADE;
DELETE FROM entries;

-- Validators that cannot be kept are refused when they are deployed.
SELECT live.deploy(json_build_object('modules', json_build_array(json_build_object('path', 'bad.js', 'source', $$
    export const f = Object.assign(() => {}, { isQuery: true, isPublic: true, exportReturns: () => "null",
      exportArgs: () => '{"type":"object","value":{"at":{"fieldType":{"type":"commitTs"},"optional":false}}}' });
$$))));
SELECT live.deploy(json_build_object('modules', '[]'::json, 'schema', json_build_object('path', 'schema.js', 'source', $$
    export default { export: () => JSON.stringify({ schemaValidation: true, tables: [{ tableName: "t", indexes: [], documentType:
      { type: "object", value: { at: { fieldType: { type: "commitTs" }, optional: false } } } }] }) };
$$)));
