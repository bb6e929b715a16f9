-- Deploys in halves, as the package's command line makes them; its system functions; documents from elsewhere.
SET client_min_messages = warning;
CREATE DATABASE halves;
\c halves
SET client_min_messages = warning;
CREATE EXTENSION pg_live;
CREATE ROLE halver LOGIN;
SELECT live.setup('halver');
SET SESSION AUTHORIZATION halver;

CREATE FUNCTION source(body text, type text) RETURNS json LANGUAGE sql AS $$
    SELECT json_build_object('modules', json_build_array(
        json_build_object('path', 'm.js', 'source',
            'const f = () => {}; f.isQuery = true; f.isPublic = true; f.exportArgs = () => ''{"type":"any"}'';'
            || 'f.exportReturns = () => ''null''; f.invokeQuery = async () => ' || to_json(to_json(body)::text)
            || '; export { f };'),
        json_build_object('path', 'machine.js', 'source', 'import "node:fs";', 'environment', 'node')),
    'schema', json_build_object('path', 'schema.js', 'source', 'export default { export: () => '
        || to_json(json_build_object('schemaValidation', true, 'tables', json_build_array(json_build_object(
            'tableName', 't', 'indexes', '[]'::json, 'documentType', json_build_object('type', 'object', 'value',
                json_build_object('a', json_build_object('fieldType', json_build_object('type', type), 'optional', false)
            )))))::text) || ' }'))
$$;
CREATE FUNCTION tries(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'went through';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || regexp_replace(SQLERRM, '[0-9a-z]{31,37}', '<id>', 'g');
END $$;

-- Staging puts nothing into force.
SELECT live.deploy_stage(source('one', 'number')) AS staged;
SELECT deployment FROM live.active;
SELECT count(*) FROM live.tables;
SELECT live.deploy_prepare(1) AS prepared;
SELECT live.deploy_note(1, 'the first');
SELECT live.deploy_finish(1)->'tables' AS tables;
SELECT id, message FROM live.deployments WHERE finished_at IS NOT NULL;
SELECT live.query('m:f');
SELECT tries($$SELECT live.query('machine:f')$$);
-- The same again is no deployment, and prepares nothing.
SELECT live.deploy_stage(source('one', 'number')) AS staged, live.deploy_prepare(1) AS prepared;

-- Documents that do not fit are told before the switch; what runs runs on.
INSERT INTO t (a) VALUES (1);
SELECT live.deploy_stage(source('two', 'string')) AS staged;
SELECT tries('SELECT live.deploy_prepare(2)');
-- Of two that were staged for the same deployment the second is overtaken.
SELECT live.deploy_stage(source('three', 'number')) AS staged;
SELECT live.deploy_stage(source('four', 'number')) AS staged;
SELECT live.deploy_finish(3)->'deployment' AS deployment;
SELECT tries('SELECT live.deploy_prepare(4)');
SELECT tries('SELECT live.deploy_finish(4)');
SELECT live.query('m:f');

-- What the command line asks.
SELECT live.query('_system/cli/tables', '{"paginationOpts": {"cursor": null, "numItems": 10}}')->'page' AS page;
SELECT page->'page'->0->'a' AS a, page->'isDone' AS done
FROM live.query('_system/cli/tableData', '{"table": "t", "order": "asc", "paginationOpts": {"cursor": null, "numItems": 2}}') AS page;
SELECT live.query('_system/cli/tableSize', '{"tableName": "t"}');
SELECT live.set_environment('CONVEX_CLOUD_URL', 'http://x'), live.set_environment('A', 'b');
SELECT live.query('_system/cli/queryEnvironmentVariables');
SELECT live.query('_system/cli/queryEnvironmentVariables:get', '{"name": "A"}');
SELECT live.query('_system/cli/convexUrl:cloudUrl');
SELECT live.query('_system/cli/modules:apiSpec');
SELECT live.query('_system/cli/queryImport:list');
SELECT tries($$SELECT live.query('_system/cli/nothing')$$);

-- A query that is not deployed.
SELECT * FROM live.query_source($$
    import { query } from "convex:/_system/repl/wrappers.js";
    export default query({ handler: async (ctx, { by }) => {
        console.log("there");
        return (await ctx.db.query("t").collect()).map((t) => t.a * by);
    } });
$$, '{"by": 3}');
SELECT ok, split_part(error, E'\n', 1) AS error FROM live.query_source('import "./m.js"; export default 1');
SELECT ok, split_part(error, E'\n', 1) AS error FROM live.query_source($$
    import { query } from "convex:/_system/repl/wrappers.js";
    export default query(async (ctx) => await ctx.db.insert("t", { a: 1 }))$$);

-- Documents from elsewhere: tables keep their numbers if they can, ids in them follow.
SELECT live.import_table('u', 20000, false) AS u, live.import_table('t', 20001, false) AS t;
SELECT live.import_table('v', NULL, false) AS v, live.import_table('w', 20000, false) AS w;
SELECT live.new_id(20001) AS foreign_id \gset
SELECT live.import_documents('u', ARRAY[
    json_build_object('_id', live.new_id(20000), '_creationTime', 12.5, 'of', :'foreign_id', 'n', 7)::text],
    '{"20001": 10001}', true);
SELECT "_creationTime", live.id_table(_extra->>'of') AS of, _extra->'n' AS n FROM u;
SELECT live.import_documents('t', ARRAY['{"a": 7}', '{"a": 7.5}'], '{}', true);
SELECT a FROM t ORDER BY a;
SELECT tries($$SELECT live.import_documents('t', ARRAY['{"a": 8}', '{"a": "x"}'], '{}', true)$$);
SELECT tries($$SELECT live.import_documents('t', ARRAY[json_build_object('_id', live.new_id(20000), 'a', 1)::text], '{}', true)$$);
SELECT tries($$SELECT live.import_documents('nothing', ARRAY['{}'], '{}', true)$$);
SELECT tries($$SELECT live.import_table('_x', NULL, true)$$);
SELECT live.import_table('t', NULL, true) AS t;
SELECT count(*) FROM t;

-- None of it for anybody else.
RESET SESSION AUTHORIZATION;
SET ROLE live_relay;
SELECT tries($$SELECT live.deploy_stage('{"modules": []}')$$), tries($$SELECT live.deploy_prepare(1)$$),
    tries($$SELECT live.deploy_note(1, 'x')$$), tries($$SELECT live.import_table('t', NULL, true)$$),
    tries($$SELECT live.import_documents('t', ARRAY['{}'], '{}', true)$$), tries($$SELECT live.query_source('')$$) \gx
RESET ROLE;
\c postgres
DROP DATABASE halves;
DROP ROLE halver;
