-- Schemas: what is wrong with one, and what a deploy makes of the tables.
SET client_min_messages = warning;
CREATE DATABASE changes;
\c changes
SET client_min_messages = warning;
CREATE EXTENSION pg_live;
CREATE ROLE changer;
SELECT live.setup('changer');

-- A source whose schema has one table `t` with these members, and one without a schema.
CREATE FUNCTION source(members json, validation boolean DEFAULT true) RETURNS json LANGUAGE sql AS $$
    SELECT json_build_object('modules', '[]'::json, 'schema', json_build_object('path', 'schema.js', 'source',
        'export default { export: () => ' || to_json(json_build_object('schemaValidation', validation,
            'tables', json_build_array('{"tableName": "t", "documentType": {"type": "any"}}'::jsonb || members::jsonb))::text)
        || ' }'))
$$;
-- {"a": "string"} -> a validator; "?" at the end of the type: optional.
CREATE FUNCTION object(fields json) RETURNS json LANGUAGE sql AS $$
    SELECT json_build_object('type', 'object', 'value', json_object_agg(key, json_build_object(
        'fieldType', json_build_object('type', rtrim(value, '?')), 'optional', value LIKE '%?')))
    FROM json_each_text(fields)
$$;
CREATE FUNCTION typed(fields json, indexes json DEFAULT '[]') RETURNS json LANGUAGE sql AS $$
    SELECT source(json_build_object('documentType', object(fields), 'indexes', indexes))
$$;
-- Ids differ from run to run.
CREATE FUNCTION fails(source json) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM live.deploy(source, at_once => true);
    RETURN 'went through';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || regexp_replace(SQLERRM, '[0-9a-z]{32}', '<id>', 'g');
END $$;

CREATE FUNCTION tries(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'went through';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || regexp_replace(SQLERRM, '[0-9a-z]{32}', '<id>', 'g');
END $$;

-- Each mistake has its code, and its message names table, index and field.
SELECT fails(source(members)) FROM (VALUES (1, '{"tableName": "_t"}'::json), (2, '{"tableName": "t-t"}'),
    (3, '{"documentType": {"type": "string"}}'),
    (4, '{"documentType": {"type": "object", "value": {"_x": {"fieldType": {"type": "any"}, "optional": true}}}}'),
    (5, '{"indexes": [{"indexDescriptor": "i", "fields": []}]}'),
    (6, '{"indexes": [{"indexDescriptor": "i", "fields": ["a", "a"]}]}'),
    (7, '{"indexes": [{"indexDescriptor": "i", "fields": ["_id"]}]}'),
    (8, '{"indexes": [{"indexDescriptor": "i", "fields": ["a", "_creationTime"]}]}'),
    (9, '{"indexes": [{"indexDescriptor": "i", "fields": ["_x"]}]}'),
    (10, '{"indexes": [{"indexDescriptor": "by_id", "fields": ["a"]}]}'),
    (11, '{"indexes": [{"indexDescriptor": "a b", "fields": ["a"]}]}'),
    (12, '{"indexes": [{"indexDescriptor": "i", "fields": ["a"]}], "stagedDbIndexes": [{"indexDescriptor": "i", "fields": ["b"]}]}'),
    (13, '{"indexes": [{"indexDescriptor": "i", "fields": ["a"]}], "searchIndexes": [{"indexDescriptor": "i", "searchField": "a", "filterFields": []}]}'),
    (14, '{"searchIndexes": [{"indexDescriptor": "s", "searchField": "a", "filterFields": ["b", "b"]}]}'),
    (15, '{"vectorIndexes": [{"indexDescriptor": "v", "vectorField": "a", "dimensions": 3, "filterFields": ["b", "b"]}]}'),
    (16, '{"indexes": [{"indexDescriptor": "i", "fields": ["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p","q"]}]}'),
    (17, '{"vectorIndexes": [{"indexDescriptor": "v", "vectorField": "a", "dimensions": 1, "filterFields": []}]}')
) AS mistakes (n, members) ORDER BY n;
SELECT fails(source(json_build_object('indexes', (SELECT json_agg(json_build_object('indexDescriptor', 'i' || n,
    'fields', json_build_array('a'))) FROM generate_series(1, 65) AS n))));
SELECT fails(json_build_object('modules', '[]'::json, 'schema', json_build_object('path', 'schema.js', 'source',
    'export default { export: () => JSON.stringify({tables: Array.from({length: 10001}, (_, i) =>'
    ' ({tableName: "t" + i, documentType: {type: "any"}}))}) }')));
SELECT fails('{"modules": [], "schema": {"path": "schema.js", "source": "export default { export: () => \"{}\" }"}}');
SELECT count(*) AS tables FROM live.tables;

-- Every kind of validator, nested; search and vector indexes are kept.
SELECT live.deploy(source('{"documentType": {"type": "union", "value": [
        {"type": "object", "value": {"kind": {"fieldType": {"type": "literal", "value": "a"}, "optional": false},
            "list": {"fieldType": {"type": "array", "value": {"type": "record", "keys": {"type": "string"},
                "values": {"fieldType": {"type": "union", "value": [{"type": "null"}, {"type": "bigint"}]}, "optional": false}}}, "optional": true},
            "other": {"fieldType": {"type": "id", "tableName": "t"}, "optional": true}}},
        {"type": "object", "value": {"kind": {"fieldType": {"type": "literal", "value": "b"}, "optional": false},
            "bytes": {"fieldType": {"type": "bytes"}, "optional": true}, "flag": {"fieldType": {"type": "boolean"}, "optional": true},
            "number": {"fieldType": {"type": "number"}, "optional": true}, "nothing": {"fieldType": {"type": "null"}, "optional": true}}}]},
    "searchIndexes": [{"indexDescriptor": "words", "searchField": "kind", "filterFields": ["flag"]}],
    "vectorIndexes": [{"indexDescriptor": "near", "vectorField": "list", "dimensions": 3, "filterFields": []}]}'), at_once => true)->'tables' AS tables;
