// Reads by SQL, followed by clients: in functions, and SQL functions as queries under row security.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { LiveClient } from "../lib/clients.mjs";
import { Server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const APP = fileURLToPath(new URL("sql-app", import.meta.url));
/** @type {Server} */ let server;
/** @type {LiveClient} */ let client;
let owner;
let admin;

before(async () => {
  server = await Server.start({ source: APP });
  await server.configure("pg_live.anonymous_role = 'web'");
  client = new LiveClient(server.url);
  owner = server.sql();
  admin = server.sql({ admin: true });
  await owner.query("CREATE TABLE public.people (name text PRIMARY KEY, team text, active boolean)");
  await owner.query("INSERT INTO people (name, team) VALUES ('ann', 'red')");
});

after(async () => {
  await client?.close();
  await server?.stop();
});

const json = (value) => JSON.stringify(value, (_, item) => (typeof item === "bigint" ? `${item}n` : item));
const equals = (subscription, expected) => subscription.becomes(`is ${expected}`, (value) => json(value) === expected, { timeout: 60_000 });

test("a query of a function follows all tables of its statement", async () => {
  const stars = client.subscribe("notes:stars", { least: 2 });
  await equals(stars, "[]");
  const added = await client.mutation("notes:add", { author: "ann", stars: 3 });
  assert.equal(json(added), '{"changed":1,"mine":"1n"}');
  await equals(stars, '[{"author":"ann","notes":"1n","stars":3,"team":"red"}]');
  await owner.query("UPDATE people SET team = 'blue'");
  await equals(stars, '[{"author":"ann","notes":"1n","stars":3,"team":"blue"}]');
  await owner.query("INSERT INTO notes (author, stars) VALUES ('bob', 1), ('ann', 1)");
  await equals(stars, '[{"author":"ann","notes":"2n","stars":4,"team":"blue"}]');
  await owner.query("TRUNCATE people");
  await equals(stars, '[{"author":"ann","notes":"2n","stars":4,"team":null}]');
  stars.stop();
});

test("what statements must not do is an error that the function can catch", async () => {
  const [insert, two, division, called, good] = await client.query("notes:refusedInQueries");
  assert.match(insert, /read-only|not allowed|non-volatile/);
  assert.match(two, /one statement/);
  assert.match(division, /division by zero \(SQLSTATE 22012\)/);
  assert.match(called, /tag of templates/);
  assert.equal(good, "done");
  const [create, commit, nulls, fine] = await client.mutation("notes:refusedInMutations");
  assert.match(create, /no definitions/);
  assert.match(commit, /no transaction control/);
  assert.match(nulls, /SQLSTATE 23502/);
  assert.equal(fine, "done");
});

test("what cannot be followed is refused to subscribers, not to callers", async () => {
  const random = client.subscribe("notes:random", {});
  await until("the subscriber is told", () => random.errors.length > 0, { timeout: 60_000 });
  random.stop();
  assert.ok(Array.isArray(await new LiveClientOnce(server.url).query("notes:random")));
});

/** One call over HTTP. */
class LiveClientOnce {
  constructor(url) {
    this.url = url;
  }
  async query(path) {
    const response = await fetch(`${this.url}/api/query`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ path, args: {}, format: "json" }),
    });
    return (await response.json()).value;
  }
}

