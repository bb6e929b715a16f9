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
    IF NOT 'pg_live' = ANY (pg_catalog.regexp_split_to_array(
            pg_catalog.current_setting('shared_preload_libraries'), '[\s,"]+')) THEN
        RAISE EXCEPTION 'pg_live is not preloaded'
            USING ERRCODE = 'LV001',
                  HINT = 'Add pg_live to shared_preload_libraries in postgresql.conf and restart the server.';
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
    schema      json,
    -- What auth.config.ts exports: whose tokens are accepted. NULL: nobody's.
    auth        json,
    -- The deployment that was in force when this one was staged: it is prepared for that one only.
    base        bigint,
    -- The deployment that this one brings back.
    rollback_of bigint,
    -- What it added, changed and removed: see live.deployment_diff().
    diff        json
);
COMMENT ON TABLE live.deployments IS
    'Who deployed what and when: diff says what changed against the deployment before. live.rollback(id) goes back.';

-- The deployment in force, by component; the row comes with live.setup(). `version` is drawn from a sequence at every change of the
-- catalog, so a number never means two states; `code` at every change of what code sees while it is imported: the deployment and
-- the environment. Every read-set holds this table.
CREATE SEQUENCE live.version_seq;
CREATE TABLE live.active (
    component  text COLLATE "C" PRIMARY KEY,
    deployment bigint REFERENCES live.deployments (id),
    version    bigint NOT NULL DEFAULT pg_catalog.nextval('live.version_seq'),
    code       bigint NOT NULL DEFAULT pg_catalog.nextval('live.version_seq')
);

-- What functions find in process.env. For the owner of the deployment only.
CREATE TABLE live.environment (
    component text COLLATE "C" NOT NULL,
    name      text COLLATE "C" NOT NULL,
    value     text NOT NULL,
    PRIMARY KEY (component, name)
);

-- Sources are kept once per content.
CREATE TABLE live.sources (
    hash       text COLLATE "C" PRIMARY KEY,
    source     text NOT NULL,
    source_map text
);
-- A push of megabytes waits for this; not every build of Postgres has it.
DO $$ BEGIN
    ALTER TABLE live.sources ALTER COLUMN source SET COMPRESSION lz4, ALTER COLUMN source_map SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN NULL;
END $$;
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
    context    text NOT NULL CHECK (context IN ('fresh', 'reused', 'guarded')),
    reason     text NOT NULL,
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
    -- Built in the background; not to be queried before the schema enables it.
    staged    boolean NOT NULL,
    PRIMARY KEY (component, "table", name),
    FOREIGN KEY (component, "table") REFERENCES live.tables (component, name) ON DELETE CASCADE
);
CREATE SEQUENCE live.index_number_seq START 3;

-- Indexes that are built or dropped beside readers and writers, by statements of their own outside
-- of transactions: those that a staged deployment waits for, and (deployment NULL) those to drop.
CREATE TABLE live.index_builds (
    relation   name PRIMARY KEY,
    component  text COLLATE "C" NOT NULL,
    schema     name NOT NULL,
    "table"    text COLLATE "C" NOT NULL,
    deployment bigint REFERENCES live.deployments (id) ON DELETE SET NULL,
    -- The index of the schema; NULL: the one that holds the rows that do not match the new schema.
    name       text COLLATE "C",
    number     integer NOT NULL,
    -- What follows CREATE INDEX ... ON; the condition again by itself.
    definition text NOT NULL,
    predicate  text,
    error      text,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    FOREIGN KEY (component, "table") REFERENCES live.tables (component, name) ON DELETE CASCADE
);

CREATE VIEW live.pending_indexes AS
    SELECT w.component, w."table", w.index,
        CASE WHEN p.pid IS NOT NULL THEN 'building'
             WHEN w.dropped THEN 'to be dropped'
             WHEN i.indisvalid THEN 'built'
             WHEN i.indexrelid IS NOT NULL THEN 'invalid'
             ELSE 'waiting' END AS state,
        p.phase,
        pg_catalog.round(100.0 * CASE WHEN p.blocks_total > 0 THEN p.blocks_done::numeric / p.blocks_total
            WHEN p.tuples_total > 0 THEN p.tuples_done::numeric / p.tuples_total END, 1) AS percent,
        w.error, w.deployment, w.staged, w.relation,
        CASE WHEN p.pid IS NOT NULL OR (i.indisvalid AND NOT w.dropped) THEN NULL
             WHEN i.indexrelid IS NOT NULL THEN pg_catalog.format('DROP INDEX CONCURRENTLY %I.%I', w.schema, w.relation)
             ELSE pg_catalog.format('CREATE INDEX CONCURRENTLY %I ON %s', w.relation, w.definition) END AS statement
    FROM (
        SELECT b.component, b.schema, b."table", coalesce(b.name, '(documents that do not match)') AS index,
            b.relation, b.deployment, b.deployment IS NULL AS dropped, false AS staged, b.error, b.definition
        FROM live.index_builds AS b
        UNION ALL
        SELECT x.component, t.schema, x."table", x.name, x.relation, a.deployment, false, true, NULL,
            pg_catalog.format('%I.%I (%s)', t.schema, t.relation, x.key)
        FROM live.indexes AS x JOIN live.tables AS t ON t.component = x.component AND t.name = x."table"
        LEFT JOIN live.active AS a ON a.component = x.component
        WHERE x.staged
    ) AS w
    LEFT JOIN pg_catalog.pg_index AS i
        ON i.indexrelid = pg_catalog.to_regclass(pg_catalog.format('%I.%I', w.schema, w.relation))
    LEFT JOIN pg_catalog.pg_stat_progress_create_index AS p ON p.index_relid = i.indexrelid
    WHERE NOT (w.dropped AND i.indexrelid IS NULL) AND NOT (w.staged AND i.indisvalid IS TRUE);
COMMENT ON VIEW live.pending_indexes IS
    'Indexes that deploys wait for, build in the background or have yet to drop; phase and percent while one is built. Each statement is to be run by itself; an invalid index is dropped first.';

-- Two deployments compared, by what their sources say.
CREATE FUNCTION live.deployment_diff(before bigint, after bigint) RETURNS json
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH part (deployment, kind, name, content) AS (
        SELECT f.deployment, 'functions', regexp_replace(f.module, '\.js$', '') || ':' || f.name,
            concat_ws(' ', f.kind, f.visibility, f.args, f.returns, m.hash)
        FROM live.functions AS f
        LEFT JOIN live.modules AS m ON m.deployment = f.deployment AND m.component = f.component AND m.path = f.module
        WHERE f.deployment IN (before, after) AND f.component = ''
        UNION ALL
        SELECT m.deployment, 'modules', m.path, concat_ws(' ', m.hash, m.environment) FROM live.modules AS m
        WHERE m.deployment IN (before, after) AND m.component = ''
            AND m.path NOT LIKE '\_deps/%' AND m.path NOT LIKE '\_generated/%'
        UNION ALL
        SELECT d.id, 'tables', t ->> 'tableName', concat_ws(' ', t -> 'documentType', d.schema -> 'schemaValidation')
        FROM live.deployments AS d, json_array_elements(d.schema -> 'tables') AS t
        WHERE d.id IN (before, after)
        UNION ALL
        SELECT d.id, 'indexes', concat_ws('.', t ->> 'tableName', i ->> 'indexDescriptor'), i::text
        FROM live.deployments AS d, json_array_elements(d.schema -> 'tables') AS t,
            json_array_elements(t -> 'indexes') AS i
        WHERE d.id IN (before, after)
    ), compared AS (
        SELECT kind, name, CASE WHEN b.content IS NULL THEN 'added' WHEN a.content IS NULL THEN 'removed'
            WHEN a.content <> b.content THEN 'changed' END AS change
        FROM (SELECT * FROM part WHERE deployment = before) AS b
        FULL JOIN (SELECT * FROM part WHERE deployment = after) AS a USING (kind, name)
    )
    SELECT json_object_agg(k.kind, (
        SELECT coalesce(json_object_agg(x.change, x.names ORDER BY x.change), '{}')
        FROM (SELECT c.change, json_agg(c.name ORDER BY c.name) AS names FROM compared AS c
            WHERE c.kind = k.kind AND c.change IS NOT NULL GROUP BY c.change) AS x) ORDER BY k.place)
    FROM unnest(ARRAY['functions', 'modules', 'tables', 'indexes']) WITH ORDINALITY AS k (kind, place)
    $$;
COMMENT ON FUNCTION live.deployment_diff IS
    'What the second deployment adds to, changes in and removes from the first: functions, modules, tables, indexes.';

