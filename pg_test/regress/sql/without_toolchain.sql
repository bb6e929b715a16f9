-- Deploys from SQL alone: plain JavaScript, what changed, and the way back.
\set VERBOSITY terse
SET client_min_messages = warning;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN
        CREATE ROLE app;
    END IF;
END $$;
SELECT live.setup('app');
SELECT live.deploy('{"modules": []}') IS NOT NULL AS emptied;
SET ROLE app;

-- No toolchain: modules by path. convex/server, convex/values and _generated are there.
SELECT live.deploy(json_build_object(
    'schema.js', $js$
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
export default defineSchema({ memos: defineTable({ text: v.string() }).index("by_text", ["text"]) });
$js$,
    'memos.js', $js$
import { query, mutation } from "./_generated/server";
import { v, ConvexError } from "convex/values";
import { shout } from "./lib/text";
export const list = query({ args: {}, handler: async (ctx) => (await ctx.db.query("memos").withIndex("by_text").collect()).map((n) => shout(n.text)) });
export const add = mutation({
  args: { text: v.string() },
  handler: async (ctx, { text }) => {
    if (text === "") throw new ConvexError("empty");
    await ctx.db.insert("memos", { text });
  },
});
$js$,
    'lib/text.js', 'export const shout = (text) => text.toUpperCase();'
), 'the first') AS answer \gset
SELECT :'answer'::json->>'deployment' AS first \gset
SELECT :'answer'::json->'tables' AS tables, :'answer'::json->'indexes' AS indexes, :'answer'::json->'functions' AS functions;
SELECT live.mutation('memos:add', '{"text": "tea"}');
SELECT live.query('memos:list');
SELECT live.mutation('memos:add', '{"text": ""}');
SELECT author = session_user AS by_me, message, diff FROM live.deployments ORDER BY id DESC LIMIT 1;

-- The names of the package, and a second version: one function changed, one gone, one new; another schema.
SELECT live.deploy(json_build_object(
    'schema.js', $js$
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
export default defineSchema({ memos: defineTable({ text: v.string(), stars: v.optional(v.number()) }).index("by_stars", ["stars"]), tags: defineTable({}) });
$js$,
    'memos.js', $js$
import { queryGeneric as query } from "convex/server";
import schema from "./schema.js";
import { shout } from "./lib/text.js";
export const list = query(async (ctx) => (await ctx.db.query("memos").collect()).map((n) => shout(n.text) + (n.stars ?? "")));
export const tables = query(() => Object.keys(schema.tables));
$js$,
    'lib/text.js', 'export const shout = (text) => text + "!";'
), 'the second') AS answer \gset
SELECT :'answer'::json->>'deployment' AS second \gset
SELECT :'answer'::json->'indexes' AS indexes;
SELECT live.query('memos:list'), live.query('memos:tables');
SELECT diff FROM live.deployments ORDER BY id DESC LIMIT 1;
INSERT INTO memos (text) VALUES ('milk');

-- The way back: code and schema together, the documents of today.
SELECT live.rollback(:first)->'indexes' AS indexes;
SELECT live.query('memos:list');
SELECT live.query('memos:tables');
SELECT regexp_replace(message, '\d+', 'N') AS message, rollback_of = :first AS of_the_first, diff->'functions' AS functions FROM live.deployments ORDER BY id DESC LIMIT 1;
SELECT max(id) AS third FROM live.deployments \gset
-- To where it is: nothing changes.
SELECT live.rollback(:third)->'unchanged' AS unchanged;
-- Forward again; a document that only the second schema allows.
SELECT live.rollback(:second) IS NOT NULL AS rolled;
INSERT INTO memos (text, stars) VALUES ('jam', 5);
-- Refused with the reason; what ran keeps running.
SET client_min_messages = notice;
SET app.first = :first;
DO $$
BEGIN
    PERFORM live.rollback(current_setting('app.first')::bigint);
EXCEPTION WHEN check_violation THEN
    RAISE NOTICE '%', regexp_replace(sqlerrm, '"[0-9a-z]{30,}"', '"ID"');
