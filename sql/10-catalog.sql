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
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pg_live_relay') THEN
        CREATE ROLE pg_live_relay NOLOGIN;
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
SELECT pg_catalog.pg_extension_config_dump(t::regclass, f) FROM (VALUES
    ('live.deployments', ''), ('live.sources', ''), ('live.modules', ''), ('live.functions', ''),
    ('live.tables', ''), ('live.columns', ''), ('live.indexes', ''), ('live.outcomes', ''),
    ('live.version_seq', ''), ('live.table_number_seq', ''), ('live.index_number_seq', '')
) AS dumped (t, f);
