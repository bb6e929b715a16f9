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
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    -- In PL/pgSQL for the sake of its plan, which is kept; a function in SQL would be planned at each call.
    RETURN QUERY SELECT p.oid, ARRAY(SELECT to_regclass(r)::oid FROM unnest(d.relations) AS r WHERE to_regclass(r) IS NOT NULL),
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
            AND NOT 'xid'::regtype = ANY (p.proargtypes::oid[])));
END
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
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    -- In PL/pgSQL for the sake of its plan, as above.
    RETURN QUERY SELECT p.provolatile = 'v', p.proretset, t.typtype = 'c' OR t.oid = 'record'::regtype, p.pronargdefaults::integer,
        coalesce((SELECT json_agg(json_build_object('name', nullif(a.name, ''), 'of', format_type(a.of, NULL)) ORDER BY a.n)
            FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargnames, p.proargmodes::text[])
                WITH ORDINALITY AS a(of, name, mode, n)
            WHERE coalesce(a.mode, 'i') IN ('i', 'b')), '[]')::text,
        (SELECT i.number FROM live.intervals AS i WHERE i.kind = 'function' AND i.object = p.oid::regprocedure::text)
    FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_type AS t ON t.oid = p.prorettype
    WHERE n.nspname = sql_functions.schema AND p.proname = sql_functions.name AND p.prokind = 'f' AND p.provariadic = 0;
END
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

