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

CREATE FUNCTION live.last_commit(OUT boot bigint, OUT c bigint) RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_last_commit';
COMMENT ON FUNCTION live.last_commit() IS
'The place of the transaction that this session committed last, if it wrote; else the present.';

CREATE FUNCTION live.clock(OUT boot bigint, OUT c bigint) RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_clock';
COMMENT ON FUNCTION live.clock() IS
'The present: boot of the worker (0 if none) and how many transactions have completed.';

CREATE FUNCTION live.watch(owner bigint, sub bigint, generation bigint, relations regclass[],
    OUT registered boolean, OUT boot bigint, OUT pos bigint)
RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_watch';
COMMENT ON FUNCTION live.watch(bigint, bigint, bigint, regclass[]) IS
'Registers interest in whole tables at the snapshot of this REPEATABLE READ READ ONLY transaction: a live query written by hand.';

CREATE FUNCTION live.status() RETURNS json
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_status';
COMMENT ON FUNCTION live.status() IS
'The worker of this database, its log and what it has worked off.';

CREATE FUNCTION live.counters(OUT name text, OUT value bigint) RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_counters';

CREATE VIEW live.stats AS SELECT name, value FROM live.counters();
COMMENT ON VIEW live.stats IS
'Counters of this database since the start of the server, or since live.stop().';

CREATE FUNCTION live.stop() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_stop';
COMMENT ON FUNCTION live.stop() IS
'Ends the worker of this database, which keeps the database from being dropped or copied. The next live.attach() starts it again.';

-- Capture: the triggers that tell what a transaction writes.

CREATE FUNCTION live.capture() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'pg_live_capture';
COMMENT ON FUNCTION live.capture() IS
'Trigger function: notes what was written, for live queries.';

CREATE FUNCTION live.note_redefinition(relation oid) RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_note_redefinition';
COMMENT ON FUNCTION live.note_redefinition(oid) IS
'Notes that this transaction redefines a table: a change that older snapshots see too.';

-- The triggers that a table must have, and the state of each. A partition has its row trigger from
-- the partitioned table: that one has no definition here.
CREATE FUNCTION live.capture_plan(relation regclass,
    OUT trigger name, OUT definition text, OUT state "char")
RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT plan.trigger, plan.definition, plan.state
    FROM pg_class AS c, LATERAL (VALUES
        ('pg_live_insert', 'AFTER INSERT ON %s REFERENCING NEW TABLE AS added FOR EACH STATEMENT', 'O'),
        ('pg_live_update', 'AFTER UPDATE ON %s REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT', 'O'),
        ('pg_live_delete', 'AFTER DELETE ON %s REFERENCING OLD TABLE AS removed FOR EACH STATEMENT', 'O'),
        ('pg_live_truncate', 'AFTER TRUNCATE ON %s FOR EACH STATEMENT', 'A'),
        (CASE WHEN c.relkind = 'p' OR c.relispartition THEN 'pg_live_tree_row' ELSE 'pg_live_row' END,
            CASE WHEN NOT c.relispartition THEN 'AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW' END, 'R')
    ) AS plan (trigger, definition, state)
    WHERE c.oid = relation
$$;

CREATE VIEW live.captured AS
    SELECT DISTINCT t.tgrelid::regclass AS relation, NOT EXISTS (
        SELECT FROM live.capture_plan(t.tgrelid) AS plan
        LEFT JOIN pg_catalog.pg_trigger AS have ON have.tgrelid = t.tgrelid
            AND have.tgname = plan.trigger AND have.tgfoid = t.tgfoid
        WHERE have.tgenabled IS DISTINCT FROM plan.state
    ) AS complete
    FROM pg_catalog.pg_trigger AS t
    WHERE t.tgfoid = 'live.capture()'::regprocedure;
COMMENT ON VIEW live.captured IS
'Tables whose changes are captured, and whether all triggers are there and in the right state.';

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

