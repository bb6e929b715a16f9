-- How much is fetched for what functions read, and by which index.
\getenv source PG_ABS_SRCDIR
\set rows `cat :'source'/functions/rows.js`
\set schema 'export default { export: () => JSON.stringify({ schemaValidation: true, tables: [{ tableName: "rows", documentType: { type: "object", value: { rank: { fieldType: { type: "number" }, optional: false } } }, indexes: [{ indexDescriptor: "by_rank", fields: ["rank"] }], searchIndexes: [], vectorIndexes: [] }] }) };'
SELECT live.deploy(json_build_object('modules', json_build_array(json_build_object('path', 'rows.js', 'source', :'rows')),
    'schema', json_build_object('path', 'schema.js', 'source', :'schema'))) IS NOT NULL AS deployed;
-- Counters are those of a database that has a worker.
SELECT live.attach(7) IS NOT NULL AS attached;

-- What a call gives, what it fetches, and the scans of the table and of its indexes.
CREATE TABLE measured (n int GENERATED ALWAYS AS IDENTITY, what text, given text, fetched bigint, seq_scans bigint, index_scans text);
CREATE FUNCTION measure(path text, args json) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    given text;
    fetched bigint := (SELECT value FROM live.stats WHERE name = 'rows_fetched');
    sequential bigint := pg_stat_get_xact_numscans('rows'::regclass);
    indexes jsonb := (SELECT jsonb_object_agg(indexrelid::regclass, pg_stat_get_xact_numscans(indexrelid))
                      FROM pg_index WHERE indrelid = 'rows'::regclass);
BEGIN
    given := live.query(path, args);
    INSERT INTO measured (what, given, fetched, seq_scans, index_scans)
    SELECT path || ' ' || coalesce(args->>'n', ''), given,
        (SELECT value FROM live.stats WHERE name = 'rows_fetched') - fetched,
        pg_stat_get_xact_numscans('rows'::regclass) - sequential,
        string_agg(regexp_replace(i.indexrelid::regclass::text, '\d+', 'N') || ' '
            || pg_stat_get_xact_numscans(i.indexrelid) - (indexes->>(i.indexrelid::regclass::text))::bigint, ', ')
            FILTER (WHERE pg_stat_get_xact_numscans(i.indexrelid) > (indexes->>(i.indexrelid::regclass::text))::bigint)
    FROM pg_index AS i WHERE i.indrelid = 'rows'::regclass;
END $$;
CREATE FUNCTION measure_all() RETURNS SETOF measured LANGUAGE plpgsql AS $$
BEGIN
    PERFORM measure(path, json_build_object('n', n)) FROM (VALUES
        ('rows:take', 1), ('rows:take', 50), ('rows:take', 500), ('rows:newest', 50), ('rows:firstIds', 50),
        ('rows:takeEven', 1), ('rows:takeEven', 300), ('rows:leaveAfter', 1), ('rows:leaveAfter', 100),
        ('rows:pageLength', 100), ('rows:evenPageLength', 20), ('rows:evenPageLength', 300)) AS calls (path, n);
    PERFORM measure('rows:get', json_build_object('id', (SELECT coalesce(min(_id), live.new_id(20000)) FROM rows)));
    RETURN QUERY DELETE FROM measured RETURNING *;
END $$;

-- The index is used on an empty table, on three rows and on many, whatever the statistics say.
ANALYZE rows;
SELECT what, given, fetched, seq_scans, index_scans FROM measure_all() ORDER BY n;
INSERT INTO rows (rank) SELECT generate_series(1, 3);
SELECT what, given, fetched, seq_scans, index_scans FROM measure_all() ORDER BY n;
ANALYZE rows;
SELECT what, given, fetched, seq_scans, index_scans FROM measure_all() ORDER BY n;
INSERT INTO rows (rank) SELECT generate_series(4, 20000);
SELECT what, given, fetched, seq_scans, index_scans FROM measure_all() ORDER BY n;
ANALYZE rows;
SELECT what, given, fetched, seq_scans, index_scans FROM measure_all() ORDER BY n;
-- Not more than twice what was read, and 64; the even rows are every second one.
SELECT what, given, fetched FROM measure_all()
WHERE fetched > 64 + 2 * given::bigint * CASE WHEN what ~* 'even' THEN 2 ELSE 1 END;