SELECT field, type FROM live.columns ORDER BY position;
INSERT INTO t (kind, list) VALUES ('a', '[{"x": null, "y": {"$integer": "AQAAAAAAAAA="}}]');
SELECT tries($$INSERT INTO t (kind, list) VALUES ('a', '[{"x": 1}]')$$);
INSERT INTO t (kind, flag, _extra) VALUES ('b', true, '{"nothing": null}');
SELECT tries($$INSERT INTO t (kind, flag) VALUES ('a', true)$$);
DELETE FROM t;

-- From here on the table counts as large: nothing is read or built while others wait.
SET pg_live.small_table_kb = 0;
CREATE FUNCTION started(source json) RETURNS TABLE (push bigint) LANGUAGE plpgsql AS $$
DECLARE answer json := live.deploy_start(source);
BEGIN
    TRUNCATE statements;
    INSERT INTO statements SELECT ordinality, value
        FROM json_array_elements_text(answer->'statements') WITH ORDINALITY;
    RETURN QUERY SELECT (answer->>'push')::bigint;
END $$;
CREATE FUNCTION finished(push bigint) RETURNS json LANGUAGE plpgsql AS $$
DECLARE answer json := live.deploy_finish(push);
BEGIN
    TRUNCATE statements;
    INSERT INTO statements SELECT ordinality, value
        FROM json_array_elements_text(answer->'statements') WITH ORDINALITY;
    RETURN json_build_object('unchanged', answer->'unchanged', 'tables', answer->'tables', 'indexes', answer->'indexes');
END $$;
-- Numbers in the names of indexes depend on what ran before.
CREATE TEMP TABLE statements (n bigint, statement text);
CREATE VIEW said AS SELECT regexp_replace(regexp_replace(statement, '_\d+\M', '_<n>', 'g'), '\{.*\}', '{...}') AS statement FROM statements ORDER BY n;
CREATE VIEW pending AS SELECT "table", index, state, staged FROM live.pending_indexes;
CREATE VIEW state AS SELECT conname, convalidated, regexp_replace(pg_get_constraintdef(oid), '\{.*\}', '{...}') AS definition
    FROM pg_constraint WHERE conrelid = 't'::regclass AND conname IN ('live_valid', 'live_unused') ORDER BY conname;
