-- Tables of documents as SQL users meet them: docs/documents.md.
\getenv source PG_ABS_SRCDIR
\set messages `cat :'source'/functions/messages.js`
\set schema `cat :'source'/functions/schema.js`
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN
        CREATE ROLE app;
    END IF;
    PERFORM live.setup('app');
END $$;
SELECT count(live.deploy(json_build_object(
    'modules', json_build_array(json_build_object('path', 'messages.js', 'source', :'messages')),
    'schema', json_build_object('path', 'schema.js', 'source', :'schema'))));
TRUNCATE messages;

-- Insert, with defaults, with an answer, from a query; absent and null are different.
INSERT INTO messages (author, body, stars, tags) VALUES ('ann', 'one', 5, '["a", "b"]')
    RETURNING author, live.id_table(_id), live.id_time(_id) > now() - interval '1 minute' AS recent;
INSERT INTO messages (author, body, _extra) VALUES ('bob', 'two', '{"score": null}');
INSERT INTO messages (author, body, score, "replyTo") SELECT 'cid', 'three', 2.5, _id FROM messages WHERE author = 'ann';
SELECT author, score, score IS NULL AS no_score, coalesce(_extra ? 'score', false) AS score_is_null FROM messages ORDER BY author;
SELECT author, to_timestamp("_creationTime" / 1000) > now() - interval '1 minute' AS recent FROM messages ORDER BY author;
SELECT live.query('messages:all');

-- ON CONFLICT, UPDATE, COPY.
INSERT INTO messages (_id, author, body) SELECT _id, 'dan', body FROM messages WHERE author = 'bob'
    ON CONFLICT (_id) DO UPDATE SET body = 'two, again' RETURNING author, body, _extra;
UPDATE messages SET score = 1, _extra = _extra - 'score' WHERE author = 'bob' RETURNING author, score, _extra;
COPY messages (author, body, tags) FROM stdin;
eve	four	["c"]
fay	five	\N
\.
\set VERBOSITY sqlstate
COPY messages (author, body, tags) FROM stdin;
gus	six	"c"
\.
\set VERBOSITY default
SELECT live.query('messages:by', '{"author": "eve"}');

-- Ids that were made elsewhere keep working, if the table has their number.
SELECT number FROM live.tables WHERE name = 'messages' \gset
SELECT live.new_id(:number) AS old_id, live.new_id(:number + 1000) AS other_id \gset
INSERT INTO messages (_id, "_creationTime", author, body) VALUES (:'old_id', 1700000000000.25, 'old', 'imported');
SELECT live.query('messages:get', json_build_object('id', :'old_id'))->>'_creationTime' AS time;
SELECT live.query('messages:normalize', json_build_object('id', :'old_id')) #>> '{}' = :'old_id' AS same,
       live.query('messages:normalize', json_build_object('id', :'other_id')) AS other,
       live.query('messages:normalize', '{"id": "nonsense"}') AS nonsense;

-- Indexes of one's own, joins, views.
CREATE INDEX messages_tags ON messages USING gin (tags);
CREATE UNIQUE INDEX messages_bodies ON messages (author, body);
CREATE VIEW threads AS
    SELECT answer.body AS answer, question.body AS question, to_timestamp(question."_creationTime" / 1000) AS asked_at
    FROM messages answer JOIN messages question ON question._id = answer."replyTo";
SELECT answer, question, asked_at > now() - interval '1 minute' AS recent FROM threads;
SELECT author FROM messages WHERE tags ? 'c';
SELECT live.mutation('messages:send', '{"author": "eve", "body": "four"}');

-- Foreign keys of other tables.
CREATE TABLE invoices (number int PRIMARY KEY, message text COLLATE "C" NOT NULL REFERENCES messages (_id) ON DELETE CASCADE);
INSERT INTO invoices SELECT 1, _id FROM messages WHERE author = 'eve';
INSERT INTO invoices VALUES (2, 'nothing');
CREATE TABLE receipts (message text COLLATE "C" REFERENCES messages (_id));
INSERT INTO receipts SELECT _id FROM messages WHERE author = 'fay';
SELECT live.mutation('messages:remove', json_build_object('id', _id)) FROM messages WHERE author = 'eve';
SELECT count(*) AS invoices FROM invoices;
DO $$
BEGIN
    PERFORM live.mutation('messages:remove', json_build_object('id', _id)) FROM messages WHERE author = 'fay';
EXCEPTION WHEN foreign_key_violation THEN
    RAISE NOTICE '%', SQLERRM;
END $$;

-- Rights of columns; a role that only reads; functions run as the owner all the same.
CREATE ROLE reporting;
GRANT SELECT (_id, "_creationTime", author, stars), INSERT (author, body) ON messages TO reporting;
CREATE ROLE dashboards;
GRANT SELECT ON threads TO dashboards;
SET ROLE reporting;
SELECT count(*), sum(stars) FROM messages;
SELECT body FROM messages;
INSERT INTO messages (author, body) VALUES ('rep', 'from a report');
\set VERBOSITY sqlstate
INSERT INTO messages (author) VALUES ('rep');
\set VERBOSITY default
SELECT live.id_table(_id) FROM messages WHERE author = 'rep';
SELECT live.query('messages:all');
SET ROLE dashboards;
SELECT count(*) FROM threads;
SELECT count(*) FROM messages;
RESET ROLE;
SELECT live.query('messages:by', '{"author": "rep"}');

-- What tools see: types, keys, comments.
SELECT column_name, data_type, is_nullable, column_default IS NOT NULL AS has_default
FROM information_schema.columns WHERE table_name = 'messages' ORDER BY ordinal_position;
SELECT conname, contype FROM pg_constraint WHERE conrelid = 'messages'::regclass ORDER BY conname;
DROP VIEW threads;
DROP TABLE invoices, receipts;
DROP INDEX messages_tags, messages_bodies;
REVOKE ALL (_id, "_creationTime", author, stars, body) ON messages FROM reporting;
DROP ROLE reporting, dashboards;