-- owner: the role of the deployment; schema: where its tables are (public); handle_key: what function
-- handles are made with.
CREATE TABLE live.settings (
    name  text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

-- What mutations of client sessions returned, so that a repeated request is answered, not run.
CREATE TABLE live.outcomes (
    session    uuid NOT NULL,
    request    bigint NOT NULL,
    outcome    json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (session, request)
);
CREATE INDEX outcomes_created_at ON live.outcomes (created_at);

-- SQL functions made by deploys, one per public query and mutation; kind: Query, Mutation.
CREATE TABLE live.faces (
    schema name NOT NULL,
    name   name NOT NULL,
    path   text NOT NULL,
    kind   text NOT NULL,
    PRIMARY KEY (schema, name)
);

-- Tables, and the counters behind them, that pg_dump carries over.
SELECT pg_catalog.pg_extension_config_dump('live.faces', '');
SELECT pg_catalog.pg_extension_config_dump('live.deployments', '');
SELECT pg_catalog.pg_extension_config_dump('live.environment', '');
SELECT pg_catalog.pg_extension_config_dump('live.sources', '');
SELECT pg_catalog.pg_extension_config_dump('live.modules', '');
SELECT pg_catalog.pg_extension_config_dump('live.functions', '');
SELECT pg_catalog.pg_extension_config_dump('live.tables', '');
SELECT pg_catalog.pg_extension_config_dump('live.columns', '');
SELECT pg_catalog.pg_extension_config_dump('live.indexes', '');
SELECT pg_catalog.pg_extension_config_dump('live.index_builds', '');
SELECT pg_catalog.pg_extension_config_dump('live.outcomes', '');
SELECT pg_catalog.pg_extension_config_dump('live.active', '');
SELECT pg_catalog.pg_extension_config_dump('live.settings', '');
SELECT pg_catalog.pg_extension_config_dump('live.deployments_id_seq', '');
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
-- A table without columns of its own.
CREATE FUNCTION live.valid(rule text, id text, extra jsonb) RETURNS boolean
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'live_valid';
COMMENT ON FUNCTION live.valid(text, text, jsonb, "any") IS
    'True if the row is a document of the schema; an error that names the field otherwise.';

-- The same as an answer: for rows that were written before the rule is in force.
CREATE FUNCTION live.matches(rule text, id text, extra jsonb, VARIADIC fields "any") RETURNS boolean
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'live_matches';
CREATE FUNCTION live.matches(rule text, id text, extra jsonb) RETURNS boolean
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'live_matches';
COMMENT ON FUNCTION live.matches(text, text, jsonb, "any") IS
    'Whether the row is a document of the schema.';

CREATE FUNCTION live.id_number(id text) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'live_id_number';
COMMENT ON FUNCTION live.id_number IS 'The table number in a document id; NULL if it is not one.';

-- Whoever has an id may learn its table; live.tables itself is for the owner.
CREATE FUNCTION live.id_table(id text) RETURNS regclass
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT to_regclass(format('%I.%I', schema, relation)) FROM live.tables
     WHERE number = live.id_number(id)
    $$;
COMMENT ON FUNCTION live.id_table IS
    'The table that a document id belongs to; NULL if it is no id or there is no such table.';

CREATE FUNCTION live.id_time(id text) RETURNS timestamptz
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'live_id_time';
COMMENT ON FUNCTION live.id_time IS
    'When a document id was made; NULL if it is no id or was made by another system.';
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

CREATE FUNCTION live.query_source(source text, args json DEFAULT '{}')
    RETURNS TABLE (ok boolean, value text, error text, error_data text, log_lines text[])
    LANGUAGE c STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'live_query_source';
COMMENT ON FUNCTION live.query_source IS
    'Runs the query that a module of JavaScript exports by default, without deploying it.';

CREATE FUNCTION live.explain(path text, args json DEFAULT '{}')
    RETURNS TABLE (kind text, "table" text, index text, lower text, upper text,
        columns text, condition text, reason text)
    LANGUAGE c STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'live_explain';
COMMENT ON FUNCTION live.explain IS 'The read-set of a query: what must change for it to run again.';

CREATE FUNCTION live.narrows(operator oid) RETURNS boolean
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'live_narrows';
COMMENT ON FUNCTION live.narrows IS
    'Whether a condition of SQL with this operator can make a read-set smaller than the table.';

CREATE FUNCTION live.plan_walk(query text, repetitions integer, OUT planning float8, OUT walk float8, OUT again float8)
    RETURNS SETOF record
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'live_plan_walk';
COMMENT ON FUNCTION live.plan_walk IS
    'Microseconds to plan a query, to find out what the plan reads, and to say so again for a plan that is kept.';
REVOKE ALL ON FUNCTION live.plan_walk FROM PUBLIC;

CREATE FUNCTION live.run_query(
        path text, args text, identity text, owner bigint, sub bigint, generation bigint,
        known_journal text DEFAULT NULL)
    RETURNS TABLE (ok boolean, value text, error text, error_data text, log_lines text[],
                   journal text, c bigint, boot bigint, pos bigint, registered boolean,
                   not_live text, snapshot bytea, reads bytea, used_identity boolean,
                   used_clock boolean)
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'live_run_query';
COMMENT ON FUNCTION live.run_query IS
    'For the relay: runs a query at the snapshot of a REPEATABLE READ READ ONLY transaction and registers its read-set; on a standby it returns both for live.register() on the primary.';

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
    INSERT INTO live.settings VALUES ('handle_key', gen_random_uuid()::text)
        ON CONFLICT (name) DO NOTHING;
    INSERT INTO live.active (component) VALUES ('')
        ON CONFLICT (component) DO UPDATE SET version = nextval('live.version_seq');
    target := coalesce((SELECT value FROM live.settings WHERE name = 'schema'), 'public');
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO %I', target, owner);
    EXECUTE format('GRANT EXECUTE ON FUNCTION live.query(text, json), live.mutation(text, json),'
        ' live.explain(text, json), live.deploy(json, text, boolean), live.deploy_start(json),'
        ' live.deploy_stage(json), live.deploy_prepare(bigint), live.deploy_note(bigint, text),'
        ' live.deploy_finish(bigint), live.deploy_abandon(bigint, text), live.rollback(bigint, boolean),'
        ' live.deployment_diff(bigint, bigint),'
        ' live.set_environment(text, text), live.auth_config(),'
        ' live.prune(integer, interval), live.status(), live.counters() TO %I', owner);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA live TO %I', owner);
    EXECUTE format('GRANT EXECUTE ON FUNCTION live.import_table(text, integer, boolean),'
        ' live.import_documents(text, text[], json, boolean), live.query_source(text, json),'
        ' live.preview(text, json) TO %I', owner);
    EXECUTE format('GRANT EXECUTE ON FUNCTION live.prepare_connection(),'
        ' live.run_query(text, text, text, bigint, bigint, bigint, text),'
        ' live.run_mutation(text, text, text, text, bigint) TO %I', owner);
    EXECUTE format('GRANT INSERT, UPDATE, DELETE ON live.imports, live.import_parts TO %I', owner);
END $$;
COMMENT ON FUNCTION live.setup IS 'Names the role that owns the deployment: its functions run as it, its tables belong to it.';

-- Imports of documents: what was uploaded, in parts, and how far each is. Nothing of it is dumped.
CREATE TABLE live.imports (
    id         text COLLATE "C" PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    request    json NOT NULL,
    -- As the package's command line reads it.
    state      json NOT NULL
);
CREATE TABLE live.import_parts (
    import text COLLATE "C" NOT NULL,
    part   integer NOT NULL,
    -- Parts that no import has taken go after a day.
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    bytes  bytea NOT NULL,
    PRIMARY KEY (import, part)
);

CREATE FUNCTION live.import_table(name text, number integer, replace boolean) RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'live_import_table';
COMMENT ON FUNCTION live.import_table IS
    'Makes the table if there is none, with that number if it is free, or empties it. Returns its number.';
CREATE FUNCTION live.import_documents(name text, documents text[], numbers json, integers boolean) RETURNS bigint
    LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'live_import_documents';
COMMENT ON FUNCTION live.import_documents IS
    'Inserts documents (JSON) with their _id and _creationTime if they have them. numbers: of tables, as in their ids and as here.';

-- A new version of the catalog: everything that is live runs again. What live.active says last counts for
-- those who wait for its row.
CREATE FUNCTION live.set_environment(name text, value text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
    IF name IS NULL OR name !~ '^[A-Za-z_][A-Za-z0-9_]{0,255}$' THEN
        RAISE EXCEPTION 'the name of an environment variable must consist of letters, digits and underscores: %',
                        quote_nullable(name)
            USING ERRCODE = '22023';
    END IF;
    IF octet_length(value) > 8192 THEN
        RAISE EXCEPTION 'the value of environment variable % has % bytes, more than 8192', name, octet_length(value)
            USING ERRCODE = '22023', HINT = 'Keep large values in a table.';
    END IF;
    PERFORM FROM live.active AS a WHERE a.component = '' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'deployments have no owner in this database yet'
            USING ERRCODE = 'LV004', HINT = 'As a superuser: SELECT live.setup(''<role>'');';
    END IF;
    IF value IS NULL THEN
        DELETE FROM live.environment AS e WHERE e.component = '' AND e.name = name;
    ELSE
        INSERT INTO live.environment AS e VALUES ('', name, value)
            ON CONFLICT ON CONSTRAINT environment_pkey DO UPDATE SET value = excluded.value
            WHERE e.value <> excluded.value;
    END IF;
    IF FOUND THEN
        UPDATE live.active AS a SET version = nextval('live.version_seq'), code = nextval('live.version_seq')
            WHERE a.component = '';
    END IF;
    IF (SELECT count(*) FROM live.environment AS e WHERE e.component = '') > 1000 THEN
        RAISE EXCEPTION 'a deployment has at most 1000 environment variables' USING ERRCODE = '54000';
    END IF;
END $$;
COMMENT ON FUNCTION live.set_environment IS
    'Sets a variable that functions find in process.env; NULL removes it. All live queries run again.';

CREATE FUNCTION live.auth_config() RETURNS json
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT d.auth FROM live.active AS a JOIN live.deployments AS d ON d.id = a.deployment WHERE a.component = '' $$;
COMMENT ON FUNCTION live.auth_config IS 'Whose tokens the deployment in force accepts, as auth.config.ts exports it.';

-- Locks are had at once or given back, and tried again: nobody queues up behind a deploy.
CREATE FUNCTION live.deploy_start(source json) RETURNS json
    LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '100ms' SET deadlock_timeout = '50ms'
    AS 'MODULE_PATHNAME', 'live_deploy_start';
COMMENT ON FUNCTION live.deploy_start IS
    'Stages a deployment and returns its number and the statements (index builds) to run, each by itself, before live.deploy_finish().';
-- The two halves of it, for tools that look at what was staged before they go on.
CREATE FUNCTION live.deploy_stage(source json) RETURNS json
    LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'live_deploy_stage';
COMMENT ON FUNCTION live.deploy_stage IS
    'Stores a deployment and returns its number; nothing of it is in force, nothing is prepared for it.';
CREATE FUNCTION live.deploy_prepare(push bigint) RETURNS json
    LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '100ms' SET deadlock_timeout = '50ms'
    AS 'MODULE_PATHNAME', 'live_deploy_prepare';
COMMENT ON FUNCTION live.deploy_prepare IS
    'Checks the documents for a staged deployment and returns the statements (index builds) to run, each by itself, before live.deploy_finish().';
CREATE FUNCTION live.deploy_note(push bigint, message text) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ UPDATE live.deployments AS d SET message = deploy_note.message WHERE d.id = push AND d.finished_at IS NULL $$;
COMMENT ON FUNCTION live.deploy_note IS 'Says of a staged deployment what it is for.';
CREATE FUNCTION live.deploy_finish(push bigint) RETURNS json
    LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '100ms' SET deadlock_timeout = '50ms'
    AS 'MODULE_PATHNAME', 'live_deploy_finish';
COMMENT ON FUNCTION live.deploy_finish IS
    'Switches to a staged deployment, all or nothing, and returns the statements to run, each by itself, afterwards.';
CREATE FUNCTION live.deploy_abandon(push bigint, reason text) RETURNS json
    LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '100ms' SET deadlock_timeout = '50ms'
    AS 'MODULE_PATHNAME', 'live_deploy_abandon';
COMMENT ON FUNCTION live.deploy_abandon IS
    'Gives a staged deployment up and returns the statements that remove what was built for it.';
CREATE FUNCTION live.deploy(source json, message text DEFAULT NULL, at_once boolean DEFAULT false) RETURNS json
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '100ms' SET deadlock_timeout = '50ms'
    AS 'MODULE_PATHNAME', 'live_deploy';
COMMENT ON FUNCTION live.deploy IS
    'Deploys JavaScript modules, {"messages.js": "..."}, or a bundle, in one call. If large tables must be read or indexed first it stays pending and says how; at_once: it does so while others wait.';
CREATE FUNCTION live.rollback(deployment bigint, at_once boolean DEFAULT false) RETURNS json
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '100ms' SET deadlock_timeout = '50ms'
    AS 'MODULE_PATHNAME', 'live_rollback';
COMMENT ON FUNCTION live.rollback IS
    'Brings code and schema of an earlier deployment (live.deployments) back into force, as a new deployment; documents stay as they are.';

-- Sources go only if no deployment is being staged, which may use one that is there already.
CREATE FUNCTION live.prune(keep integer DEFAULT 20, outcomes interval DEFAULT '7 days') RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM live.outcomes AS o WHERE o.created_at < now() - outcomes;
    DELETE FROM live.deployments AS d
    WHERE NOT EXISTS (SELECT FROM live.active AS a WHERE a.deployment = d.id)
        AND d.id NOT IN (SELECT f.id FROM live.deployments AS f
            WHERE f.finished_at IS NOT NULL ORDER BY f.finished_at DESC, f.id DESC LIMIT greatest(keep, 0))
        AND (d.finished_at IS NOT NULL OR d.created_at < now() - interval '1 day');
    BEGIN
        LOCK TABLE live.sources IN SHARE ROW EXCLUSIVE MODE NOWAIT;
        DELETE FROM live.sources AS s
        WHERE NOT EXISTS (SELECT FROM live.modules AS m WHERE m.hash = s.hash);
    EXCEPTION WHEN lock_not_available THEN
        NULL; -- The next one does it.
    END;
END $$;
COMMENT ON FUNCTION live.prune IS
    'Removes all but the newest deployments with their sources, and outcomes of mutations that no client will ask for again.';

REVOKE EXECUTE ON FUNCTION live.query(text, json), live.mutation(text, json), live.explain(text, json),
    live.run_query(text, text, text, bigint, bigint, bigint, text),
    live.run_mutation(text, text, text, text, bigint),
    live.setup(name), live.deploy(json, text, boolean), live.deploy_start(json), live.deploy_finish(bigint),
    live.deploy_stage(json), live.deploy_prepare(bigint), live.deploy_note(bigint, text),
    live.import_table(text, integer, boolean), live.import_documents(text, text[], json, boolean),
    live.query_source(text, json),
    live.deploy_abandon(bigint, text), live.rollback(bigint, boolean), live.deployment_diff(bigint, bigint),
    live.set_environment(text, text), live.auth_config(),
    live.prune(integer, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION live.auth_config(), live.run_query(text, text, text, bigint, bigint, bigint, text),
    live.run_mutation(text, text, text, text, bigint), live.query(text, json), live.mutation(text, json)
    TO live_relay;

-- Capture, live queries and their worker.

-- The number of each boot of the worker; never the same twice, over dump and restore too.
CREATE SEQUENCE live.boot_seq;
SELECT pg_catalog.pg_extension_config_dump('live.boot_seq', '');

CREATE FUNCTION live.prepare_connection() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_prepare_connection';
COMMENT ON FUNCTION live.prepare_connection() IS
'To be called once per connection, in READ COMMITTED, before live queries are run on it.';

CREATE FUNCTION live.attach(owner bigint) RETURNS bigint
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_attach';
COMMENT ON FUNCTION live.attach(bigint) IS
'Makes this session the one of a relay: its live queries are kept until the session ends. Returns the boot of the worker, 0 if it is not up yet (try again).';

CREATE FUNCTION live.next(owner bigint, boot bigint, after bigint,
    OUT boot bigint, OUT n bigint, OUT c bigint, OUT sub bigint, OUT generation bigint)
RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_next';
COMMENT ON FUNCTION live.next(bigint, bigint, bigint) IS
'The invalidations of a relay in its batches after a number. Error LV005: attach anew and register every query again.';

CREATE FUNCTION live.unregister(owner bigint, subs bigint[]) RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_unregister';
COMMENT ON FUNCTION live.unregister(bigint, bigint[]) IS
'Forgets live queries of a relay.';

CREATE FUNCTION live.last_commit(OUT boot bigint, OUT c bigint, OUT clean boolean) RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_last_commit';
COMMENT ON FUNCTION live.last_commit() IS
'The place of the transaction that this session committed last, if it wrote; else the present. Not clean: something was left in the session.';

CREATE FUNCTION live.clock(OUT boot bigint, OUT c bigint) RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_clock';
COMMENT ON FUNCTION live.clock() IS
'The present: boot of the worker (0 if none) and how many transactions have completed.';

CREATE FUNCTION live.watermark(owner bigint, patience_ms integer,
    OUT boot bigint, OUT c bigint, OUT w bigint, OUT n bigint, OUT clear boolean)
RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_watermark';
COMMENT ON FUNCTION live.watermark(bigint, integer) IS
'The place of the snapshot of this REPEATABLE READ transaction, and what the worker has worked off: its position, the number of the owner''s last batch, and whether each commit that the snapshot sees was told of.';

CREATE FUNCTION live.import_snapshot(c bigint) RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_import_snapshot';
COMMENT ON FUNCTION live.import_snapshot(bigint) IS
'To be called after SET TRANSACTION SNAPSHOT, with the c that live.watermark() gave to the exporter.';

CREATE FUNCTION live.replica_ticket(OUT boot bigint, OUT c bigint, OUT lsn pg_lsn, OUT timeline bigint,
    OUT system bigint)
RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_replica_ticket';
COMMENT ON FUNCTION live.replica_ticket() IS
'For the relay, on the primary: the present, and the place in its log that a standby must have replayed to see it. The log is flushed up to there.';

CREATE FUNCTION live.wait_for_replay(lsn pg_lsn, timeout_ms bigint, OUT lsn pg_lsn, OUT timeline bigint,
    OUT system bigint)
RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_wait_for_replay';
COMMENT ON FUNCTION live.wait_for_replay(pg_lsn, bigint) IS
'For the relay, on a standby: waits until the log is replayed up to a place, and tells how far it is.';

CREATE FUNCTION live.register(owner bigint, sub bigint, generation bigint, boot bigint, c bigint,
    snapshot bytea, reads bytea) RETURNS bigint
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_register';
COMMENT ON FUNCTION live.register(bigint, bigint, bigint, bigint, bigint, bytea, bytea) IS
'For the relay, on the primary: registers what live.run_query() gave on a standby, with boot and c of the ticket. Returns the position, NULL if it is not registered; sub 0 is only checked. Error 40001: run the query again.';

CREATE FUNCTION live.catch_up(snapshot bytea, timeline bigint, timeout_ms bigint) RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_catch_up';
COMMENT ON FUNCTION live.catch_up(bytea, bigint, bigint) IS
'For the relay, on the primary: waits until it shows all that a snapshot of a standby saw. False if the time is over.';

CREATE FUNCTION live.wait(lsn pg_lsn DEFAULT NULL, timeout interval DEFAULT '10 s') RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_wait';
COMMENT ON FUNCTION live.wait(pg_lsn, interval) IS
'On the primary: waits until the invalidations of all that was committed before the call are stored for the relays. On a standby: waits until it shows what was committed on the primary before that place. False if the time is over.';

CREATE FUNCTION live.watch(owner bigint, sub bigint, generation bigint, relations regclass[],
    OUT registered boolean, OUT boot bigint, OUT pos bigint, OUT not_live text)
RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_watch';
COMMENT ON FUNCTION live.watch(bigint, bigint, bigint, regclass[]) IS
'Registers interest in whole tables at the snapshot of this REPEATABLE READ READ ONLY transaction: a live query written by hand. not_live: why it is not registered; if tables are yet to be captured, ask again in a new transaction.';

CREATE FUNCTION live.watch_query(owner bigint, sub bigint, generation bigint, query text,
    OUT result json, OUT error text, OUT registered boolean, OUT boot bigint, OUT pos bigint, OUT not_live text)
RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_watch_query';
COMMENT ON FUNCTION live.watch_query(bigint, bigint, bigint, text) IS
'Runs any query at the snapshot of this REPEATABLE READ READ ONLY transaction and registers all that it reads. not_live: why it is not registered.';

-- Without a relay.

CREATE FUNCTION live.subscribe(path text, args json DEFAULT '{}', OUT id bigint, OUT result json)
RETURNS SETOF record
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'pg_live_subscribe';
COMMENT ON FUNCTION live.subscribe(text, json) IS
'Runs a query and follows it from this session: LISTEN pg_live tells that something may have changed, live.stale() what. It counts from the commit of this transaction.';

CREATE FUNCTION live.watch(query text, OUT id bigint, OUT result json) RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_watch_text';
COMMENT ON FUNCTION live.watch(text) IS
'As live.subscribe(), for the text of any query.';

CREATE FUNCTION live.stale(OUT id bigint, OUT query text) RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_stale';
COMMENT ON FUNCTION live.stale() IS
'The subscriptions of this session whose results may have changed since they were read. live.read() reads them again.';

CREATE FUNCTION live.read(id bigint, OUT result json, OUT error text) RETURNS SETOF record
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'pg_live_read';
COMMENT ON FUNCTION live.read(bigint) IS
'The result of a subscription now, or the error that it ends with now. It is followed on from the commit of this transaction.';

CREATE FUNCTION live.unsubscribe(id bigint) RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_unsubscribe';
COMMENT ON FUNCTION live.unsubscribe(bigint) IS
'Ends a subscription of this session, at once. False if there is none.';

CREATE FUNCTION live.unsubscribe() RETURNS bigint
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_unsubscribe_all';
COMMENT ON FUNCTION live.unsubscribe() IS
'Ends all subscriptions of this session. Returns how many there were.';

-- Whether a role may run a query of the deployment: by live.query() or by the function that the deploy made for it.
CREATE FUNCTION live.may_query(role oid, path text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT has_function_privilege(role, 'live.query(text, json)', 'EXECUTE') OR EXISTS (
        SELECT FROM live.faces AS f JOIN pg_namespace AS n ON n.nspname = f.schema
        JOIN pg_proc AS p ON p.pronamespace = n.oid AND p.proname = f.name
        WHERE f.kind = 'Query' AND f.path = may_query.path
            AND has_schema_privilege(role, n.oid, 'USAGE') AND has_function_privilege(role, p.oid, 'EXECUTE'))
$$;

CREATE FUNCTION live.preview(path text, args json DEFAULT '{}',
    OUT what text, OUT name text, OUT kind text, OUT count bigint, OUT keys text[])
RETURNS SETOF record
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'pg_live_preview';
COMMENT ON FUNCTION live.preview(text, json) IS
'Runs a mutation and rolls it back: its result, what it would write, and which live queries would run again.';

CREATE FUNCTION live.status() RETURNS json
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_status';
COMMENT ON FUNCTION live.status() IS
'The worker of this database, its log and what it has worked off.';

CREATE FUNCTION live.counters(OUT name text, OUT value bigint) RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_counters';

CREATE VIEW live.stats AS SELECT name, value FROM live.counters();
COMMENT ON VIEW live.stats IS
'Counters of this database since the start of the server, or since live.stop().';

-- What functions log, and figures about their calls: written by a background worker, some moments later.
CREATE TABLE live.logs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL,
    deployment  bigint,
    function    text NOT NULL,
    kind        text NOT NULL,
    caller      text NOT NULL,
    session     text,
    request     bigint,
    level       text NOT NULL,
    line        text NOT NULL,
    outcome     text NOT NULL,
    duration_ms float8 NOT NULL
);
COMMENT ON TABLE live.logs IS
'Lines that functions logged, and errors that calls ended with: one row for each. The newest pg_live.log_rows are kept.';

-- A histogram counts values by buckets of a factor of 2^(1/4) each, the first up to 0.01, the last without end.
CREATE FUNCTION live.histogram_bucket(value float8) RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN value <= 0.01 THEN 0 ELSE LEAST(95, pg_catalog.ceil(4 * pg_catalog.ln(value / 0.01) / pg_catalog.ln(2.0::float8)))::int END;
COMMENT ON FUNCTION live.histogram_bucket(float8) IS 'The bucket of a value in a histogram, 0 to 95.';

CREATE FUNCTION live.histogram_sum(a bigint[], b bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT pg_catalog.array_agg(u.x + u.y ORDER BY u.n) FROM ROWS FROM (pg_catalog.unnest(a), pg_catalog.unnest(b)) WITH ORDINALITY AS u (x, y, n));
COMMENT ON FUNCTION live.histogram_sum(bigint[], bigint[]) IS 'Two histograms as one.';

CREATE FUNCTION live.histogram_quantile(histogram bigint[], part float8) RETURNS float8
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT 0.01 * pg_catalog.power(2::float8, (c.n - 1) / 4.0::float8)
        FROM (SELECT u.n, pg_catalog.sum(u.x) OVER (ORDER BY u.n) AS below, pg_catalog.sum(u.x) OVER () AS total
              FROM pg_catalog.unnest(histogram) WITH ORDINALITY AS u (x, n)) AS c
        WHERE c.below >= part * c.total AND c.total > 0 ORDER BY c.n LIMIT 1);
COMMENT ON FUNCTION live.histogram_quantile(bigint[], float8) IS
'The value that this part of the values does not exceed: the upper end of its bucket, at most a fifth too high.';

CREATE TABLE live.function_stats (
    deployment        bigint NOT NULL,
    function          text NOT NULL,
    kind              text NOT NULL,
    calls             bigint NOT NULL,
    errors            bigint NOT NULL,
    total_ms          float8 NOT NULL,
    max_ms            float8 NOT NULL,
    documents_read    bigint NOT NULL,
    documents_written bigint NOT NULL,
    last_at           timestamptz NOT NULL,
    histogram         bigint[] NOT NULL,
    p50_ms            float8 GENERATED ALWAYS AS (LEAST(max_ms, live.histogram_quantile(histogram, 0.5))) STORED,
    p99_ms            float8 GENERATED ALWAYS AS (LEAST(max_ms, live.histogram_quantile(histogram, 0.99))) STORED,
    PRIMARY KEY (deployment, function, kind)
);
COMMENT ON COLUMN live.function_stats.histogram IS 'Calls by time; see live.histogram_bucket().';
COMMENT ON TABLE live.function_stats IS 'How often and how long the functions of the last 100 deployments ran.';

CREATE FUNCTION live.engine() RETURNS json
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_engine';
COMMENT ON FUNCTION live.engine() IS
'The JavaScript engine of this session: start time, memory, contexts.';

CREATE FUNCTION live.isolate_stats() RETURNS TABLE (name text, value bigint)
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT key, CASE value WHEN 'true' THEN 1 WHEN 'false' THEN 0 ELSE value::bigint END
    FROM json_each_text(live.engine()) WHERE value ~ '^(\d+|true|false)$'
$$;
COMMENT ON FUNCTION live.isolate_stats() IS 'The figures of live.engine() as rows.';

CREATE FUNCTION live.stop() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_stop';
COMMENT ON FUNCTION live.stop() IS
'Ends the worker of this database, which keeps the database from being dropped or copied. The next live.attach() starts it again.';

-- Capture: the triggers that tell what a transaction writes.

-- Without SECURITY DEFINER and settings, which would cost each writing statement more than the function
-- itself: it looks no name up in the session's search_path.
CREATE FUNCTION live.capture() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'pg_live_capture';
COMMENT ON FUNCTION live.capture() IS
'Trigger function: notes what was written, for live queries.';

CREATE FUNCTION live.capture_wal() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'pg_live_capture_wal';
COMMENT ON FUNCTION live.capture_wal() IS
'Trigger function: notes that a table was written; which rows were is decoded from the WAL.';

-- The functions of the triggers that capture.
CREATE FUNCTION live.capture_functions() RETURNS oid[] LANGUAGE sql STABLE
    RETURN ARRAY['live.capture()'::pg_catalog.regprocedure::pg_catalog.oid,
        'live.capture_wal()'::pg_catalog.regprocedure::pg_catalog.oid];

CREATE FUNCTION live.note_redefinition(relation oid) RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_note_redefinition';
COMMENT ON FUNCTION live.note_redefinition(oid) IS
'Notes that this transaction redefines a table: a change that older snapshots see too.';

-- How tables are to be captured that are not to follow pg_live.capture.
CREATE TABLE live.capture_modes (
    relation regclass PRIMARY KEY,
    mode     text NOT NULL CHECK (mode IN ('trigger', 'wal'))
);
SELECT pg_catalog.pg_extension_config_dump('live.capture_modes', '');

-- Why the rows that writers of a relation change are not to be had from the WAL; NULL: they are. Tables of the
-- extension are captured by triggers: their writers must know at once what they have written.
CREATE FUNCTION live.not_in_wal(relation regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN current_setting('wal_level') <> 'logical' THEN 'wal_level is not logical'
        WHEN c.relnamespace = 'live'::regnamespace THEN 'it is a table of the extension'
        WHEN c.relkind <> 'r' OR c.relispartition THEN 'it is partitioned or a partition'
        WHEN c.relpersistence <> 'p' THEN 'it is not logged'
        WHEN c.relam <> 2 THEN 'it is not a heap'
        WHEN EXISTS (SELECT FROM pg_inherits AS i WHERE c.oid IN (i.inhrelid, i.inhparent)) THEN 'it inherits'
        END
    FROM pg_class AS c WHERE c.oid = relation
$$;

-- How a relation is to be captured.
CREATE FUNCTION live.wanted_capture(relation regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN live.not_in_wal(relation) IS NULL AND 'wal' = coalesce(
            (SELECT m.mode FROM live.capture_modes AS m WHERE m.relation = $1),
            current_setting('pg_live.capture', true))
        THEN 'wal' ELSE 'trigger' END
$$;

-- How it is captured, by the triggers that it has; one that has none, as it is to be.
CREATE FUNCTION live.capture_mode(relation regclass) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mode text;
BEGIN
    SELECT CASE WHEN bool_or(t.tgname = 'pg_live_wal') THEN 'wal' ELSE 'trigger' END INTO mode
    FROM pg_trigger AS t
    WHERE t.tgrelid = relation AND t.tgfoid = ANY (live.capture_functions())
        AND t.tgname IN ('pg_live_insert', 'pg_live_update', 'pg_live_delete', 'pg_live_wal')
    HAVING count(*) > 0;
    RETURN coalesce(mode, live.wanted_capture(relation));
END
$$;

-- The triggers that a table must have, and the state of each. A partition has its row trigger from
-- the partitioned table: that one has no definition here.
CREATE FUNCTION live.capture_plan(relation regclass,
    OUT trigger name, OUT definition text, OUT state "char")
RETURNS SETOF record
LANGUAGE sql STABLE BEGIN ATOMIC
    SELECT plan.trigger, plan.definition, plan.state
    FROM pg_catalog.pg_class AS c, live.capture_mode(relation) AS chosen, LATERAL (VALUES
        ('trigger', 'pg_live_insert'::pg_catalog.name, 'AFTER INSERT ON %s REFERENCING NEW TABLE AS added FOR EACH STATEMENT', 'O'::"char"),
        ('trigger', 'pg_live_update', 'AFTER UPDATE ON %s REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT', 'O'),
        ('trigger', 'pg_live_delete', 'AFTER DELETE ON %s REFERENCING OLD TABLE AS removed FOR EACH STATEMENT', 'O'),
        ('wal', 'pg_live_wal', 'AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH STATEMENT', 'O'),
        (chosen, 'pg_live_truncate', 'AFTER TRUNCATE ON %s FOR EACH STATEMENT', 'A'),
        (chosen, CASE WHEN c.relkind = 'p' OR c.relispartition THEN 'pg_live_tree_row' ELSE 'pg_live_row' END,
            CASE WHEN NOT c.relispartition THEN 'AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW' END, 'R')
    ) AS plan (mode, trigger, definition, state)
    WHERE c.oid = relation AND plan.mode = chosen;
END;

-- In plpgsql, which keeps its plans.
CREATE FUNCTION live.capture_state(relation oid) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT CASE
            WHEN bool_and(have.tgenabled IS NULL) THEN 'not captured'
            WHEN bool_and(have.tgenabled IS NOT DISTINCT FROM plan.state) THEN 'captured'
            WHEN bool_or(have.tgenabled IS NULL) THEN 'triggers are missing'
            WHEN bool_or(have.tgenabled = 'D') THEN 'triggers are disabled'
            ELSE 'triggers are in a wrong state' END
        FROM live.capture_plan(relation) AS plan
        LEFT JOIN pg_trigger AS have ON have.tgrelid = relation
            AND have.tgname = plan.trigger AND have.tgfoid = ANY (live.capture_functions()));
END
$$;

CREATE VIEW live.captured AS
    SELECT t.tgrelid::regclass AS relation, s.state = 'captured' AS complete, s.state
    FROM (
        SELECT DISTINCT tgrelid FROM pg_catalog.pg_trigger WHERE tgfoid = ANY (live.capture_functions())
    ) AS t, LATERAL (SELECT live.capture_state(t.tgrelid) AS state OFFSET 0) AS s;
COMMENT ON VIEW live.captured IS
'Tables whose changes are captured, and whether all triggers are there and in the right state.';

-- R18: what of these relations, and of all that a read of them shows, is not captured at the statement's
-- snapshot. `reason` says why it cannot be; NULL: it can. REFRESH of a materialized view is told by an event trigger.
CREATE FUNCTION live.not_captured(relations oid[], OUT relation oid, OUT name text, OUT reason text)
RETURNS SETOF record
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY WITH RECURSIVE read(rel) AS (
        SELECT unnest(relations)
        UNION SELECT i.inhrelid FROM read JOIN pg_inherits AS i ON i.inhparent = read.rel
    )
    SELECT r.rel, r.rel::regclass::text, CASE
        WHEN c.oid IS NULL THEN 'it does not exist'
        WHEN c.oid = 'pg_largeobject'::regclass THEN 'large objects have no triggers'
        WHEN c.oid < 16384 OR c.relkind = 't' THEN 'it is a catalog of the system'
        WHEN c.relpersistence = 't' THEN 'it is a temporary table'
        WHEN c.relkind = 'f' THEN 'it is a foreign table: what others write there is not seen'
        WHEN c.relkind = 'v' THEN 'it is a view: what counts are the tables that it reads'
        WHEN c.relkind NOT IN ('r', 'p') THEN 'it is not a table'
        END
    FROM read AS r LEFT JOIN pg_class AS c ON c.oid = r.rel
    WHERE c.relkind IS DISTINCT FROM 'm' AND live.capture_state(r.rel) IS DISTINCT FROM 'captured'
    ORDER BY 1;
END
$$;

-- What functions read that a query calls. Those of LANGUAGE sql and plpgsql are seen as they run, IMMUTABLE ones read
-- nothing, and neither do the system's functions that are named here; what others read must be declared. A row for
-- each that was declared (reads) or that cannot be followed (reason).
CREATE TABLE live.dependencies (
    -- As regprocedure and regclass write them where nothing is in the search_path.
    function  text COLLATE "C" PRIMARY KEY,
    relations text[] NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('live.dependencies', '');

CREATE FUNCTION live.function_reads(functions oid[], OUT function oid, OUT reads oid[], OUT reason text)
RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.oid, ARRAY(SELECT to_regclass(r)::oid FROM unnest(d.relations) AS r WHERE to_regclass(r) IS NOT NULL),
        CASE WHEN d.function IS NULL THEN format(
            'function %s (LANGUAGE %s, %s) may read what is not seen; say what it reads by live.depends()',
            p.oid::regprocedure, l.lanname, CASE p.provolatile WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END) END
    FROM pg_proc AS p
    JOIN pg_language AS l ON l.oid = p.prolang
    LEFT JOIN live.dependencies AS d ON d.function = p.oid::regprocedure::text
    WHERE p.oid = ANY (functions) AND (d.function IS NOT NULL
        OR p.provolatile <> 'i' AND l.lanname NOT IN ('sql', 'plpgsql') AND NOT (
            p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY ('{
                age, anytextcat, array_in, array_out, array_to_json, array_to_string, cash_in, cash_out, concat, concat_ws,
                convert, convert_from, convert_to, current_database, current_schema, current_schemas, current_setting,
                current_user, date, date_cmp_timestamptz, date_eq_timestamptz, date_ge_timestamptz, date_gt_timestamptz,
                date_in, date_le_timestamptz, date_lt_timestamptz, date_ne_timestamptz, date_out, date_part, date_trunc,
                domain_in, enum_first, enum_in, enum_last, enum_out, enum_range, extract, format, format_type,
                generate_series, getdatabaseencoding, in_range, interval_in, interval_out, interval_pl_timestamptz,
                json_agg, json_agg_transfn, json_build_array, json_build_object, json_object_agg, json_object_agg_transfn,
                json_populate_record, json_populate_recordset, json_to_record, json_to_recordset, json_to_tsvector,
                jsonb_agg, jsonb_agg_finalfn, jsonb_agg_transfn, jsonb_build_array, jsonb_build_object,
                jsonb_object_agg_finalfn, jsonb_object_agg_transfn, jsonb_path_exists_tz, jsonb_path_match_tz,
                jsonb_path_query_array_tz, jsonb_path_query_first_tz, jsonb_path_query_tz, jsonb_populate_record,
                jsonb_populate_recordset, jsonb_to_record, jsonb_to_recordset, jsonb_to_tsvector, length,
                make_timestamptz, money, multirange_in, multirange_out, now, numeric, overlaps, pg_typeof,
                phraseto_tsquery, plainto_tsquery, quote_literal, quote_nullable, range_in, range_out, record_in,
                record_out, row_to_json, session_user, statement_timestamp, textanycat, time, time_in, timestamp,
                timestamp_cmp_timestamptz, timestamp_eq_timestamptz, timestamp_ge_timestamptz, timestamp_gt_timestamptz,
                timestamp_in, timestamp_le_timestamptz, timestamp_lt_timestamptz, timestamp_ne_timestamptz,
                timestamp_out, timestamptz, timestamptz_cmp_date, timestamptz_cmp_timestamp, timestamptz_eq_date,
                timestamptz_eq_timestamp, timestamptz_ge_date, timestamptz_ge_timestamp, timestamptz_gt_date,
                timestamptz_gt_timestamp, timestamptz_in, timestamptz_le_date, timestamptz_le_timestamp,
                timestamptz_lt_date, timestamptz_lt_timestamp, timestamptz_mi_interval, timestamptz_ne_date,
                timestamptz_ne_timestamp, timestamptz_out, timestamptz_pl_interval, timetz, timetz_in, timezone, to_char,
                to_date, to_json, to_jsonb, to_number, to_timestamp, to_tsquery, to_tsvector, transaction_timestamp,
                ts_headline, ts_match_tq, ts_match_tt, version, websearch_to_tsquery, xml, xml_in}'::name[])
            AND NOT 'xid'::regtype = ANY (p.proargtypes::oid[])))
$$;

CREATE FUNCTION live.depends(function regprocedure, tables regclass[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO live.dependencies AS d VALUES (depends.function::text, tables::text[])
        ON CONFLICT ON CONSTRAINT dependencies_pkey DO UPDATE SET relations = excluded.relations;
    PERFORM live.note_redefinition('pg_class'::regclass);
END
$$;
COMMENT ON FUNCTION live.depends(regprocedure, regclass[]) IS
'Says what a function reads, so that queries that call it can be live: all changes of these tables count, and no others.';

-- What is run again at an interval, since it changes without a write that is captured: functions, for the sake of the
-- time, foreign tables and catalogs. The number stands for a table that is written whenever the interval is over.
CREATE TABLE live.intervals (
    -- As regprocedure and regclass write it where nothing is in the search_path.
    object text COLLATE "C" NOT NULL,
    kind   text NOT NULL CHECK (kind IN ('function', 'relation')),
    number integer NOT NULL UNIQUE CHECK (number BETWEEN 1 AND 99),
    every  interval NOT NULL CHECK (every >= '1 second'),
    PRIMARY KEY (kind, object)
);
SELECT pg_catalog.pg_extension_config_dump('live.intervals', '');

CREATE FUNCTION live.set_interval(object text, kind text, every interval) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE live.intervals IN SHARE ROW EXCLUSIVE MODE;
    IF every IS NULL THEN
        DELETE FROM live.intervals AS i WHERE i.object = set_interval.object AND i.kind = set_interval.kind;
    ELSE
        INSERT INTO live.intervals AS i
            SELECT set_interval.object, set_interval.kind, min(n.n), set_interval.every
            FROM generate_series(1, 99) AS n (n) WHERE n.n NOT IN (SELECT x.number FROM live.intervals AS x)
            HAVING min(n.n) IS NOT NULL OR EXISTS (SELECT FROM live.intervals AS x
                WHERE x.object = set_interval.object AND x.kind = set_interval.kind)
            ON CONFLICT ON CONSTRAINT intervals_pkey DO UPDATE SET every = excluded.every;
        IF NOT FOUND THEN
            RAISE EXCEPTION '99 objects have an interval, there can be no more' USING ERRCODE = 'program_limit_exceeded';
        END IF;
    END IF;
    PERFORM live.note_redefinition('pg_class'::regclass);
END
$$;

CREATE FUNCTION live.refresh(function regprocedure, every interval) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT live.set_interval(function::text, 'function', every)
$$;
COMMENT ON FUNCTION live.refresh(regprocedure, interval) IS
'Has live queries that call this SQL function by its path run again at an interval, as the time passes. NULL: no more.';

CREATE FUNCTION live.poll(relation regclass, every interval) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    obstacle text := (SELECT n.reason FROM live.not_captured(ARRAY[relation::oid]) AS n WHERE n.relation = poll.relation);
BEGIN
    IF obstacle IS NULL THEN
        RAISE EXCEPTION 'changes of % are captured', relation USING ERRCODE = 'wrong_object_type',
            HINT = 'What can be polled are foreign tables, catalogs and other relations whose changes nobody sees.';
    END IF;
    PERFORM live.set_interval(relation::text, 'relation', every);
END
$$;
COMMENT ON FUNCTION live.poll(regclass, interval) IS
'Lets live queries read a foreign table or a catalog: they run again at an interval. NULL: they may not any more.';

CREATE FUNCTION live.polled(relations oid[], OUT relation oid, OUT number integer) RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.oid, i.number FROM live.intervals AS i JOIN pg_class AS c ON c.oid = to_regclass(i.object)
    WHERE i.kind = 'relation' AND c.oid = ANY (relations)
$$;

-- The functions of a name, for clients that call them with named arguments.
CREATE FUNCTION live.sql_functions(schema text, name text, OUT volatile boolean, OUT is_set boolean,
    OUT is_composite boolean, OUT defaults integer, OUT parameters text, OUT number integer)
RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.provolatile = 'v', p.proretset, t.typtype = 'c' OR t.oid = 'record'::regtype, p.pronargdefaults::integer,
        coalesce((SELECT json_agg(json_build_object('name', nullif(a.name, ''), 'of', format_type(a.of, NULL)) ORDER BY a.n)
            FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargnames, p.proargmodes::text[])
                WITH ORDINALITY AS a(of, name, mode, n)
            WHERE coalesce(a.mode, 'i') IN ('i', 'b')), '[]')::text,
        (SELECT i.number FROM live.intervals AS i WHERE i.kind = 'function' AND i.object = p.oid::regprocedure::text)
    FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_type AS t ON t.oid = p.prorettype
    WHERE n.nspname = schema AND p.proname = name AND p.prokind = 'f' AND p.provariadic = 0
$$;

-- Everything that shares rows with the table: partitions, partitioned tables, inheritance.
CREATE FUNCTION live.capture_tree(relation regclass) RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE up(rel) AS (
        SELECT relation::oid
        UNION SELECT i.inhparent FROM up JOIN pg_inherits AS i ON i.inhrelid = up.rel
    ), tree(rel) AS (
        SELECT rel FROM up
        UNION SELECT i.inhrelid FROM tree JOIN pg_inherits AS i ON i.inhparent = tree.rel
    )
    SELECT c.oid::regclass FROM tree JOIN pg_class AS c ON c.oid = tree.rel
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
    ORDER BY c.relispartition, c.oid
$$;

-- Puts the states of the triggers right; with `complete` adds those that are missing, and drops those that
-- are not in the plan (somebody has renamed one).
CREATE FUNCTION live.repair_triggers(relation regclass, complete boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET pg_live.repairing = on AS $$
DECLARE
    plan record;
    stranger name;
BEGIN
    FOR plan IN
        SELECT p.trigger, p.definition, p.state, t.tgenabled
        FROM live.capture_plan(relation) AS p
        LEFT JOIN pg_trigger AS t ON t.tgrelid = relation AND t.tgname = p.trigger
        WHERE t.tgenabled IS DISTINCT FROM p.state
    LOOP
        IF plan.tgenabled IS NULL THEN
            CONTINUE WHEN NOT complete OR plan.definition IS NULL;
            EXECUTE format('CREATE TRIGGER %I ', plan.trigger)
                || format(plan.definition, relation) || ' EXECUTE FUNCTION '
                || CASE plan.trigger WHEN 'pg_live_wal' THEN 'live.capture_wal()' ELSE 'live.capture()' END;
            IF plan.trigger = 'pg_live_wal' THEN
                -- The old rows, without which a change would count as one of the whole table.
                EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', relation);
            END IF;
            CONTINUE WHEN plan.state = 'O';
        END IF;
        EXECUTE format('ALTER TABLE %s ENABLE %s TRIGGER %I', relation,
            CASE plan.state WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END,
            plan.trigger);
    END LOOP;
    FOR stranger IN
        SELECT t.tgname FROM pg_trigger AS t
        WHERE complete AND t.tgrelid = relation AND t.tgparentid = 0
            AND t.tgfoid = ANY (live.capture_functions())
            AND t.tgname NOT IN (SELECT p.trigger FROM live.capture_plan(relation) AS p)
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', stranger, relation);
    END LOOP;
END
$$;

CREATE FUNCTION live.capture_table(relation regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    obstacle text;
    member regclass;
BEGIN
    SELECT n.reason INTO obstacle FROM live.not_captured(ARRAY[relation::oid]) AS n
    WHERE n.relation = capture_table.relation;
    IF obstacle IS NOT NULL THEN
        RAISE EXCEPTION 'changes of % cannot be captured: %', relation, obstacle
            USING ERRCODE = 'wrong_object_type',
            HINT = 'Ordinary and partitioned tables can be, except temporary ones.';
    END IF;
    FOR member IN SELECT live.capture_tree(relation) LOOP
        PERFORM live.repair_triggers(member, true);
    END LOOP;
END
$$;
COMMENT ON FUNCTION live.capture_table(regclass) IS
'Adds the triggers that capture the changes of a table and of all its partitions, and puts their states right.';

-- Exchanges the triggers of a captured table for those that it is to have. Writers wait for its lock, and what
-- those before it published stays valid, so nothing is lost between the two.
CREATE FUNCTION live.switch_capture(relation regclass) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET pg_live.repairing = on AS $$
DECLARE
    trigger name;
BEGIN
    IF live.capture_mode(relation) = live.wanted_capture(relation) THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', relation);
    IF live.capture_mode(relation) = 'wal' THEN
        EXECUTE format('ALTER TABLE %s REPLICA IDENTITY DEFAULT', relation);
    END IF;
    FOR trigger IN
        SELECT t.tgname FROM pg_trigger AS t WHERE t.tgrelid = relation
            AND t.tgname IN ('pg_live_insert', 'pg_live_update', 'pg_live_delete', 'pg_live_wal')
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', trigger, relation);
    END LOOP;
    PERFORM live.repair_triggers(relation, true);
    RETURN true;
END
$$;

CREATE FUNCTION live.apply_capture() RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(*) FILTER (WHERE live.switch_capture(c.relation)) FROM live.captured AS c
$$;
COMMENT ON FUNCTION live.apply_capture() IS
'After a change of pg_live.capture, in a new session: has all captured tables follow it. Returns how many have changed.';

CREATE FUNCTION live.set_capture(relation regclass, mode text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    obstacle text := live.not_in_wal(relation);
BEGIN
    IF mode = 'wal' AND obstacle IS NOT NULL THEN
        RAISE EXCEPTION 'changes of % cannot be captured from the WAL: %', relation, obstacle
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Capture them by triggers.';
    END IF;
    IF mode = 'auto' THEN
        DELETE FROM live.capture_modes AS m WHERE m.relation = set_capture.relation;
    ELSE
        INSERT INTO live.capture_modes AS m VALUES (set_capture.relation, set_capture.mode)
        ON CONFLICT ON CONSTRAINT capture_modes_pkey DO UPDATE SET mode = excluded.mode;
    END IF;
    IF EXISTS (SELECT FROM live.captured AS c WHERE c.relation = set_capture.relation) THEN
        PERFORM live.switch_capture(set_capture.relation);
    END IF;
END
$$;
COMMENT ON FUNCTION live.set_capture(regclass, text) IS
'How the changes of a table are captured: trigger, wal, or auto: as pg_live.capture says.';

-- For live.status().
CREATE FUNCTION live.capture_status() RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT json_build_object(
        'relations', count(*),
        'from_wal', count(*) FILTER (WHERE live.capture_mode(c.relation) = 'wal'),
        'mode', current_setting('pg_live.capture', true),
        'wal_refused', CASE WHEN current_setting('wal_level') <> 'logical' THEN 'wal_level is not logical' END,
        'incomplete', coalesce(json_object_agg(c.relation::text, c.state) FILTER (WHERE NOT c.complete), '{}'),
        'event_triggers', (SELECT count(*) = 3 FROM pg_event_trigger AS e
            WHERE e.evtname IN ('pg_live_ddl', 'pg_live_drop', 'pg_live_detach') AND e.evtenabled = 'A'))
    FROM live.captured AS c
$$;

-- DDL. While a dump is restored the triggers come with the dump, and none is added.
CREATE FUNCTION live.on_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    restoring boolean := NOT current_setting('row_security')::boolean
        AND NOT current_setting('check_function_bodies')::boolean;
    changed record;
    member regclass;
    captured boolean;
    complete boolean;
    any_captured boolean := false;
BEGIN
    IF current_setting('pg_live.repairing', true) = 'on' THEN
        RETURN;
    END IF;
    FOR changed IN
        SELECT DISTINCT c.oid, c.relkind FROM pg_event_trigger_ddl_commands() AS d
        LEFT JOIN pg_policy AS p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
        LEFT JOIN pg_trigger AS t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
        JOIN pg_class AS c ON c.oid IN (p.polrelid, t.tgrelid)
            OR d.classid = 'pg_class'::regclass AND c.oid = d.objid
        WHERE c.relkind = 'm' OR c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
            AND (c.relhastriggers OR c.relispartition
                OR EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = c.oid))
    LOOP
        IF changed.relkind = 'm' THEN
            PERFORM live.note_redefinition(changed.oid);
            CONTINUE;
        END IF;
        CONTINUE WHEN NOT EXISTS (
            SELECT FROM live.capture_tree(changed.oid) AS m JOIN pg_trigger AS t ON t.tgrelid = m
            WHERE t.tgfoid = ANY (live.capture_functions()));
        any_captured := true;
        PERFORM live.note_redefinition(changed.oid);
        FOR member IN SELECT live.capture_tree(changed.oid) LOOP
            captured := EXISTS (SELECT FROM pg_trigger AS t
                WHERE t.tgrelid = member AND t.tgfoid = ANY (live.capture_functions())
                AND t.tgparentid = 0);
            complete := NOT restoring AND (NOT captured OR tg_tag = 'ALTER TRIGGER');
            IF live.capture_state(member) IN ('triggers are disabled', 'triggers are in a wrong state') THEN
                RAISE NOTICE 'pg_live enables the triggers again that capture the changes of %', member;
            END IF;
            PERFORM live.repair_triggers(member, complete);
        END LOOP;
    END LOOP;
    IF any_captured THEN
        PERFORM live.note_redefined_parents();
    END IF;
    -- A partition that was detached has lost its row trigger.
    FOR member IN
        SELECT t.tgrelid FROM pg_trigger AS t WHERE t.tgfoid = ANY (live.capture_functions())
        GROUP BY t.tgrelid HAVING NOT bool_or(t.tgname IN ('pg_live_row', 'pg_live_tree_row'))
    LOOP
        PERFORM live.repair_triggers(member, NOT restoring);
    END LOOP;
END
$$;

-- Definitions: results of SQL depend on them all. What changes one counts as a change of pg_class. Indexes, triggers,
-- statistics and comments change no result.
CREATE FUNCTION live.on_definition() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('pg_live.repairing', true) = 'on' OR tg_tag IN ('CREATE INDEX', 'DROP INDEX', 'ALTER INDEX',
            'CREATE TRIGGER', 'DROP TRIGGER', 'ALTER TRIGGER', 'REINDEX', 'COMMENT', 'CREATE STATISTICS', 'DROP STATISTICS',
            'ALTER STATISTICS', 'REFRESH MATERIALIZED VIEW') THEN
        RETURN;
    ELSIF tg_event = 'sql_drop' THEN
        IF NOT EXISTS (SELECT FROM pg_event_trigger_dropped_objects() AS d WHERE NOT d.is_temporary) THEN
            RETURN;
        END IF;
    ELSIF NOT EXISTS (SELECT FROM pg_event_trigger_ddl_commands() AS d WHERE d.schema_name IS DISTINCT FROM 'pg_temp') THEN
        RETURN;
    END IF;
    PERFORM live.note_redefinition('pg_class'::regclass);
END
$$;

-- A table that was dropped or that inherits no longer does not tell from what it inherited: all
-- captured tables that have or had children count as redefined.
CREATE FUNCTION live.note_redefined_parents() RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT live.note_redefinition(c.oid) FROM pg_class AS c WHERE c.relhassubclass AND EXISTS (
        SELECT FROM pg_trigger AS t
        WHERE t.tgrelid = c.oid AND t.tgfoid = ANY (live.capture_functions()))
$$;

-- ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY hides the partition by a first transaction and ends by a
-- second one; other event triggers run in that one only.
CREATE FUNCTION live.on_detach() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_query() ~* '\mdetach\M.*\mconcurrently\M' THEN
        PERFORM live.note_redefined_parents();
    END IF;
END
$$;

CREATE FUNCTION live.on_drop() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    dropped record;
    remaining regclass;
BEGIN
    FOR dropped IN
        SELECT DISTINCT d.object_type = 'trigger' AS capture,
            d.address_names[1] AS schema, d.address_names[2] AS name, (
            SELECT r.objid FROM pg_event_trigger_dropped_objects() AS r
            WHERE r.classid = 'pg_class'::regclass AND r.object_type = 'table'
            AND r.address_names = d.address_names[1:2] LIMIT 1) AS oid
        FROM pg_event_trigger_dropped_objects() AS d
        WHERE NOT d.is_temporary AND (d.object_type = 'policy'
            OR d.object_type = 'trigger' AND d.address_names[3] LIKE 'pg\_live\_%')
    LOOP
        remaining := to_regclass(format('%I.%I', dropped.schema, dropped.name));
        IF dropped.oid IS NOT NULL THEN
            PERFORM live.note_redefinition(dropped.oid);
            PERFORM live.note_redefined_parents();
        ELSIF remaining IS NOT NULL THEN
            PERFORM live.note_redefinition(remaining);
            IF dropped.capture AND current_setting('pg_live.repairing', true) IS DISTINCT FROM 'on' THEN
                PERFORM live.capture_table(remaining);
            END IF;
        END IF;
    END LOOP;
    -- Materialized views, and columns that went with their type or function.
    PERFORM live.note_redefinition(d.objid) FROM pg_event_trigger_dropped_objects() AS d
    WHERE d.classid = 'pg_class'::regclass AND (d.object_type = 'materialized view'
        OR d.object_type = 'table column' AND EXISTS (
            SELECT FROM pg_trigger AS t
            WHERE t.tgrelid = d.objid AND t.tgfoid = ANY (live.capture_functions())));
END
$$;

CREATE EVENT TRIGGER pg_live_ddl ON ddl_command_end
    WHEN TAG IN ('ALTER TABLE', 'CREATE TABLE', 'CREATE SCHEMA', 'CREATE POLICY', 'ALTER POLICY', 'ALTER TRIGGER',
        'CREATE MATERIALIZED VIEW', 'ALTER MATERIALIZED VIEW', 'REFRESH MATERIALIZED VIEW')
    EXECUTE FUNCTION live.on_ddl();
ALTER EVENT TRIGGER pg_live_ddl ENABLE ALWAYS;
CREATE EVENT TRIGGER pg_live_detach ON ddl_command_start
    WHEN TAG IN ('ALTER TABLE')
    EXECUTE FUNCTION live.on_detach();
ALTER EVENT TRIGGER pg_live_detach ENABLE ALWAYS;
-- Anything may be dropped with anything by CASCADE.
CREATE EVENT TRIGGER pg_live_drop ON sql_drop
    EXECUTE FUNCTION live.on_drop();
ALTER EVENT TRIGGER pg_live_drop ENABLE ALWAYS;
CREATE EVENT TRIGGER pg_live_definition ON ddl_command_end
    EXECUTE FUNCTION live.on_definition();
ALTER EVENT TRIGGER pg_live_definition ENABLE ALWAYS;
CREATE EVENT TRIGGER pg_live_definition_drop ON sql_drop
    EXECUTE FUNCTION live.on_definition();
ALTER EVENT TRIGGER pg_live_definition_drop ENABLE ALWAYS;

REVOKE ALL ON FUNCTION live.prepare_connection(), live.attach(bigint),
    live.next(bigint, bigint, bigint), live.unregister(bigint, bigint[]), live.last_commit(),
    live.clock(), live.watch(bigint, bigint, bigint, regclass[]), live.status(), live.counters(),
    live.watch_query(bigint, bigint, bigint, text), live.watch(text), live.preview(text, json), live.may_query(oid, text),
    live.set_interval(text, text, interval), live.refresh(regprocedure, interval), live.poll(regclass, interval),
    live.polled(oid[]), live.depends(regprocedure, regclass[]), live.on_definition(),
    live.function_reads(oid[]), live.sql_functions(text, text), live.watermark(bigint, integer), live.import_snapshot(bigint),
    live.replica_ticket(), live.wait_for_replay(pg_lsn, bigint),
    live.register(bigint, bigint, bigint, bigint, bigint, bytea, bytea), live.catch_up(bytea, bigint, bigint),
    live.stop(), live.note_redefinition(oid), live.capture_table(regclass),
    live.repair_triggers(regclass, boolean), live.note_redefined_parents(), live.on_ddl(),
    live.switch_capture(regclass), live.apply_capture(), live.set_capture(regclass, text),
    live.on_detach(), live.on_drop(), live.capture_status(), live.not_captured(oid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION live.status(), live.counters() TO pg_monitor;
GRANT SELECT ON live.stats TO pg_monitor;
GRANT EXECUTE ON FUNCTION live.prepare_connection(), live.attach(bigint),
    live.next(bigint, bigint, bigint), live.unregister(bigint, bigint[]), live.last_commit(),
    live.clock(), live.status(), live.counters(), live.watermark(bigint, integer),
    live.import_snapshot(bigint), live.replica_ticket(),
    live.wait_for_replay(pg_lsn, bigint),
    live.register(bigint, bigint, bigint, bigint, bigint, bytea, bytea), live.catch_up(bytea, bigint, bigint)
    TO live_relay;
GRANT SELECT ON live.stats TO live_relay;

-- R19: a deploy changes what every query has read.
SELECT live.capture_table('live.active'::regclass);
-- Whoever imports follows it by a live query.
SELECT live.capture_table('live.imports'::regclass);

-- LANGUAGE js.

CREATE FUNCTION live.js_call() RETURNS language_handler
LANGUAGE c AS 'MODULE_PATHNAME', 'live_js_call';
CREATE FUNCTION live.js_inline(source internal) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'live_js_inline';
CREATE FUNCTION live.js_validate(function oid) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'live_js_validate';
CREATE TRUSTED LANGUAGE js HANDLER live.js_call INLINE live.js_inline VALIDATOR live.js_validate;
COMMENT ON LANGUAGE js IS 'JavaScript functions: V8, in hardened contexts that keep no state between calls.';
REVOKE ALL ON LANGUAGE js FROM PUBLIC;
REVOKE ALL ON FUNCTION live.js_inline(internal), live.js_call() FROM PUBLIC;