test("an SQL function is a query: rights, row security, definitions", async () => {
  const { rows: [{ login }] } = await admin.query("SELECT rolname AS login FROM pg_roles WHERE pg_has_role(oid, 'live_relay', 'USAGE') AND rolcanlogin AND NOT rolsuper");
  for (const statement of [
    "CREATE ROLE web",
    `GRANT web TO ${login}`,
    "CREATE SCHEMA api",
    "GRANT USAGE ON SCHEMA api TO web",
    "CREATE TABLE orders (id int PRIMARY KEY, customer int, amount numeric)",
    "CREATE TABLE visible (customer int)",
    "GRANT SELECT ON orders, visible TO web",
    "ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY p ON orders USING (customer IN (SELECT v.customer FROM public.visible AS v))",
    "INSERT INTO orders VALUES (1, 5, 10), (2, 6, 20)",
    "INSERT INTO visible VALUES (5), (6)",
    "CREATE FUNCTION api.orders(customer int) RETURNS SETOF orders LANGUAGE sql STABLE AS 'SELECT * FROM public.orders AS o WHERE o.customer = orders.customer ORDER BY id'",
  ]) {
    await admin.query(statement);
  }
  const orders = client.subscribe("sql/api:orders", { customer: 5 });
  await equals(orders, '[{"amount":"10","customer":5,"id":1}]');
  await admin.query("INSERT INTO orders VALUES (3, 5, 1.50)");
  await equals(orders, '[{"amount":"10","customer":5,"id":1},{"amount":"1.50","customer":5,"id":3}]');
  await admin.query("DELETE FROM visible WHERE customer = 5");
  await equals(orders, "[]");
  await admin.query("ALTER POLICY p ON orders USING (id < 3)");
  await equals(orders, '[{"amount":"10","customer":5,"id":1}]');
  await admin.query("CREATE OR REPLACE FUNCTION api.orders(customer int) RETURNS SETOF orders LANGUAGE sql STABLE AS 'SELECT * FROM public.orders ORDER BY id'");
  await equals(orders, '[{"amount":"10","customer":5,"id":1},{"amount":"20","customer":6,"id":2}]');
  await admin.query("INSERT INTO orders VALUES (0, 5, 0)");
  await equals(orders, '[{"amount":"0","customer":5,"id":0},{"amount":"10","customer":5,"id":1},{"amount":"20","customer":6,"id":2}]');
  // A table that is gone is an error, and when it is back the query recovers.
  const before = orders.errors.length;
  await admin.query("ALTER TABLE orders RENAME TO orders_before");
  await until("a table that is gone is an error", () => orders.errors.length > before, { timeout: 60_000 });
  await admin.query("ALTER TABLE orders_before RENAME TO orders; INSERT INTO orders VALUES (-1, 5, 0)");
  await equals(orders, '[{"amount":"0","customer":5,"id":-1},{"amount":"0","customer":5,"id":0},{"amount":"10","customer":5,"id":1},{"amount":"20","customer":6,"id":2}]');
  orders.stop();
});

