-- What the definitions of document tables use.
SELECT length(live.new_id(10001)), live.id_table(live.new_id(10001)), live.id_table('nonsense');
SELECT live.new_id(0);

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

-- The check of a table.
\set rule '{"table":"t","validator":{"type":"object","value":{"a":{"fieldType":{"type":"string"},"optional":false},"b":{"fieldType":{"type":"id","tableName":"t"},"optional":true}}},"tables":{"t":10001}}'
SELECT live.valid(:'rule', 'x', NULL, 'a'::text, 'v'::text);
SELECT live.valid(:'rule', 'x', '{"a": "v"}');
SELECT live.valid(:'rule', 'x', NULL, 'b'::text, 'v'::text);
SELECT live.valid(:'rule', 'x', '{"a": 1}');
SELECT live.valid(:'rule', 'x', '{"a": "v"}', 'b'::text, live.new_id(10001));
SELECT live.valid('nonsense', 'x', NULL);
