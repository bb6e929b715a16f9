-- After a restart of the server: a TRUNCATE that was prepared before it is decided between a snapshot and
-- the read. The read sees it, the snapshot does not: the result is refused (R17).
\set ON_ERROR_STOP on
\set QUIET on
\pset tuples_only on
\pset format unaligned
DO $$
DECLARE
    boot bigint := 0;
BEGIN
    FOR i IN 1..1000 LOOP
        boot := live.attach(10);
        EXIT WHEN boot > 0;
        PERFORM pg_sleep(0.02);
    END LOOP;
    IF boot = 0 THEN
        RAISE 'the worker did not start';
    END IF;
END $$;
SELECT live.prepare_connection();
SELECT dblink_connect('other', format('host=%s port=%s user=postgres dbname=%s',
    split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database())) \g /dev/null
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT 1 \g /dev/null
SELECT dblink_exec('other', 'COMMIT PREPARED ''over_restart''') \g /dev/null
SELECT format('rows at a snapshot of before: %s', count(*)) FROM t;
\set ON_ERROR_STOP off
\set VERBOSITY sqlstate
SELECT registered FROM live.watch(10, 1, 1, ARRAY['t'::regclass]);
\echo sqlstate :SQLSTATE
COMMIT;
