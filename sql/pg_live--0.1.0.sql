\echo Use "CREATE EXTENSION pg_live" to load this file. \quit

-- UTF8 only: documents hold any Unicode text, and keys compare its bytes.
DO $$
BEGIN
    IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION 'pg_live needs a database with encoding UTF8, this one has %',
                        pg_catalog.getdatabaseencoding()
            USING ERRCODE = 'LV010',
                  HINT = 'CREATE DATABASE app ENCODING ''UTF8'' LOCALE ''C'' TEMPLATE template0;';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'live_relay') THEN
        CREATE ROLE live_relay NOLOGIN;
    END IF;
END $$;

REVOKE ALL ON SCHEMA live FROM PUBLIC;
-- The defaults and checks of document tables name functions of this schema.
GRANT USAGE ON SCHEMA live TO PUBLIC;

-- One row per deployment ever finished or staged. A staged one has finished_at NULL.
CREATE TABLE live.deployments (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at  timestamptz NOT NULL DEFAULT pg_catalog.now(),
    finished_at timestamptz,
    author      name NOT NULL DEFAULT session_user,
    message     text,
    hash        text NOT NULL,
    -- What schema.ts exports; NULL without a schema.
    schema      json
);

-- The deployment in force, by component. `version` is drawn from a sequence at every change of the
-- catalog, so a number never means two states. Every read-set holds this table.
CREATE SEQUENCE live.version_seq;
CREATE TABLE live.active (
    component  text COLLATE "C" PRIMARY KEY,
    deployment bigint REFERENCES live.deployments (id),
    version    bigint NOT NULL DEFAULT pg_catalog.nextval('live.version_seq')
);
INSERT INTO live.active (component) VALUES ('');

-- Sources are kept once per content.
CREATE TABLE live.sources (
    hash       text COLLATE "C" PRIMARY KEY,
    source     text NOT NULL,
    source_map text
);
CREATE TABLE live.modules (
    deployment  bigint NOT NULL REFERENCES live.deployments (id) ON DELETE CASCADE,
    component   text COLLATE "C" NOT NULL,
    path        text COLLATE "C" NOT NULL,
    hash        text COLLATE "C" NOT NULL REFERENCES live.sources (hash),
    environment text NOT NULL,
    PRIMARY KEY (deployment, component, path)
);
CREATE TABLE live.functions (
    deployment bigint NOT NULL REFERENCES live.deployments (id) ON DELETE CASCADE,
    component  text COLLATE "C" NOT NULL,
    module     text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('Query', 'Mutation', 'Action')),
    visibility text CHECK (visibility IN ('public', 'internal')),
    args       json,
    returns    json,
    PRIMARY KEY (deployment, component, module, name)
);

-- Tables of documents: (component, name) -> number and relation; fields -> columns; indexes.
CREATE SEQUENCE live.table_number_seq START 10001;
CREATE TABLE live.tables (
    component text COLLATE "C" NOT NULL,
    name      text COLLATE "C" NOT NULL,
    number    integer NOT NULL UNIQUE,
    schema    name NOT NULL,
    relation  name NOT NULL,
    rule      text,
    PRIMARY KEY (component, name)
);
CREATE TABLE live.columns (
    component text COLLATE "C" NOT NULL,
    "table"   text COLLATE "C" NOT NULL,
    field     text COLLATE "C" NOT NULL,
    type      text NOT NULL CHECK (type IN ('text', 'float8', 'int8', 'bool', 'bytea', 'jsonb')),
    position  integer NOT NULL,
    PRIMARY KEY (component, "table", field),
    FOREIGN KEY (component, "table") REFERENCES live.tables (component, name) ON DELETE CASCADE
);
-- number: 1 by_creation_time, 2 by_id, from 3 on those of the schema; never used twice in a table.
CREATE TABLE live.indexes (
    component text COLLATE "C" NOT NULL,
    "table"   text COLLATE "C" NOT NULL,
    name      text COLLATE "C" NOT NULL,
    number    integer NOT NULL,
    fields    text[] NOT NULL,
    key       text NOT NULL,
    relation  name NOT NULL,
    PRIMARY KEY (component, "table", name),
    FOREIGN KEY (component, "table") REFERENCES live.tables (component, name) ON DELETE CASCADE
);
CREATE SEQUENCE live.index_number_seq START 3;

-- Indexes of a staged deployment on tables that hold rows: `statement` builds one without blocking
-- writers, by itself and outside of a transaction, before live.deploy_finish().
CREATE TABLE live.pending_indexes (
    deployment bigint NOT NULL REFERENCES live.deployments (id) ON DELETE CASCADE,
    component  text COLLATE "C" NOT NULL,
    "table"    text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    number     integer NOT NULL,
    key        text NOT NULL,
    relation   name NOT NULL,
    statement  text NOT NULL,
    PRIMARY KEY (deployment, component, "table", name)
);

CREATE TABLE live.settings (
    name  text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);
INSERT INTO live.settings VALUES ('schema', 'public');

-- What mutations of client sessions returned, so that a repeated request is answered, not run.
CREATE TABLE live.outcomes (
    session    uuid NOT NULL,
    request    bigint NOT NULL,
    outcome    json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (session, request)
);
CREATE INDEX outcomes_created_at ON live.outcomes (created_at);

