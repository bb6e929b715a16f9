-- SQL faces: public queries and mutations as functions of SQL.
\set module 'const fn = (kind, rest, body) => Object.assign(() => {}, { [`is${kind}`]: true, exportArgs: () => \'{"type":"any"}\', exportReturns: () => \'{"type":"any"}\', [`invoke${kind}`]: async (args) => JSON.stringify(body(JSON.parse(args)[0])), ...rest });'
SELECT json_build_object('modules', json_build_array(
    json_build_object('path', 'faces.js', 'source', :'module' || $$
      export const list = fn("Query", { isPublic: true }, (args) => ["list", args]);
      export const add = fn("Mutation", { isPublic: true }, (args) => ["add", args]);
      export const hidden = fn("Query", { isInternal: true }, (args) => ["hidden", args]);
      export const gone = fn("Query", { isPublic: true }, (args) => ["gone", args]);
      export const it_s_a_very_long_name_for_a_function_of_a_deployment_indeed_it_is = fn("Query", { isPublic: true }, () => "long");
    $$),
    json_build_object('path', 'deep/down.js', 'source', :'module' || $$
      export default fn("Query", { isPublic: true }, () => "default");
    $$))) AS first \gset
SELECT live.deploy(:'first')->'functions' AS functions;
SELECT p.oid::regprocedure, p.provolatile, p.prosecdef, r.rolname, p.proacl
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner
WHERE n.nspname = 'app' ORDER BY p.proname;
SELECT app."faces:list"();
SELECT app."faces:list"('{"a": 1}'), app."faces:add"(args => '{"b": 2}'), app."deep/down:default"();
SELECT app."faces:list"(NULL) IS NULL AS strict;

-- Nobody else may call them; grants stay over deploys, also when a query becomes a mutation.
CREATE ROLE face_caller;
GRANT USAGE ON SCHEMA app TO face_caller;
SET ROLE face_caller;
SELECT app."faces:list"();
RESET ROLE;
GRANT EXECUTE ON FUNCTION app."faces:list"(json) TO face_caller;
SELECT json_build_object('modules', json_build_array(
    json_build_object('path', 'faces.js', 'source', :'module' || $$
      export const list = fn("Mutation", { isPublic: true }, (args) => ["list, a mutation", args]);
      export const add = fn("Mutation", { isPublic: true }, (args) => ["add", args]);
    $$))) AS second \gset
SELECT live.deploy(:'second')->'functions' AS functions;
SELECT p.oid::regprocedure, p.provolatile, p.proacl
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'app' ORDER BY p.proname;
SET ROLE face_caller;
SELECT app."faces:list"();
SELECT app."faces:add"();
RESET ROLE;

-- A function that is somebody else's is not replaced, and the deploy fails as a whole.
CREATE FUNCTION app."faces:gone"(json) RETURNS json LANGUAGE sql AS 'SELECT $1';
SELECT live.deploy(:'first')->'functions' AS functions;
DROP FUNCTION app."faces:gone"(json);
SELECT count(*) FROM pg_proc WHERE pronamespace = 'app'::regnamespace;
-- A face that was dropped comes back.
DROP FUNCTION app."faces:add"(json);
SELECT live.deploy(:'first')->'functions' IS NOT NULL AS deployed;
SELECT app."faces:add"();
REVOKE ALL ON SCHEMA app FROM face_caller;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA app FROM face_caller;
DROP ROLE face_caller;
