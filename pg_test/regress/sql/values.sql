-- Hard values: what functions write comes back through functions, SQL, COPY (and pg_dump: dump.sh).
\getenv source PG_ABS_SRCDIR
\set values `cat :'source'/functions/values.js`
\set schema `cat :'source'/functions/values_schema.js`
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN
        CREATE ROLE app;
    END IF;
    PERFORM live.setup('app');
END $$;
SET bytea_output = hex;
SET extra_float_digits = 1;

-- Deployed twice: columns are of the first version's types, values of the second's.
SELECT count(live.deploy(json_build_object(
    'modules', json_build_array(json_build_object('path', 'values.js', 'source', :'values')),
    'schema', json_build_object('path', 'schema.js', 'source',
        replace(:'schema', 'VERSION = 1', 'VERSION = ' || version)))))
FROM generate_series(1, 2) AS version;

-- A name longer than Postgres keeps is cut, and made distinct by a hash.
SELECT relation, live.id_table(live.new_id(number)) AS found, length(name) AS characters
FROM live.tables WHERE name LIKE 'taaaa%' ORDER BY name;

CREATE TEMP TABLE stored AS
SELECT n, name, live.mutation('values:store', json_build_object('name', name)) #>> '{}' AS id
FROM json_array_elements_text(live.query('values:names')) WITH ORDINALITY AS each (name, n);
SELECT n, name, live.query('values:check', json_build_object('name', name, 'id', id)) AS functions
FROM stored ORDER BY n;

-- What SQL sees.
SELECT name, text IS NULL AS no_text, left(text, 20) AS text, number, integer, flag, left(raw::text, 20) AS raw
FROM stored JOIN hard ON _id = id ORDER BY n;
SELECT name, left("any"::text, 60) AS "any", mixed, widened, left(_extra::text, 70) AS _extra
FROM stored JOIN hard ON _id = id ORDER BY n;
SELECT name, (SELECT count(*) FROM jsonb_object_keys(_extra)) AS in_extra, f0000 IS NOT NULL AS in_column
FROM stored JOIN wide ON _id = id ORDER BY n;
SELECT name, (SELECT count(*) FROM jsonb_object_keys(_extra)) AS in_extra
FROM stored JOIN loose ON _id = id ORDER BY n;
SELECT count(*) FILTER (WHERE attname LIKE 'f%') AS columns
FROM pg_attribute WHERE attrelid = 'wide'::regclass AND attnum > 0;

-- COPY, out and in.
SELECT current_setting('data_directory') || '/hard.copy' AS hard, current_setting('data_directory') || '/wide.copy' AS wide \gset
COPY hard TO :'hard';
COPY wide TO :'wide' (FORMAT binary);
TRUNCATE hard, wide;
COPY hard FROM :'hard';
COPY wide FROM :'wide' (FORMAT binary);
SELECT count(*) AS same FROM stored
WHERE live.query('values:check', json_build_object('name', name, 'id', id)) #>> '{}' = 'same';

-- What no document can be.
SELECT name, live.mutation('values:refusal', json_build_object('name', name)) #>> '{}' AS refusal
FROM json_array_elements_text(live.query('values:refused')) AS each (name);
\set VERBOSITY verbose
SELECT live.mutation('values:cannotHold', '{"text": "\\u0000", "at": "any"}');
\set VERBOSITY default
SELECT live.mutation('values:cannotHold', '{"text": "\\ud83d", "at": "any"}');
DO $$
BEGIN
    PERFORM live.mutation('values:cannotHold', json_build_object('text', '\udc00x', 'at', 'any', 'id', id))
    FROM stored WHERE name = 'nothing';
EXCEPTION WHEN character_not_in_repertoire THEN
    RAISE NOTICE '% %', SQLSTATE, regexp_replace(SQLERRM, '"[0-9a-z]{32}"', 'ID');
END $$;

-- Writers in SQL meet the same rules. The errors name table, document and field.
CREATE FUNCTION pg_temp.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN others THEN
    RETURN concat(SQLSTATE, ': ', regexp_replace(regexp_replace(SQLERRM, '"[0-9a-z]{31,37}"', 'ID', 'g'), '\m1[0-9]{4}\M', 'NUMBER', 'g'));
