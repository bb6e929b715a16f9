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

