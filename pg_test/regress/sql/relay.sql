-- What the relay calls. A mutation of a client's session runs once.
TRUNCATE messages;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT ok, length(value), error, replayed FROM live.run_mutation('messages:send',
    '[{"author": "ann", "body": "once"}]', NULL, '6f8b7d0a-1c5e-4c39-9a52-2f1f3f1f7f01', 1);
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT ok, value = (SELECT to_json(_id)::text FROM messages) AS same_value, replayed
FROM live.run_mutation('messages:send',
    '[{"author": "ann", "body": "once"}]', NULL, '6f8b7d0a-1c5e-4c39-9a52-2f1f3f1f7f01', 1);
COMMIT;
-- Even when it would fail by now.
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT ok, replayed FROM live.run_mutation('messages:sendAndFail',
    '[{"author": "ann", "body": "once"}]', NULL, '6f8b7d0a-1c5e-4c39-9a52-2f1f3f1f7f01', 1);
COMMIT;
-- Another request is another mutation; a failed one is not remembered.
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT ok, split_part(error, E'\n', 1) AS error, replayed FROM live.run_mutation('messages:sendAndFail',
    '[{"author": "ann", "body": "twice"}]', NULL, '6f8b7d0a-1c5e-4c39-9a52-2f1f3f1f7f01', 2);
COMMIT;
-- Not without the transaction that it needs.
SELECT ok FROM live.run_mutation('messages:send',
    '[{"author": "ann", "body": "thrice"}]', NULL, '6f8b7d0a-1c5e-4c39-9a52-2f1f3f1f7f01', 3);
SELECT author, body FROM messages;
SELECT request FROM live.outcomes ORDER BY request;

-- Queries of clients: in their kind of transaction, on a prepared connection.
SELECT ok FROM live.run_query('messages:all', '[{}]', NULL, 0, 0, 0);
SELECT live.prepare_connection();
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT ok, value, error, registered, c > 0 AS placed FROM live.run_query('messages:all', '[{}]', NULL, 0, 0, 0);
SELECT ok, split_part(error, E'\n', 1) AS error, error_data FROM live.run_query('messages:throwsData', '[{}]', NULL, 0, 0, 0);
SELECT ok, error FROM live.run_query('messages:nothing', '[{}]', NULL, 0, 0, 0);
SELECT ok, error FROM live.run_query('messages:hoard', '[{}]', NULL, 0, 0, 0);
-- The transaction is still good.
SELECT ok, value FROM live.run_query('messages:count', '[{}]', NULL, 0, 0, 0);
COMMIT;
\c
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT ok FROM live.run_query('messages:all', '[{}]', NULL, 0, 0, 0);
ROLLBACK;

-- R18: a result over a table that was not captured at its snapshot is not registered. The triggers are put right,
-- and the next run is.
SELECT live.prepare_connection();
DO $$
BEGIN
    FOR i IN 1..6000 LOOP
        EXIT WHEN live.attach(21) > 0;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT ok, registered FROM live.run_query('messages:all', '[{}]', NULL, 21, 1, 1);
COMMIT;
ALTER EVENT TRIGGER pg_live_ddl DISABLE;
ALTER TABLE messages DISABLE TRIGGER ALL;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT ok, registered FROM live.run_query('messages:all', '[{}]', NULL, 21, 1, 2);
COMMIT;
ALTER EVENT TRIGGER pg_live_ddl ENABLE ALWAYS;
DO $$
BEGIN
    FOR i IN 1..6000 LOOP
        EXIT WHEN (SELECT complete FROM live.captured WHERE relation = 'messages'::regclass);
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT ok, registered FROM live.run_query('messages:all', '[{}]', NULL, 21, 1, 3);
COMMIT;
