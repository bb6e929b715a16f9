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