END $$;
\pset format unaligned
SELECT pg_temp.refused(statement) FROM (VALUES
    (1, $$INSERT INTO hard (number, _extra) VALUES (1, '{"integer": "text"}')$$),
    (2, $$INSERT INTO hard (text, _extra) VALUES ('a', '{"unknown": 1}')$$),
    (3, $$INSERT INTO hard (mixed) VALUES ('true')$$),
    (4, $$INSERT INTO hard ("any") VALUES ('{"a": [{"$integer": "AA=="}]}')$$),
    (5, $$INSERT INTO hard (_extra) VALUES ('{"number": {"a": [1, {"$float": "AAAAAAAA8D8="}]}}')$$),
    (6, $$INSERT INTO hard (_extra) VALUES ('[1]')$$),
    (7, $$INSERT INTO hard (_id, text) VALUES (live.new_id(7), 'a')$$),
    (8, $$INSERT INTO hard (_id, text) VALUES ('1', 'a')$$),
    (9, $$INSERT INTO loose (_extra) VALUES ('{"_x": 1}')$$),
    (10, $$INSERT INTO loose (_extra) VALUES ('{"_id": "1"}')$$),
    (11, $$INSERT INTO loose (_extra) VALUES ('{"a": 1, "b": [null, {"$bytes": "AA=="}]}')$$),
    (12, $$INSERT INTO hard (text, _extra) VALUES ('both', '{"text": null}')$$),
    (13, $$UPDATE hard SET _extra = '{"number": "text"}' WHERE text = 'both'$$)) AS each (n, statement) ORDER BY n;
\pset format aligned

-- Generated values, of the columns' types and others. A seed that fails is told.
CREATE TEMP TABLE generated_documents AS
SELECT made ->> 0 AS id, (made ->> 1)::jsonb AS document
FROM generate_series(1, 20) AS seed,
     json_array_elements(live.mutation('values:generate', json_build_object('seed', seed, 'count', 100))) AS made;
SELECT count(*), count(DISTINCT document) > 1500 AS varied FROM generated_documents;

-- The same documents, put together from the columns by SQL.
CREATE FUNCTION pg_temp.little_endian(bytes bytea) RETURNS text LANGUAGE sql AS $$
    SELECT encode(string_agg(substr(bytes, n, 1), '' ORDER BY n DESC), 'base64')
    FROM generate_series(1, length(bytes)) AS n
$$;
CREATE VIEW pg_temp.put_together AS
SELECT _id, coalesce(_extra, '{}') || jsonb_strip_nulls(jsonb_build_object(
    'text', text, 'flag', flag,
    'integer', CASE WHEN integer IS NOT NULL THEN jsonb_build_object('$integer', pg_temp.little_endian(int8send(integer))) END,
    'number', CASE WHEN number::text IN ('NaN', 'Infinity', '-Infinity', '-0')
        THEN jsonb_build_object('$float', pg_temp.little_endian(float8send(number))) ELSE to_jsonb(number) END,
    'raw', CASE WHEN raw IS NOT NULL THEN jsonb_build_object('$bytes', encode(raw, 'base64')) END))
    || CASE WHEN "any" IS NULL THEN '{}' ELSE jsonb_build_object('any', "any") END
    || CASE WHEN mixed IS NULL THEN '{}' ELSE jsonb_build_object('mixed', mixed) END AS document
FROM generated;
SELECT count(*) FILTER (WHERE t.document = g.document) AS same, count(*) FILTER (WHERE t.document <> g.document) AS other,
       min(g.document::text || ' is ' || t.document::text) FILTER (WHERE t.document <> g.document) AS example
FROM generated_documents g JOIN pg_temp.put_together t ON _id = id;
SELECT count(*) FILTER (WHERE text IS NOT NULL) > 50 AS texts, count(*) FILTER (WHERE number IS NOT NULL) > 50 AS numbers,
       count(*) FILTER (WHERE raw IS NOT NULL) > 50 AS raw, count(*) FILTER (WHERE _extra ? 'text') > 50 AS not_text
FROM generated;

-- The index is in the order of values: keys of the documents ascend.
WITH found AS (SELECT value, n FROM json_array_elements_text(live.query('values:inOrder')) WITH ORDINALITY AS each (value, n)),
keys AS (
    SELECT n, live.index_key_v1(CASE value WHEN '{"$undefined":null}' THEN '{}' ELSE jsonb_build_object('any', value::jsonb) END, 'any'::text, NULL::text, 0::float8, ''::text) AS key
    FROM found)
SELECT count(*), bool_and(ascends) AS ascending FROM (SELECT key >= lag(key) OVER (ORDER BY n) AS ascends FROM keys) AS pairs;