-- One page after another: each is one scan of an index from its cursor, and all rows come once.
CREATE FUNCTION pages(size int, "order" text, OUT pages bigint, OUT ranks bigint, OUT first numeric, OUT last numeric, OUT fetched bigint)
LANGUAGE plpgsql AS $$
DECLARE
    page json;
    seen numeric[] := '{}';
    before bigint := (SELECT value FROM live.stats WHERE name = 'rows_fetched');
BEGIN
    pages := 0;
    LOOP
        page := live.query('rows:pageOf', json_build_object('n', size, 'order', "order", 'cursor', page->'continueCursor'));
        seen := seen || ARRAY(SELECT value::numeric FROM json_array_elements_text(page->'ranks'));
        pages := pages + 1;
        EXIT WHEN (page->>'isDone')::boolean;
    END LOOP;
    SELECT count(DISTINCT rank), seen[1], seen[array_length(seen, 1)] INTO ranks, first, last FROM unnest(seen) AS rank;
    fetched := (SELECT value FROM live.stats WHERE name = 'rows_fetched') - before;
END $$;
DELETE FROM rows WHERE rank > 5000;
SELECT * FROM pages(100, 'asc');
SELECT * FROM pages(999, 'desc');

-- The read-set of a page is what was read of the index: not what was fetched ahead, nor what is behind its end.
CREATE FUNCTION ranks_read(args json) RETURNS TABLE (ranks bigint, first float8, last float8, open_below boolean, open_above boolean)
LANGUAGE sql AS $$
    SELECT count(r), min(rank), max(rank), e.lower = '', e.upper IS NULL
    FROM live.explain('rows:pageOf', args) AS e LEFT JOIN rows AS r
        ON encode(live.index_key_v1(_extra, 'rank'::text, rank, "_creationTime", _id), 'hex') >= e.lower
        AND (e.upper IS NULL OR encode(live.index_key_v1(_extra, 'rank'::text, rank, "_creationTime", _id), 'hex') < e.upper)
    WHERE e.kind = 'range' GROUP BY e.lower, e.upper
$$;
SELECT live.query('rows:pageOf', '{"n": 10}')::json->>'continueCursor' AS tenth \gset
SELECT live.query('rows:pageOf', json_build_object('n', 10, 'cursor', :'tenth'))::json->>'continueCursor' AS twentieth \gset
SELECT * FROM ranks_read('{"n": 10}');
SELECT * FROM ranks_read(json_build_object('n', 10, 'cursor', :'tenth'));
SELECT * FROM ranks_read(json_build_object('n', 1, 'cursor', :'tenth', 'endCursor', :'twentieth'));
SELECT * FROM ranks_read('{"n": 10, "order": "desc"}');
SELECT * FROM ranks_read('{"n": 6000}');
SELECT live.query('rows:pageOf', '{"n": 6000}')::json->>'continueCursor' AS end \gset
SELECT count(*) FROM ranks_read(json_build_object('n', 10, 'cursor', :'end'));

-- A journal fixes the end of a page; one of another query, and one that is none, are left aside.
SELECT live.prepare_connection();
CREATE FUNCTION page_with(journal text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(json_array_length(value::json->'ranks')::text, error) || ', '
        || coalesce((journal = value::json->>'continueCursor')::text, 'no journal')
    FROM live.run_query('rows:pageOf', '[{"n": 10}]', NULL, 0, 0, 0, $1)
$$;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT page_with(NULL);
SELECT page_with(:'twentieth');
SELECT page_with(:'end');
SELECT page_with('garbage');
SELECT page_with((SELECT live.query('rows:pageOf', '{"n": 1, "order": "desc"}')::json->>'continueCursor'));
SELECT journal IS NULL AS none FROM live.run_query('rows:take', '[{"n": 1}]', NULL, 0, 0, 0, :'twentieth');
COMMIT;
DROP FUNCTION measure, measure_all, pages, ranks_read, page_with;
DROP TABLE measured;