END $$;
SET client_min_messages = warning;
SELECT live.query('memos:list');
SELECT live.rollback(999999);
SELECT live.rollback(NULL);
SELECT (live.deploy_start(json_build_object('other.js', 'export const x = 1'))->>'push')::bigint AS staged \gset
SET client_min_messages = notice;
SET app.staged = :staged;
DO $$
BEGIN
    PERFORM live.rollback(current_setting('app.staged')::bigint);
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE '% %', sqlstate, regexp_replace(sqlerrm, '\d+', 'N', 'g');
END $$;
SET client_min_messages = warning;
SELECT diff IS NULL AS no_diff, finished_at IS NULL AS unfinished FROM live.deployments WHERE id = :staged;

-- What is wrong with a source.
SELECT live.deploy('{}');
SELECT live.deploy('{"memos.ts": "export const x: number = 1"}');
SELECT live.deploy('{"memos.js": 1}');
SELECT live.deploy('{"memos": "export const x = 1"}');
SELECT live.deploy('{"_deps/x.js": ""}');
SELECT live.deploy(json_build_object('a.js', 'import x from "lodash"'));
SELECT live.deploy(json_build_object('a.js', 'import x from "./b"'));
SELECT live.deploy(NULL);

-- A large table: what has to be built stays pending, and says how.
RESET ROLE;
SET pg_live.small_table_kb = 0;
SELECT live.deploy(json_build_object(
    'schema.js', $js$
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
export default defineSchema({ memos: defineTable({ text: v.string(), stars: v.optional(v.number()) }).index("by_text", ["text"]) });
$js$,
    'memos.js', 'import { query } from "./_generated/server"; export const count = query(async (ctx) => (await ctx.db.query("memos").withIndex("by_text").collect()).length);'
)) AS answer \gset
SELECT :'answer'::json->'pending' AS pending, json_array_length(:'answer'::json->'statements') AS statements,
    replace(:'answer'::json->>'hint', :'answer'::json->>'deployment', 'N') AS hint;
SELECT live.query('memos:list');
SELECT "table", index, state, regexp_replace(statement, '_?\d+', 'N', 'g') AS statement FROM live.pending_indexes
WHERE "table" = 'memos' AND state = 'waiting' ORDER BY index;
SELECT live.deploy_finish((:'answer'::json->>'deployment')::bigint);
\set ECHO none
SELECT statement FROM live.pending_indexes WHERE "table" = 'memos' AND statement LIKE 'CREATE%' ORDER BY index \gexec
\set ECHO all
SELECT live.deploy_finish((:'answer'::json->>'deployment')::bigint)->'indexes' AS indexes;
SELECT live.query('memos:count');
\set ECHO none
SELECT statement FROM live.pending_indexes WHERE "table" = 'memos' AND statement IS NOT NULL \gexec
\set ECHO all
SELECT count(*) FROM live.pending_indexes WHERE "table" = 'memos';
-- Back: the index of then is pending, too, and comes at once if that is wanted.
SELECT live.rollback(:second)->'pending' AS pending;
SELECT live.rollback(:second, at_once => true)->'indexes' AS indexes;
SELECT live.query('memos:list');
RESET pg_live.small_table_kb;

-- Only the owner deploys, goes back and reads environment variables.
SELECT live.set_environment('SECRET', 's3cret');
CREATE ROLE nobody_at_all;
SET ROLE nobody_at_all;
SELECT live.rollback(1);
SELECT live.deploy('{}');
SELECT live.deployment_diff(1, 2);
SELECT live.set_environment('SECRET', 'x');
SELECT value FROM live.environment;
SELECT count(*) FROM live.deployments;
SET ROLE live_relay;
SELECT value FROM live.environment;
SELECT live.set_environment('SECRET', 'x');
RESET ROLE;
SET ROLE app;
SELECT value FROM live.environment WHERE name = 'SECRET';
RESET ROLE;
SELECT live.set_environment('SECRET', NULL);