-- Puts the states of the triggers right; with `complete` adds those that are missing.
CREATE FUNCTION live.repair_triggers(relation regclass, complete boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET pg_live.repairing = on AS $$
DECLARE
    plan record;
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
                || format(plan.definition, relation) || ' EXECUTE FUNCTION live.capture()';
            CONTINUE WHEN plan.state = 'O';
        END IF;
        EXECUTE format('ALTER TABLE %s ENABLE %s TRIGGER %I', relation,
            CASE plan.state WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END,
            plan.trigger);
    END LOOP;
END
$$;

CREATE FUNCTION live.capture_table(relation regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    member regclass;
BEGIN
    IF NOT EXISTS (SELECT FROM live.capture_tree(relation) AS m WHERE m = relation) THEN
        RAISE EXCEPTION 'changes of % cannot be captured', relation
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

-- DDL. While a dump is restored the triggers come with the dump, and none is added.
CREATE FUNCTION live.on_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    restoring boolean := NOT current_setting('row_security')::boolean
        AND NOT current_setting('check_function_bodies')::boolean;
    changed regclass;
    member regclass;
    captured boolean;
BEGIN
    IF current_setting('pg_live.repairing', true) = 'on' THEN
        RETURN;
    END IF;
    FOR changed IN
        SELECT DISTINCT c.oid FROM pg_event_trigger_ddl_commands() AS d
        JOIN pg_class AS c ON c.oid = d.objid
        WHERE d.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p')
            AND c.relpersistence <> 't'
            AND (c.relhastriggers OR c.relispartition
                OR EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = c.oid))
    LOOP
        FOR member IN SELECT live.capture_tree(changed) AS m WHERE EXISTS (
            SELECT FROM live.capture_tree(changed) AS other JOIN pg_trigger AS t ON t.tgrelid = other
            WHERE t.tgfoid = 'live.capture()'::regprocedure)
        LOOP
            PERFORM live.note_redefinition(member);
            captured := EXISTS (SELECT FROM pg_trigger AS t
                WHERE t.tgrelid = member AND t.tgfoid = 'live.capture()'::regprocedure
                AND t.tgparentid = 0);
            PERFORM live.repair_triggers(member, NOT captured AND NOT restoring);
        END LOOP;
    END LOOP;
    -- A partition that was detached has lost its row trigger.
    FOR member IN
        SELECT t.tgrelid FROM pg_trigger AS t WHERE t.tgfoid = 'live.capture()'::regprocedure
        GROUP BY t.tgrelid HAVING NOT bool_or(t.tgname IN ('pg_live_row', 'pg_live_tree_row'))
    LOOP
        PERFORM live.repair_triggers(member, NOT restoring);
    END LOOP;
END
$$;

CREATE FUNCTION live.on_drop() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    dropped record;
    remaining regclass;
BEGIN
    FOR dropped IN
        SELECT DISTINCT d.address_names[1] AS schema, d.address_names[2] AS name, (
            SELECT r.objid FROM pg_event_trigger_dropped_objects() AS r
            WHERE r.classid = 'pg_class'::regclass AND r.object_type = 'table'
            AND r.address_names = d.address_names[1:2] LIMIT 1) AS oid
        FROM pg_event_trigger_dropped_objects() AS d
        WHERE d.object_type = 'trigger' AND NOT d.is_temporary
            AND d.address_names[3] LIKE 'pg\_live\_%'
    LOOP
        remaining := to_regclass(format('%I.%I', dropped.schema, dropped.name));
        IF dropped.oid IS NOT NULL THEN
            PERFORM live.note_redefinition(dropped.oid);
        ELSIF remaining IS NOT NULL THEN
            PERFORM live.note_redefinition(remaining);
            PERFORM live.capture_table(remaining);
        END IF;
    END LOOP;
END
$$;

CREATE EVENT TRIGGER pg_live_ddl ON ddl_command_end
    WHEN TAG IN ('ALTER TABLE', 'CREATE TABLE', 'CREATE POLICY', 'ALTER POLICY', 'DROP POLICY')
    EXECUTE FUNCTION live.on_ddl();
ALTER EVENT TRIGGER pg_live_ddl ENABLE ALWAYS;
CREATE EVENT TRIGGER pg_live_drop ON sql_drop
    WHEN TAG IN ('DROP TABLE', 'DROP TRIGGER', 'DROP SCHEMA', 'DROP OWNED', 'ALTER TABLE')
    EXECUTE FUNCTION live.on_drop();
ALTER EVENT TRIGGER pg_live_drop ENABLE ALWAYS;

REVOKE ALL ON FUNCTION live.prepare_connection(), live.attach(bigint),
    live.next(bigint, bigint, bigint), live.unregister(bigint, bigint[]), live.last_commit(),
    live.clock(), live.watch(bigint, bigint, bigint, regclass[]), live.status(), live.counters(),
    live.stop(), live.note_redefinition(oid), live.capture_table(regclass),
    live.repair_triggers(regclass, boolean), live.on_ddl(), live.on_drop() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION live.status(), live.counters() TO pg_monitor;
GRANT SELECT ON live.stats TO pg_monitor;
