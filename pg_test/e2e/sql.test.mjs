// Reads by SQL, followed by clients: in functions, and SQL functions as queries under row security.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
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
