-- What functions log, and figures about their calls: written by a background worker, some moments later.
CREATE TABLE live.logs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL,
    deployment  bigint,
    function    text NOT NULL,
    kind        text NOT NULL,
    caller      text NOT NULL,
    session     text,
    request     bigint,
    level       text NOT NULL,
    line        text NOT NULL,
    outcome     text NOT NULL,
    duration_ms float8 NOT NULL
);
COMMENT ON TABLE live.logs IS
'Lines that functions logged, and errors that calls ended with: one row for each. The newest pg_live.log_rows are kept.';

-- A histogram counts values by buckets of a factor of 2^(1/4) each, the first up to 0.01, the last without end.
CREATE FUNCTION live.histogram_bucket(value float8) RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN value <= 0.01 THEN 0 ELSE LEAST(95, pg_catalog.ceil(4 * pg_catalog.ln(value / 0.01) / pg_catalog.ln(2.0::float8)))::int END;
COMMENT ON FUNCTION live.histogram_bucket(float8) IS 'The bucket of a value in a histogram, 0 to 95.';

CREATE FUNCTION live.histogram_sum(a bigint[], b bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT pg_catalog.array_agg(u.x + u.y ORDER BY u.n) FROM ROWS FROM (pg_catalog.unnest(a), pg_catalog.unnest(b)) WITH ORDINALITY AS u (x, y, n));
COMMENT ON FUNCTION live.histogram_sum(bigint[], bigint[]) IS 'Two histograms as one.';

CREATE FUNCTION live.histogram_quantile(histogram bigint[], part float8) RETURNS float8
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT 0.01 * pg_catalog.power(2::float8, (c.n - 1) / 4.0::float8)
        FROM (SELECT u.n, pg_catalog.sum(u.x) OVER (ORDER BY u.n) AS below, pg_catalog.sum(u.x) OVER () AS total
              FROM pg_catalog.unnest(histogram) WITH ORDINALITY AS u (x, n)) AS c
        WHERE c.below >= part * c.total AND c.total > 0 ORDER BY c.n LIMIT 1);
COMMENT ON FUNCTION live.histogram_quantile(bigint[], float8) IS
'The value that this part of the values does not exceed: the upper end of its bucket, at most a fifth too high.';

CREATE TABLE live.function_stats (
    deployment        bigint NOT NULL,
    function          text NOT NULL,
    kind              text NOT NULL,
    calls             bigint NOT NULL,
    errors            bigint NOT NULL,
    total_ms          float8 NOT NULL,
    max_ms            float8 NOT NULL,
    documents_read    bigint NOT NULL,
    documents_written bigint NOT NULL,
    last_at           timestamptz NOT NULL,
    histogram         bigint[] NOT NULL,
    p50_ms            float8 GENERATED ALWAYS AS (LEAST(max_ms, live.histogram_quantile(histogram, 0.5))) STORED,
    p99_ms            float8 GENERATED ALWAYS AS (LEAST(max_ms, live.histogram_quantile(histogram, 0.99))) STORED,
    PRIMARY KEY (deployment, function, kind)
);
COMMENT ON COLUMN live.function_stats.histogram IS 'Calls by time; see live.histogram_bucket().';
COMMENT ON TABLE live.function_stats IS 'How often and how long the functions of the last 100 deployments ran.';

CREATE FUNCTION live.engine() RETURNS json
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_engine';
COMMENT ON FUNCTION live.engine() IS
'The JavaScript engine of this session: start time, memory, contexts.';

CREATE FUNCTION live.isolate_stats() RETURNS TABLE (name text, value bigint)
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT key, CASE value WHEN 'true' THEN 1 WHEN 'false' THEN 0 ELSE value::bigint END
    FROM json_each_text(live.engine()) WHERE value ~ '^(\d+|true|false)$'
$$;
COMMENT ON FUNCTION live.isolate_stats() IS 'The figures of live.engine() as rows.';

CREATE FUNCTION live.stop() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_live_stop';
COMMENT ON FUNCTION live.stop() IS
'Ends the worker of this database, which keeps the database from being dropped or copied. The next live.attach() starts it again.';

