-- Capture from the WAL: rows are decoded, and what the WAL does not tell counts as a change of the whole table.
\pset footer off
SET client_min_messages = warning;
\getenv source PG_ABS_SRCDIR
\set messages `cat :'source'/functions/messages.js`
\set schema `cat :'source'/functions/schema.js`
SELECT live.deploy(json_build_object('modules', json_build_array(json_build_object('path', 'messages.js', 'source', :'messages')),
    'schema', json_build_object('path', 'schema.js', 'source', :'schema'))) IS NOT NULL AS deployed;
CREATE SCHEMA wal;
SET search_path = wal, public;
SELECT live.prepare_connection();
\set owner 15
\set include :source '/include/watching.sql'
\set ECHO none
\i :include
\set ECHO all
-- Waits until the decoder is in a state.
CREATE FUNCTION decoder(wanted text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..6000 LOOP
        IF live.status()->'decoder'->>'state' LIKE wanted || '%' THEN
            CALL wal.settle();
            RETURN true;
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
    RETURN false;
END $$;
-- Live queries on messages of ann and of bob, and on a plain table.
CREATE TABLE plain (id int PRIMARY KEY, v text);
CREATE OR REPLACE PROCEDURE watch() LANGUAGE plpgsql AS $$
BEGIN
    CALL wal.settle();
    UPDATE seen SET generation = generation + 1;
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
    PERFORM live.run_query('messages:by', '[{"author": "ann"}]', NULL, 15, 1, generation) FROM seen;
    PERFORM live.run_query('messages:by', '[{"author": "bob"}]', NULL, 15, 2, generation) FROM seen;
    PERFORM live.watch(15, 3, generation, '{wal.plain}') FROM seen;
    COMMIT;
END $$;
TRUNCATE messages;
SELECT live.set_capture('messages', 'wal'), live.set_capture('plain', 'wal'), live.capture_table('plain');
SELECT tgrelid::regclass AS relation, tgname, tgenabled FROM pg_trigger
WHERE tgrelid IN ('messages'::regclass, 'plain'::regclass) AND tgname LIKE 'pg\_live%' ORDER BY 1, 2;
SELECT relname, relreplident FROM pg_class WHERE oid IN ('messages'::regclass, 'plain'::regclass) ORDER BY 1;
SELECT relation, complete FROM live.captured WHERE relation IN ('messages'::regclass, 'plain'::regclass) ORDER BY 1;

\echo -- without a decoder all of the table counts; then one is started
INSERT INTO watched (relation) VALUES ('ann'), ('bob'), ('plain');
SELECT attach() AS boot \gset
CALL watch();
INSERT INTO messages (author, body) VALUES ('ann', 'one'), ('bob', 'two'), ('cy', 'three');
SELECT * FROM hit(:boot);
CALL watch();
INSERT INTO messages (author, body) VALUES ('dan', 'four');
SELECT decoder('decoding');
SELECT slot_name ~ '^pg_live_\d+_\d+$' AS ours, temporary, plugin FROM pg_replication_slots;
CALL watch();
SELECT count(*) FROM hit(:boot);

\echo -- rows, old and new
CALL watch();
INSERT INTO messages (author, body) VALUES ('ann', 'five');
SELECT * FROM hit(:boot);
CALL watch();
UPDATE messages SET author = 'ann' WHERE author = 'bob';
SELECT * FROM hit(:boot);
CALL watch();
UPDATE messages SET author = 'bob' WHERE body = 'two';
SELECT * FROM hit(:boot);
CALL watch();
DELETE FROM messages WHERE author = 'bob';
SELECT * FROM hit(:boot);
CALL watch();
INSERT INTO plain VALUES (1, 'a');
SELECT * FROM hit(:boot);
\echo -- what is silent: other rows, equal bytes, no rows, a rollback, a savepoint that was rolled back
CALL watch();
UPDATE messages SET body = 'neither' WHERE author = 'cy';
UPDATE messages SET body = body;
DELETE FROM messages WHERE author = 'nobody';
UPDATE plain SET v = v;
BEGIN;
INSERT INTO messages (author, body) VALUES ('ann', 'never');
ROLLBACK;
BEGIN;
SAVEPOINT a;
INSERT INTO messages (author, body) VALUES ('ann', 'never');
ROLLBACK TO a;
INSERT INTO messages (author, body) VALUES ('cy', 'again');
COMMIT;
SELECT * FROM hit(:boot);
\echo -- a commit that does not wait for the disk
SET synchronous_commit = off;
UPDATE messages SET body = 'not flushed' WHERE author = 'ann';
SELECT * FROM hit(:boot);
RESET synchronous_commit;
\echo -- two-phase commit; COPY; ON CONFLICT
CALL watch();
BEGIN;
INSERT INTO messages (author, body) VALUES ('bob', 'prepared');
PREPARE TRANSACTION 'wal';
COMMIT PREPARED 'wal';
SELECT * FROM hit(:boot);
CALL watch();
COPY messages (author, body) FROM stdin;
ann	copied
\.
SELECT * FROM hit(:boot);
CALL watch();
INSERT INTO messages (_id, author, body) SELECT _id, 'ann', 'x' FROM messages WHERE body = 'prepared'
ON CONFLICT (_id) DO UPDATE SET body = 'y';
SELECT * FROM hit(:boot);
\echo -- a large value that stays as it is
INSERT INTO messages (author, body) SELECT 'cy', string_agg(md5(i::text), '') FROM generate_series(1, 1000) AS i;
CALL watch();
UPDATE messages SET stars = 5 WHERE length(body) > 30000;
SELECT * FROM hit(:boot);
UPDATE messages SET author = 'ann' WHERE length(body) > 30000;
SELECT * FROM hit(:boot);
\echo -- TRUNCATE; old rows that the WAL does not have
CALL watch();
TRUNCATE plain;
SELECT * FROM hit(:boot);
ALTER TABLE messages REPLICA IDENTITY DEFAULT;
CALL watch();
INSERT INTO messages (author, body) VALUES ('cy', 'still exact');
SELECT * FROM hit(:boot);
UPDATE messages SET body = 'not any more' WHERE body = 'still exact';
SELECT * FROM hit(:boot);
ALTER TABLE messages REPLICA IDENTITY FULL;
\echo -- a table that is not logged any more; the switch to triggers and back, in the middle of a transaction too
ALTER TABLE plain SET UNLOGGED;
CALL watch();
INSERT INTO plain VALUES (2, 'b');
SELECT * FROM hit(:boot);
SELECT live.set_capture('plain', 'wal');
SELECT live.set_capture('plain', 'auto');
CALL watch();
BEGIN;
INSERT INTO messages (author, body) VALUES ('ann', 'by the WAL');
SELECT live.set_capture('messages', 'trigger');
SELECT live.capture_mode('messages');
INSERT INTO messages (author, body) VALUES ('bob', 'by triggers');
COMMIT;
SELECT * FROM hit(:boot);
SELECT relreplident FROM pg_class WHERE oid = 'messages'::regclass;
CALL watch();
INSERT INTO messages (author, body) VALUES ('bob', 'by triggers');
SELECT * FROM hit(:boot);
SELECT live.set_capture('messages', 'wal');
SELECT live.capture_mode('messages');
CALL watch();
INSERT INTO messages (author, body) VALUES ('bob', 'by the WAL');
SELECT * FROM hit(:boot);
\echo -- what cannot be captured so
CREATE TABLE tree (id int) PARTITION BY LIST (id);
SELECT live.set_capture('tree', 'wal');
SELECT live.set_capture('live.active', 'wal');
SELECT live.set_capture('plain', 'nonsense');

\echo -- subscribers of their own
SELECT set_config(name, setting || ', pg_live', false) IS NOT NULL AS allowed FROM pg_settings WHERE name = 'output_plugin_libraries';
SELECT slot_name FROM pg_create_logical_replication_slot('outside', 'pg_live');
CREATE TABLE keyed (a int, b text, c int, PRIMARY KEY (a, b));
INSERT INTO keyed VALUES (1, 'x', 2);
BEGIN;
UPDATE keyed SET c = 3;
UPDATE keyed SET b = NULL || 'y';
ROLLBACK;
UPDATE keyed SET b = 'y', c = 4;
DELETE FROM keyed;
TRUNCATE keyed;
INSERT INTO plain VALUES (3, 'not logged');
CALL watch();
ALTER SYSTEM SET pg_live.emit_wal = on;
SELECT pg_reload_conf();
SELECT pg_sleep(0.3);
INSERT INTO messages (author, body) VALUES ('bob', 'told');
SELECT * FROM hit(:boot);
SELECT pg_switch_wal() IS NOT NULL AS flushed;
CREATE FUNCTION changes(VARIADIC options text[]) RETURNS SETOF jsonb LANGUAGE sql AS $$
    SELECT data::jsonb - 'xid' - 'lsn' - 'end_lsn' - 'time_us'
    FROM pg_logical_slot_peek_changes('outside', NULL, NULL, VARIADIC options)
$$;
SELECT changes('tables', 'wal.keyed', 'messages', 'off');
SELECT change - 'new' AS change FROM changes('tables', 'public.messages', 'messages', 'off') AS change;
SELECT change->'content'->>'kind' AS kind, change->'content'->'owner' AS owner,
    (SELECT jsonb_agg(query->'sub') FROM jsonb_array_elements(change->'content'->'queries') AS query) AS subs
FROM changes('tables', 'none.at_all') AS change;
SELECT bool_and(data::jsonb ? 'xid' AND data::jsonb->>'lsn' ~ '^[0-9A-F]+/[0-9A-F]+$'
    AND to_timestamp((data::jsonb->>'time_us')::numeric / 1000000) BETWEEN now() - interval '1 hour' AND clock_timestamp()) AS placed
FROM pg_logical_slot_peek_changes('outside', NULL, NULL, 'messages', 'off') WHERE data::jsonb->>'kind' IN ('begin', 'commit');
SELECT changes('colour', 'red');
SELECT pg_drop_replication_slot('outside');
ALTER SYSTEM RESET pg_live.emit_wal;
SELECT pg_reload_conf();
\echo -- the decoder and its slot are gone with the worker
SELECT live.set_capture('messages', 'auto');
SELECT live.stop();
SELECT count(*) AS slots FROM pg_replication_slots;
DROP SCHEMA wal CASCADE;