test("whatever is defined or allowed anew reaches the client, wherever it was done", async () => {
  const { rows: [{ login }] } = await admin.query("SELECT rolname AS login FROM pg_roles WHERE pg_has_role(oid, 'live_relay', 'USAGE') AND rolcanlogin AND NOT rolsuper");
  const { rows: [{ superuser }] } = await admin.query("SELECT current_user AS superuser");
  await admin.query(`
    CREATE TABLE things (id int PRIMARY KEY, a int) PARTITION BY RANGE (id);
    CREATE TABLE things_low PARTITION OF things FOR VALUES FROM (0) TO (10);
    CREATE TABLE things_high (LIKE things INCLUDING ALL);
    INSERT INTO things VALUES (1, 1); INSERT INTO things_high VALUES (20, 2);
    CREATE VIEW viewed AS SELECT id FROM things;
    CREATE ROLE reader;
    GRANT SELECT ON things, viewed TO web;
    CREATE FUNCTION api.inner_one() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
    CREATE FUNCTION api.viewed() RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT id * api.inner_one() FROM public.viewed ORDER BY id';
    CREATE FUNCTION api.things() RETURNS TABLE (id int, a int) LANGUAGE sql STABLE AS 'SELECT id, a FROM public.things ORDER BY id'`);
  const things = client.subscribe("sql/api:things", {});
  const viewed = client.subscribe("sql/api:viewed", {});
  // Each with what the client has then; one that is not JSON is what its error says.
  const follow = async (subscription, steps) => {
    for (const [statement, expected] of steps) {
      const before = subscription.errors.length;
      if (typeof statement === "string") {
        await admin.query(statement);
      } else {
        await statement();
      }
      if (expected instanceof RegExp) {
        const told = () => subscription.errors.slice(before).some((error) => expected.test(String(error?.message ?? error)));
        await until(`the client is told ${expected} after ${statement}`, told, { timeout: 60_000 });
      } else {
        await equals(subscription, expected);
      }
    }
  };
  await equals(things, '[{"a":1,"id":1}]');
  await follow(things, [
    ["ALTER TABLE things ATTACH PARTITION things_high FOR VALUES FROM (10) TO (100)", '[{"a":1,"id":1},{"a":2,"id":20}]'],
    ["ALTER TABLE things DETACH PARTITION things_high", '[{"a":1,"id":1}]'],
    ["ALTER TABLE things ALTER COLUMN a TYPE int USING a * 10", '[{"a":10,"id":1}]'],
    ["ALTER TABLE things RENAME TO things_before", /does not exist/],
    ["ALTER TABLE things_before RENAME TO things; INSERT INTO things VALUES (2, 2)", '[{"a":10,"id":1},{"a":2,"id":2}]'],
    ["ALTER TABLE things RENAME COLUMN a TO b", /column "a" does not exist/],
    ["ALTER TABLE things RENAME COLUMN b TO a; DELETE FROM things WHERE id = 1", '[{"a":2,"id":2}]'],
    // Rights.
    ["REVOKE SELECT ON things FROM web", /permission denied/],
    ["GRANT SELECT ON things TO web; INSERT INTO things VALUES (3, 3)", '[{"a":2,"id":2},{"a":3,"id":3}]'],
    ["REVOKE EXECUTE ON FUNCTION api.things() FROM PUBLIC", /permission denied/],
    ["GRANT EXECUTE ON FUNCTION api.things() TO web; DELETE FROM things WHERE id = 3", '[{"a":2,"id":2}]'],
    ["REVOKE SELECT ON things FROM web; GRANT SELECT ON things TO reader", /permission denied/],
    ["GRANT reader TO web; INSERT INTO things VALUES (4, 4)", '[{"a":2,"id":2},{"a":4,"id":4}]'],
    // Roles belong to all databases.
    [async () => {
      const { rows: [{ name }] } = await admin.query("SELECT current_database() AS name");
      const url = new URL(server.env.PG_LIVE_ADMIN_URL);
      await admin.query("CREATE DATABASE elsewhere");
      url.pathname = url.pathname.replace(name, "elsewhere");
      const elsewhere = new pg.Client({ connectionString: url.href });
      await elsewhere.connect();
      await elsewhere.query("REVOKE reader FROM web");
      await elsewhere.end();
    }, /permission denied/],
    ["GRANT reader TO web; DELETE FROM things WHERE id = 4", '[{"a":2,"id":2}]'],
    [`REVOKE web FROM ${login}`, /cannot be used by clients/],
    [`GRANT web TO ${login}; INSERT INTO things VALUES (5, 5)`, '[{"a":2,"id":2},{"a":5,"id":5}]'],
    ["ALTER TABLE things ENABLE ROW LEVEL SECURITY", "[]"],
    ["CREATE POLICY small ON things USING (id < 3)", '[{"a":2,"id":2}]'],
    ["ALTER POLICY small ON things USING (id > 3)", '[{"a":5,"id":5}]'],
    ["ALTER ROLE web BYPASSRLS", '[{"a":2,"id":2},{"a":5,"id":5}]'],
    ["ALTER ROLE web NOBYPASSRLS", '[{"a":5,"id":5}]'],
    ["DROP POLICY small ON things", "[]"],
    ["ALTER TABLE things DISABLE ROW LEVEL SECURITY", '[{"a":2,"id":2},{"a":5,"id":5}]'],
  ]);
  await equals(viewed, "[2,5]");
  await follow(viewed, [
    ["CREATE OR REPLACE VIEW viewed AS SELECT id FROM things WHERE id > 2", "[5]"],
    ["CREATE OR REPLACE FUNCTION api.inner_one() RETURNS int LANGUAGE sql STABLE AS 'SELECT 2'", "[10]"],
    [`ALTER VIEW viewed OWNER TO reader; REASSIGN OWNED BY reader TO ${superuser}; DROP VIEW viewed`, /does not exist/],
    ["CREATE VIEW viewed AS SELECT id FROM things; GRANT SELECT ON viewed TO web", "[4,10]"],
    ["DROP TABLE things CASCADE", /does not exist/],
  ]);
  await admin.query("CREATE TABLE things (id int PRIMARY KEY, a int); GRANT SELECT ON things TO web; INSERT INTO things VALUES (7, 7)");
  await equals(things, '[{"a":7,"id":7}]');
  await admin.query("INSERT INTO things VALUES (8, 8)");
  await equals(things, '[{"a":7,"id":7},{"a":8,"id":8}]');
  things.stop();
  viewed.stop();
});
