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
    TO pg_live_relay;