INSERT INTO t (kind) SELECT 'a' FROM generate_series(1, 100);

-- A field with an index, and a narrower type.
SELECT push FROM started(typed('{"kind": "string", "stars": "number?"}', '[{"indexDescriptor": "by_stars", "fields": ["stars"]}]')) \gset
TABLE said;
TABLE pending;
TABLE state;
SELECT live.deploy_finish(:push);
-- Until the switch the new column takes no value, and the old schema is in force.
SELECT tries($$UPDATE t SET stars = 1$$);
SELECT tries($$INSERT INTO t (kind) VALUES ('c')$$);
\set ECHO none
SELECT statement FROM statements ORDER BY n \gexec
\set ECHO all
TABLE pending;
-- A row of the running deployment that the new schema does not allow is found at the switch.
SELECT tries($$INSERT INTO t (kind, flag) VALUES ('b', true)$$);
SELECT tries('SELECT live.deploy_finish(' || :push || ')');
SELECT deployment = :push AS switched FROM live.active;
TABLE pending;
DELETE FROM t WHERE kind = 'b';
SELECT finished(:push);
TABLE said;
TABLE state;
SELECT field, type FROM live.columns ORDER BY position;
\set ECHO none
SELECT statement FROM statements ORDER BY n \gexec
\set ECHO all
TABLE pending;
TABLE state;
SELECT tries($$UPDATE t SET stars = 1$$);
SELECT tries($$INSERT INTO t (kind, flag) VALUES ('b', true)$$);

-- Columns without fields are dropped by the next deploy; what a view shows stays.
CREATE VIEW flags AS SELECT flag FROM t;
SELECT live.deploy(typed('{"kind": "string", "stars": "number?", "more": "bigint?"}', '[{"indexDescriptor": "by_stars", "fields": ["stars"]}]'), at_once => true)->'indexes' AS indexes;
SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
TABLE state;
-- A field that comes back has its column again, of the same type only.
SELECT live.deploy(typed('{"kind": "string", "stars": "number?", "flag": "boolean?"}'), at_once => true)->'indexes' AS indexes;
SELECT field, type FROM live.columns ORDER BY position;
TABLE state;
DROP VIEW flags;

-- Rows that do not match are found at once, and name the field.
INSERT INTO t (kind) VALUES ('d');
SELECT fails(typed('{"kind": "string", "stars": "number"}'));
DELETE FROM t WHERE kind = 'd';

-- A staged index is built after the switch, cannot be queried, and is enabled without a build.
SELECT push FROM started(source(json_build_object('documentType', object('{"kind": "string", "stars": "number?", "flag": "boolean?"}'),
    'stagedDbIndexes', '[{"indexDescriptor": "by_kind", "fields": ["kind"]}]'::json))) \gset
TABLE said;
SELECT finished(:push);
TABLE said;
TABLE pending;
\set ECHO none
SELECT statement FROM statements ORDER BY n \gexec
\set ECHO all
TABLE pending;
SELECT push FROM started(typed('{"kind": "string", "stars": "number?", "flag": "boolean?"}', '[{"indexDescriptor": "by_kind", "fields": ["kind"]}]')) \gset
TABLE said;
SELECT finished(:push);
SELECT name, staged FROM live.indexes WHERE name = 'by_kind';

-- An index in force that is broken is built anew, though nothing else has changed.
UPDATE pg_index SET indisvalid = false WHERE indexrelid = (SELECT relation::text::regclass FROM live.indexes WHERE name = 'by_kind');
SELECT push FROM started(typed('{"kind": "string", "stars": "number?", "flag": "boolean?"}', '[{"indexDescriptor": "by_kind", "fields": ["kind"]}]')) \gset
TABLE said;
\set ECHO none
SELECT statement FROM statements ORDER BY n \gexec
\set ECHO all
SELECT finished(:push);
TABLE said;
\set ECHO none
SELECT statement FROM statements ORDER BY n \gexec
\set ECHO all

