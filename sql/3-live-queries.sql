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

