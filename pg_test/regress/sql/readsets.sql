-- What a query has read: ranges end where reading stopped.
TRUNCATE messages;
INSERT INTO messages (author, body) SELECT 'a' || i, 'm' || i FROM generate_series(1, 5) AS i;
SELECT kind, "table", index, upper IS NULL AS open_end FROM live.explain('messages:all') ORDER BY 1, 2;
SELECT kind, "table", index,
       lower = (SELECT encode(live.index_key_v1(_extra, "_creationTime", _id), 'hex') FROM messages WHERE body = 'm4') AS from_the_fourth
FROM live.explain('messages:newest', '{"n": 2}') WHERE kind = 'range';
SELECT kind, "table", index FROM live.explain('messages:by', '{"author": "a1"}') WHERE kind = 'range';
SELECT kind, "table" FROM live.explain('messages:count') ORDER BY 2;
SELECT kind, "table", lower = _id AS the_id
FROM messages, live.explain('messages:get', json_build_object('id', _id)) WHERE body = 'm1' AND kind = 'key';
-- A document that is not there was read too.
SELECT kind, "table" FROM live.explain('messages:get', json_build_object('id', live.new_id(10001))) ORDER BY 2;
