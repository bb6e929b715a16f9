-- Deploying and calling functions in SQL.
\getenv source PG_ABS_SRCDIR
\set messages `cat :'source'/functions/messages.js`
\set schema `cat :'source'/functions/schema.js`

SELECT live.query('messages:all');
CREATE ROLE app;
SELECT live.setup('nobody');
SELECT live.setup('app');
SELECT live.query('messages:all');

SELECT json_build_object('modules', json_build_array(json_build_object('path', 'messages.js', 'source', :'messages')),
    'schema', json_build_object('path', 'schema.js', 'source', :'schema')) AS deployment \gset
SELECT jsonb_pretty(live.deploy(:'deployment')::jsonb - 'functions');
SELECT live.deploy(:'deployment')->>'unchanged' AS unchanged;
\d messages

-- Writing and reading, inside and outside.
SELECT length(live.mutation('messages:send', '{"author": "ann", "body": "one"}')::text);
INSERT INTO messages (author, body) VALUES ('bob', 'two');
SELECT live.query('messages:all');
SELECT live.query('messages:newest', '{"n": 1}');
SELECT live.query('messages:by', '{"author": "bob"}');
SELECT live.query('messages:after', '{"author": "ann"}');
SELECT live.query('messages:count');
SELECT live.query('messages:get', json_build_object('id', _id))->'body' AS body FROM messages WHERE author = 'bob';

-- Values keep what they are: in their columns, or beside them.
SELECT live.mutation('messages:patch', json_build_object('id', _id, 'value',
    '{"loud": true, "stars": {"$integer": "BQAAAAAAAAA="}, "score": null, "tags": ["a", "b"]}'::json))
FROM messages WHERE author = 'ann';
SELECT author, body, loud, stars, score, tags, _extra FROM messages ORDER BY author;
SELECT live.query('messages:loud');
SELECT live.mutation('messages:patch', json_build_object('id', _id, 'unset', 'loud'))
FROM messages WHERE author = 'ann';
SELECT live.mutation('messages:replace', json_build_object('id', _id, 'value', '{"author": "ann", "body": "new"}'::json))
FROM messages WHERE author = 'ann';
SELECT author, body, loud, stars, score, tags, _extra FROM messages ORDER BY author;
SELECT live.mutation('messages:remove', json_build_object('id', _id)) FROM messages WHERE author = 'ann';
SELECT live.query('messages:all');

-- A failed mutation leaves nothing.
SELECT live.mutation('messages:sendAndFail', '{"author": "ann", "body": "lost"}');
SELECT live.query('messages:all');
BEGIN;
SELECT live.mutation('messages:send', '{"author": "ann", "body": "rolled back"}') IS NOT NULL AS sent;
SELECT live.query('messages:count');
ROLLBACK;
SELECT live.query('messages:count');

-- Mistakes of callers and of functions.
SELECT live.query('messages:nothing');
SELECT live.query('nothing:all');
SELECT live.query('messages:send', '{"author": "a", "body": "b"}');
SELECT live.mutation('messages:send', '{"author": "a"}');
SELECT live.mutation('messages:send', '{"author": "a", "body": "b", "more": 1}');
SELECT live.query('messages:newest', '[1]');
SELECT live.query('messages:get', '{"id": "nonsense"}');
SELECT live.query('messages:sendFromQuery', '{"author": "a", "body": "b"}');
SELECT live.mutation('messages:insert', '{"table": "messages", "value": {"author": 1, "body": "b"}}');
SELECT live.mutation('messages:insert', '{"table": "_x", "value": {}}');
SELECT live.mutation('messages:insert', '{"table": "messages", "value": {"author": "a", "body": "nul: \u0000"}}');
SELECT live.mutation('messages:sendHalfAPair');
DO $$ BEGIN
    INSERT INTO messages (author) VALUES ('no body');
EXCEPTION WHEN check_violation THEN
    RAISE NOTICE '%', regexp_replace(SQLERRM, '"[0-9a-z]{32}"', '"<id>"');
END $$;
SELECT live.query('messages:throwsData');
SELECT live.query('messages:never');
SELECT live.query('messages:unknown');