-- Tables, and the counters behind them, that pg_dump carries over.
SELECT pg_catalog.pg_extension_config_dump('live.deployments', '');
SELECT pg_catalog.pg_extension_config_dump('live.sources', '');
SELECT pg_catalog.pg_extension_config_dump('live.modules', '');
SELECT pg_catalog.pg_extension_config_dump('live.functions', '');
SELECT pg_catalog.pg_extension_config_dump('live.tables', '');
SELECT pg_catalog.pg_extension_config_dump('live.columns', '');
SELECT pg_catalog.pg_extension_config_dump('live.indexes', '');
SELECT pg_catalog.pg_extension_config_dump('live.outcomes', '');
SELECT pg_catalog.pg_extension_config_dump('live.version_seq', '');
SELECT pg_catalog.pg_extension_config_dump('live.table_number_seq', '');
SELECT pg_catalog.pg_extension_config_dump('live.index_number_seq', '');
-- What the definitions of document tables use.

CREATE FUNCTION live.new_id(table_number integer) RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'live_new_id';
COMMENT ON FUNCTION live.new_id IS 'A new document id of the table with this number.';

CREATE FUNCTION live.creation_time() RETURNS float8
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'live_creation_time';
COMMENT ON FUNCTION live.creation_time IS
    'Milliseconds since 1970 of the transaction''s start; grows with each call in it.';

-- (_extra, field path, column or NULL, field path, column or NULL, ..., "_creationTime", _id)
CREATE FUNCTION live.index_key_v1(extra jsonb, VARIADIC fields "any") RETURNS bytea
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'live_index_key_v1';
COMMENT ON FUNCTION live.index_key_v1 IS
    'The key of a document in an index: its bytes order as documents do.';

-- (rule, _id, _extra, field, column, field, column, ...)
CREATE FUNCTION live.valid(rule text, id text, extra jsonb, VARIADIC fields "any") RETURNS boolean
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'live_valid';
COMMENT ON FUNCTION live.valid IS
    'True if the row is a document of the schema; an error that names the field otherwise.';

CREATE FUNCTION live.id_table(id text) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'live_id_table';
COMMENT ON FUNCTION live.id_table IS 'The table number in a document id; NULL if it is not one.';
-- Running and deploying functions. Only the deployment''s owner and the relay may call them;
-- live.setup() grants it to the owner.

CREATE FUNCTION live.query(path text, args json DEFAULT '{}') RETURNS json
    LANGUAGE c STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'live_query';
COMMENT ON FUNCTION live.query IS 'Runs a deployed query at the calling statement''s snapshot.';

CREATE FUNCTION live.mutation(path text, args json DEFAULT '{}') RETURNS json
    LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'live_mutation';
COMMENT ON FUNCTION live.mutation IS 'Runs a deployed mutation as a part of this transaction.';

CREATE FUNCTION live.explain(path text, args json DEFAULT '{}')
    RETURNS TABLE (kind text, "table" text, index text, lower text, upper text)
    LANGUAGE c STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'live_explain';
COMMENT ON FUNCTION live.explain IS 'The read-set of a query: what must change for it to run again.';

CREATE FUNCTION live.run_query(
        path text, args text, identity text, owner bigint, sub bigint, generation bigint)
    RETURNS TABLE (ok boolean, value text, error text, error_data text, log_lines text[],
                   journal text, c bigint, boot bigint, pos bigint, registered boolean,
                   not_live text)
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'live_run_query';
COMMENT ON FUNCTION live.run_query IS
    'For the relay: runs a query at the snapshot of a REPEATABLE READ READ ONLY transaction and registers its read-set.';

CREATE FUNCTION live.run_mutation(
        path text, args text, identity text, session text, request bigint)
    RETURNS TABLE (ok boolean, value text, error text, error_data text, log_lines text[],
                   replayed boolean)
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'live_run_mutation';
COMMENT ON FUNCTION live.run_mutation IS
    'For the relay: runs a mutation once per (session, request); its outcome is stored with its writes.';

CREATE FUNCTION live.setup(owner name) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target name;
BEGIN
    IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = owner) IS NOT FALSE THEN
        RAISE EXCEPTION 'the owner of a deployment must be an existing role that is not a superuser: %', owner
            USING ERRCODE = '22023',
                  HINT = 'CREATE ROLE app LOGIN; then SELECT live.setup(''app'');';
    END IF;
    INSERT INTO live.settings VALUES ('owner', owner)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value;
    SELECT value INTO target FROM live.settings WHERE name = 'schema';
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO %I', target, owner);
    EXECUTE format('GRANT EXECUTE ON FUNCTION live.query(text, json), live.mutation(text, json),'
        ' live.explain(text, json), live.deploy(json), live.deploy_start(json),'
        ' live.deploy_finish(bigint) TO %I', owner);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA live TO %I', owner);
END $$;
COMMENT ON FUNCTION live.setup IS 'Names the role that owns the deployment: its functions run as it, its tables belong to it.';

CREATE FUNCTION live.deploy_start(source json) RETURNS json
    LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'live_deploy_start';
COMMENT ON FUNCTION live.deploy_start IS
    'Stages a deployment and returns its number and the index builds to run before live.deploy_finish().';
CREATE FUNCTION live.deploy_finish(push bigint) RETURNS json
    LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'live_deploy_finish';
COMMENT ON FUNCTION live.deploy_finish IS 'Switches to a staged deployment, all or nothing.';
CREATE FUNCTION live.deploy(source json) RETURNS json
    LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'live_deploy';
COMMENT ON FUNCTION live.deploy IS 'live.deploy_start() and live.deploy_finish() in one call; builds indexes while it blocks writers.';

REVOKE EXECUTE ON FUNCTION live.query(text, json), live.mutation(text, json), live.explain(text, json),
    live.run_query(text, text, text, bigint, bigint, bigint),
    live.run_mutation(text, text, text, text, bigint),
    live.setup(name), live.deploy(json), live.deploy_start(json), live.deploy_finish(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION live.run_query(text, text, text, bigint, bigint, bigint),
    live.run_mutation(text, text, text, text, bigint), live.query(text, json), live.mutation(text, json)
    TO live_relay;
