-- What the definitions of document tables use.
SELECT length(live.new_id(10001)), live.id_number(live.new_id(10001)), live.id_number('nonsense');
SELECT live.new_id(0);

-- What an id says of itself. Ids of other systems hold no time.
SELECT live.id_time('j57032yfwnm00c1h68sk8d9p6ww3k52x') AT TIME ZONE 'UTC' AS ours,
       live.id_time('j57cbywe1te7fvzf26g0x3ftsd7vagd2') AS foreign_id, live.id_time('nonsense') AS none,
       live.id_time(live.new_id(10001)) BETWEEN now() - interval '1 minute' AND clock_timestamp() AS now,
       live.id_number('j57cbywe1te7fvzf26g0x3ftsd7vagd2') AS foreign_number;
SELECT live.id_table(live.new_id(10001)) AS no_table, live.id_table('nonsense') AS none;

-- Times of creation grow within a transaction.
BEGIN;
SELECT live.creation_time() < live.creation_time() AS grows;
COMMIT;

-- Keys order as values do: absent, null, int64, float64, boolean, string, bytes, array, object.
WITH extra (place, json) AS (VALUES
    (1, '{}'), (2, '{"f": null}'), (3, '{"f": {"$integer": "//////////8="}}'),
    (4, '{"f": {"$integer": "AQAAAAAAAAA="}}'), (5, '{"f": -1.5}'), (6, '{"f": 0}'), (7, '{"f": 2}'),
    (8, '{"f": 10}'), (9, '{"f": false}'), (10, '{"f": true}'), (11, '{"f": ""}'), (12, '{"f": "a"}'),
    (13, '{"f": "ab"}'), (14, '{"f": "b"}'), (15, '{"f": {"$bytes": "AA=="}}'), (16, '{"f": []}'),
    (17, '{"f": [1]}'), (18, '{"f": {}}'), (19, '{"f": {"a": 1}}'))
SELECT bool_and(place = expected) AS ordered
FROM (SELECT place, row_number() OVER (
        ORDER BY live.index_key_v1(json::jsonb, 'f'::text, NULL::text, 0::float8, 'id'::text)) AS expected
      FROM extra) AS keys;

-- A field has the same key in a column as in _extra; dotted paths look inside.
SELECT live.index_key_v1(NULL, 'f'::text, 'x'::text, 0::float8, 'id'::text)
     = live.index_key_v1('{"f": "x"}', 'f'::text, NULL::text, 0::float8, 'id'::text) AS same_text,
       live.index_key_v1(NULL, 'f'::text, 2.5::float8, 0::float8, 'id'::text)
     = live.index_key_v1('{"f": 2.5}', 'f'::text, NULL::text, 0::float8, 'id'::text) AS same_number,
       live.index_key_v1('{"f": {"g": 1}}', 'f.g'::text, NULL::text, 0::float8, 'id'::text)
     = live.index_key_v1('{"f": 1}', 'f'::text, NULL::text, 0::float8, 'id'::text) AS inside;
SELECT live.index_key_v1('[]', 'f'::text, NULL::text, 0::float8, 'id'::text);
SELECT live.index_key_v1('{}', 'f'::text);
-- Arguments of another type than the one they are read as: untyped, or numbers in place of texts.
SELECT live.index_key_v1(NULL, 'f', 'x'::text, 0::float8, 'id'::text);
SELECT live.index_key_v1(NULL, 5, 'x'::text, 0::float8, 'id'::text);
SELECT live.index_key_v1(NULL, 'f'::text, 'x', 0::float8, 'id'::text);
SELECT live.index_key_v1(NULL, 'f'::text, 'x'::text, 0, 'id'::text);
SELECT live.index_key_v1(NULL, 'f'::text, 'x'::text, 0::float8, 7);

-- The check of a table.
\set rule '{"table":"t","validator":{"type":"object","value":{"a":{"fieldType":{"type":"string"},"optional":false},"b":{"fieldType":{"type":"id","tableName":"t"},"optional":true}}},"tables":{"t":10001}}'
SELECT live.valid(:'rule', 'x', NULL, 'a'::text, 'v'::text);
SELECT live.valid(:'rule', 'x', NULL, 5, 'v'::text);
SELECT live.valid(:'rule', 'x', '{"a": "v"}');
SELECT live.valid(:'rule', 'x', NULL, 'b'::text, 'v'::text);
SELECT live.valid(:'rule', 'x', '{"a": 1}');
SELECT live.valid(:'rule', 'x', '{"a": "v"}', 'b'::text, live.new_id(10001));
SELECT live.valid('nonsense', 'x', NULL);
SELECT live.valid(:'rule', 'x', NULL, 'a'::text);

-- The rule and the paths may vary by row.
SELECT live.index_key_v1('{"a": 1, "b": 2}', path, NULL::text, 0::float8, 'id'::text)
     = live.index_key_v1(wanted::jsonb, 'c'::text, NULL::text, 0::float8, 'id'::text) AS same
FROM (VALUES ('a', '{"c": 1}'), ('b', '{"c": 2}'), ('a', '{"c": 1}'), ('d', '{}')) AS row (path, wanted);
SELECT live.valid(replace(:'rule', '"string"', '"' || of || '"'), NULL, fields::jsonb) AS valid
FROM (VALUES ('string', '{"a": "v"}'), ('number', '{"a": 1}'), ('string', '{"a": "v"}')) AS row (of, fields);
SELECT live.valid(replace(:'rule', '"string"', '"' || of || '"'), NULL, fields::jsonb) AS valid
FROM (VALUES ('string', '{"a": "v"}'), ('number', '{"a": 1}'), ('number', '{"a": "v"}')) AS row (of, fields);

-- What holds in every table of documents: ids of the table, and an _extra that documents can have.
\set rule '{"table":"t","number":10001,"validator":{"type":"any"}}'
SELECT live.valid(:'rule', live.new_id(10001), '{"a": {"$integer": "AQAAAAAAAAA="}}');
SELECT live.valid(:'rule', 'j57032yfwnm00c1h68sk8d9p6ww3k52y', NULL);
SELECT live.valid(:'rule', 'j57cbywe1te7fvzf26g0x3ftsd7vagd2', NULL);
SELECT live.valid(:'rule', NULL, '[]');
SELECT live.valid(:'rule', NULL, '{"a": {"$integer": "nonsense"}}');
SELECT live.valid(:'rule', NULL, '{"a": 1e400}');
SELECT live.valid(:'rule', NULL, '{"_id": "a"}');
SELECT live.valid(:'rule', NULL, '{"_a": "a"}');
SELECT live.valid(:'rule', NULL, '{"a.b": {"é": 1}}');
SELECT live.valid(:'rule', NULL, jsonb_build_object('a', repeat('x', 1100000)));