-- A deploy that was given up leaves nothing; one that was killed leaves what the next takes over.
SELECT push FROM started(typed('{"kind": "string", "stars": "number?", "flag": "boolean?", "new": "string?"}', '[{"indexDescriptor": "by_new", "fields": ["new"]}]')) \gset
\set ECHO none
SELECT statement FROM statements ORDER BY n \gexec
\set ECHO all
SELECT json_array_length(live.deploy_abandon(:push, 'changed my mind')->'statements') AS drops;
SELECT "table", index, state, error FROM live.pending_indexes;
SELECT tries('DROP INDEX ' || relation) FROM live.pending_indexes;
SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'new';
SELECT push FROM started(typed('{"kind": "string", "stars": "number?", "flag": "boolean?", "new": "string?"}', '[{"indexDescriptor": "by_new", "fields": ["new"]}]')) \gset
TABLE said;
\set ECHO none
SELECT statement FROM statements ORDER BY n \gexec
\set ECHO all
UPDATE pg_index SET indisvalid = false WHERE indexrelid = (SELECT relation::text::regclass FROM live.index_builds WHERE name = 'by_new' AND deployment IS NOT NULL);
SELECT push FROM started(typed('{"kind": "string", "stars": "number?", "flag": "boolean?", "new": "string?"}', '[{"indexDescriptor": "by_new", "fields": ["new"]}]')) \gset
TABLE said;
\set ECHO none
SELECT statement FROM statements ORDER BY n \gexec
\set ECHO all
SELECT finished(:push);
\set ECHO none
SELECT statement FROM statements ORDER BY n \gexec
\set ECHO all
TABLE pending;

-- An index that read a field where it had no column is built anew when the field gets one.
SELECT live.deploy(source('{"indexes": [{"indexDescriptor": "by_late", "fields": ["late"]}]}'), at_once => true)->'indexes' AS indexes;
INSERT INTO t (kind, _extra) VALUES ('e', '{"late": "x"}');
SELECT push FROM started(source('{"documentType": {"type": "union", "value": [{"type": "any"}, {"type": "object", "value":
    {"late": {"fieldType": {"type": "string"}, "optional": true}}}]}, "indexes": [{"indexDescriptor": "by_late", "fields": ["late"]}]}')) \gset
TABLE said;
\set ECHO none
SELECT statement FROM statements ORDER BY n \gexec
\set ECHO all
SELECT finished(:push);
\set ECHO none
SELECT statement FROM statements ORDER BY n \gexec
\set ECHO all
SELECT tries($$UPDATE t SET late = 'y' WHERE kind = 'e'$$);

-- Without validation: columns and indexes, no check.
SELECT live.deploy(source(json_build_object('documentType', object('{"kind": "boolean", "fresh": "string?"}')), false), at_once => true)->'tables' AS tables;
TABLE state;
SELECT field FROM live.columns WHERE field = 'fresh';
-- A table that is taken out of the schema keeps its rows and loses its indexes and its check.
SELECT live.deploy('{"modules": []}', at_once => true)->'indexes' AS indexes;
SELECT count(*) FROM t;

-- Only what is new is kept.
SELECT live.prune(2);
SELECT count(*) FROM live.deployments WHERE finished_at IS NOT NULL;
SELECT count(*) FROM live.sources;
DELETE FROM t;
SELECT live.deploy_start('{"modules": []}')->'unchanged' AS unchanged;
-- A type that is too long for the condition of an index is checked by the switch.
SELECT push FROM started(source(json_build_object('documentType', json_build_object('type', 'object', 'value',
    json_build_object('kind', json_build_object('optional', true, 'fieldType', json_build_object('type', 'union', 'value',
        (SELECT json_agg(json_build_object('type', 'literal', 'value', 'literal ' || i)) FROM generate_series(1, 400) AS i)))))))) \gset
TABLE said;
SELECT finished(:push);
SELECT conname, convalidated FROM state;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT live.deploy('{"modules": []}', at_once => true);
ROLLBACK;
