-- What functions log and how long they run comes to tables, by a background worker.
CREATE PROCEDURE wait_until(condition text) LANGUAGE plpgsql AS $$
DECLARE
    reached boolean;
BEGIN
    FOR i IN 1..6000 LOOP
        EXECUTE 'SELECT ' || condition INTO reached;
        EXIT WHEN reached;
        COMMIT;
        PERFORM pg_sleep(0.05);
    END LOOP;
    IF NOT reached THEN
        RAISE EXCEPTION 'never: %', condition;
    END IF;
END $$;
CREATE VIEW scribes AS SELECT pid FROM pg_stat_activity
    WHERE backend_type = 'pg_live scribe' AND datname = current_database() AND state IS NOT NULL;
SELECT live.attach(99) IS NOT NULL AS attached;
CALL wait_until('EXISTS (SELECT FROM scribes)');

-- What other tests have left comes first.
SELECT live.query('messages:marker');
CALL wait_until($$EXISTS (SELECT FROM live.logs WHERE function = 'messages:marker')$$);
TRUNCATE live.logs, live.function_stats;

-- From a transaction that writes nothing, and from one that fails.
BEGIN READ ONLY;
SELECT live.query('messages:chatty');
COMMIT;
SELECT live.query('messages:chatty', '{"fail": true}');
BEGIN;
SELECT length(live.mutation('messages:send', '{"author": "log", "body": "x"}')::text);
ROLLBACK;
SELECT live.query('messages:nowhere');
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT ok FROM live.run_mutation('messages:sendAndFail', '[{"author": "log", "body": "x"}]', NULL,
    '6f8b7d0a-1c5e-4c39-9a52-2f1f3f1f7f77', 5);
COMMIT;
CALL wait_until($$EXISTS (SELECT FROM live.logs WHERE request = 5)$$);
SELECT function, kind, caller, session, request, level, split_part(line, E'\n', 1) AS line, outcome,
    deployment = (SELECT max(id) FROM live.deployments WHERE id IN (SELECT deployment FROM live.active)) AS active,
    duration_ms > 0 AS timed, at > now() - interval '1 hour' AS recent
FROM live.logs ORDER BY id;
SELECT function, kind, calls, errors, total_ms >= max_ms AND max_ms > 0 AS timed, documents_written
FROM live.function_stats WHERE function IN ('messages:chatty', 'messages:send', 'messages:nowhere', 'messages:sendAndFail')
ORDER BY function;
SELECT function, (SELECT sum(n) FROM unnest(histogram) AS n) = calls AS counted,
    p50_ms > 0 AND p50_ms <= p99_ms AND p99_ms <= max_ms AS quantiles
FROM live.function_stats WHERE function IN ('messages:chatty', 'messages:send') ORDER BY function;
-- Quantiles of 1 to 1000: a bucket is a fifth wide.
WITH counts AS (SELECT live.histogram_bucket(v) AS bucket, count(*) AS n FROM generate_series(1, 1000) AS v GROUP BY 1),
h AS (SELECT array_agg(COALESCE(n, 0) ORDER BY i) AS h FROM generate_series(0, 95) AS i LEFT JOIN counts ON bucket = i)
SELECT live.histogram_quantile(h, 0.5) BETWEEN 500 AND 600 AS p50, live.histogram_quantile(h, 0.99) BETWEEN 990 AND 1190 AS p99,
    live.histogram_quantile(live.histogram_sum(h, h), 0.5) = live.histogram_quantile(h, 0.5) AS summed,
    live.histogram_bucket(0) AS least, live.histogram_bucket(1e12) AS most
FROM h;

-- Off.
SET pg_live.log_calls = off;
SELECT live.query('messages:chatty');
RESET pg_live.log_calls;
SELECT live.query('messages:chatty', '{"fail": true, "last": true}');
CALL wait_until($$(SELECT calls FROM live.function_stats WHERE function = 'messages:chatty') >= 3$$);
SELECT calls, errors FROM live.function_stats WHERE function = 'messages:chatty';

-- Only the newest rows are kept.
ALTER SYSTEM SET pg_live.log_rows = 4;
SELECT pg_reload_conf();
SELECT live.query('messages:chatty', '{"fail": true}');
CALL wait_until($$live.query('messages:all') IS NULL OR (SELECT count(*) FROM live.logs) = 4$$);
ALTER SYSTEM RESET pg_live.log_rows;
SELECT pg_reload_conf();

-- Rights. Nothing captures these tables.
SELECT rolname, has_table_privilege(rolname, 'live.logs', 'SELECT') AS logs,
    has_table_privilege(rolname, 'live.function_stats', 'SELECT') AS stats
FROM pg_roles WHERE rolname IN ('app', 'live_relay', 'pg_monitor', 'postgres') ORDER BY 1;
SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('live.logs'::regclass, 'live.function_stats'::regclass);
SELECT value FROM live.stats WHERE name = 'log_records_dropped';

-- The engine of this session.
SELECT name FROM live.isolate_stats() ORDER BY name;
SELECT bool_and(value >= 0) AS counted, sum(value) > 0 AS used FROM live.isolate_stats();

SELECT live.stop();
CALL wait_until('NOT EXISTS (SELECT FROM scribes)');
DROP VIEW scribes;
DROP PROCEDURE wait_until;