-- A function that does not end is stopped, and the session goes on.
SET statement_timeout = '300ms';
SELECT live.query('messages:forever');
SELECT live.query('messages:forever');
RESET statement_timeout;
SET pg_live.user_time_ms = 200;
SELECT live.query('messages:forever');
RESET pg_live.user_time_ms;
SELECT live.query('messages:hoard');

-- Each call begins anew, without the outside world.
SELECT live.query('messages:environment');
SELECT live.query('messages:environment');
-- What belongs to actions ends the function; it can not catch that.
SELECT live.query('messages:fetches');

-- A table outside of the schema comes with its first document.
SELECT length(live.mutation('messages:insert', '{"table": "notes", "value": {"any": [1, {"thing": true}]}}')::text);
SELECT _extra FROM notes;

-- Deploys that are refused leave the running one.
SELECT live.deploy('{"modules": [{"path": "broken.js", "source": "export const x = ;"}]}');
SELECT live.deploy('{"modules": [{"path": "throws.js", "source": "\nthrow new Error(\"at import\")"}]}');
SELECT live.deploy('{"modules": [{"path": "../x.js", "source": ""}]}');
SELECT live.deploy('{"modules": 1}');
SELECT live.deploy(replace(:'deployment', '\"bigint\"', '\"nothing\"')::json);
INSERT INTO messages (author, body, stars) VALUES ('cyd', 'starred', 5);
SELECT replace(:'deployment', 'bigint', 'string') AS stricter \gset
SET app.stricter = :'stricter';
DO $$ BEGIN
    PERFORM live.deploy(current_setting('app.stricter')::json);
EXCEPTION WHEN check_violation THEN
    RAISE NOTICE '%', regexp_replace(SQLERRM, '"[0-9a-z]{32}"', '"<id>"');
END $$;
SELECT live.query('messages:count');

-- Rights: nobody else may call or see anything.
CREATE ROLE stranger;
SET ROLE stranger;
SELECT live.query('messages:all');
SELECT live.deploy('{"modules": []}');
SELECT * FROM live.modules;
RESET ROLE;
SET ROLE app;
SELECT live.query('messages:by', '{"author": "bob"}');
INSERT INTO messages (author, body) VALUES ('app', 'may write');
RESET ROLE;
RESET ROLE;

-- What a mutation would write, and whom it would wake.
SELECT live.set_capture('messages', 'trigger');
SET ROLE app;
SELECT what, name, kind, count, keys = '{}' AS without_keys FROM live.preview('messages:send', '{"author": "pat", "body": "x"}');
SELECT id, result FROM live.subscribe('messages:by', '{"author": "pat"}') \gset
SELECT :'result' AS result;
SELECT p.what, p.name, p.kind, p.count, cardinality(p.keys) AS keys, p.keys[1] = :'id' AS sub
FROM live.preview('messages:send', '{"author": "pat", "body": "x"}') AS p WHERE what <> 'result';
SELECT what, name, kind, count FROM live.preview('messages:send', '{"author": "bob", "body": "x"}') WHERE what <> 'result';
SELECT p.what, p.name, p.kind, p.count, p.keys = ARRAY[m._id] AS key FROM (SELECT _id FROM messages WHERE author = 'bob' LIMIT 1) AS m,
    live.preview('messages:remove', json_build_object('id', m._id)) AS p WHERE what <> 'result';
SELECT p.what, p.name, p.kind, p.count, p.keys = ARRAY[m._id] AS key FROM (SELECT _id FROM messages WHERE author = 'bob' LIMIT 1) AS m,
    live.preview('messages:patch', json_build_object('id', m._id, 'value', '{"author": "pat"}'::json)) AS p WHERE what <> 'result';
SELECT what, name, kind, count, keys FROM live.preview('messages:send', '{"author": "pat"}');
SELECT what, name, kind, count, keys[1] ~ 'after the insert' AS said FROM live.preview('messages:sendAndFail', '{"author": "pat", "body": "x"}');
SELECT what, name, kind, count FROM live.preview('messages:insert', '{"table": "unheard_of", "value": {"a": 1}}') WHERE what <> 'result';
-- Nothing of it is there, and nobody was woken.
SELECT count(*) FROM messages WHERE author = 'pat';
SELECT to_regclass('unheard_of');
SELECT live.wait(NULL, '60 s');
SELECT count(*) FROM live.stale();
SELECT live.unsubscribe();
RESET ROLE;
SELECT live.set_capture('messages', 'auto');
