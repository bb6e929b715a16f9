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
