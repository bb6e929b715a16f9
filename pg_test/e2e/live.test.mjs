// Every writer reaches every subscriber.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ConvexHttpClient } from "convex/browser";
import { ConvexError } from "convex/values";
import { LiveClient } from "../lib/clients.mjs";
import { relayMetrics } from "../lib/metrics.mjs";
import { RawClient } from "../lib/raw-client.mjs";
import { Server } from "../lib/server.mjs";
import { sleep, until } from "../lib/wait.mjs";

/** @type {Server} */ let server;
/** @type {LiveClient} */ let one;
/** @type {LiveClient} */ let two;
let db;

before(async () => {
  server = await Server.start();
  one = new LiveClient(server.url);
  two = new LiveClient(server.url);
  db = server.sql();
});

after(async () => {
  await one?.close();
  await two?.close();
  await server?.stop();
});

const bodies = (messages) => messages.map(({ body }) => body);

test("what one client sends, the other one sees", async () => {
  const here = one.subscribe("messages:list", { channel: "clients" });
  const there = two.subscribe("messages:list", { channel: "clients" });
  await Promise.all([here.ready(), there.ready()]);
  await one.mutation("messages:send", { author: "one", body: "hello", channel: "clients" });
  await there.becomes("shows it", (messages) => messages[0]?.body === "hello");
  await new ConvexHttpClient(server.url, { logger: false }).mutation("messages:send", { author: "http", body: "hi", channel: "clients" });
  await here.becomes("shows both", (messages) => bodies(messages).join() === "hi,hello");
});

test("SQL INSERT, UPDATE and DELETE reach the subscriber", async () => {
  const list = one.subscribe("messages:list", {});
  await list.ready();
  const { rows } = await db.query("INSERT INTO messages(author, body) VALUES ('psql', 'by SQL') RETURNING _id");
  const [message] = await list.becomes("has one", (messages) => messages.length === 1);
  assert.equal(message._id, rows[0]._id);
  assert.equal(message.author, "psql");
  assert.ok(!("channel" in message), "a NULL column is an absent field");
  await db.query("UPDATE messages SET body = 'changed' WHERE _id = $1", [message._id]);
  await list.becomes("is changed", ([first]) => first?.body === "changed");
  await db.query("DELETE FROM messages WHERE _id = $1", [message._id]);
  await list.becomes("is empty", (messages) => messages.length === 0);
  list.stop();
});

test("a document read by id follows its row, from before it exists until after", async () => {
  const id = await one.mutation("messages:send", { author: "a", body: "v1", channel: "byid" });
  const document = one.subscribe("messages:get", { id });
  await document.becomes("is v1", (value) => value?.body === "v1");
  await db.query("UPDATE messages SET body = 'v2' WHERE _id = $1", [id]);
  await document.becomes("is v2", (value) => value?.body === "v2");
  await db.query("DELETE FROM messages WHERE _id = $1", [id]);
  await document.becomes("is gone", (value) => value === null);
  await db.query("INSERT INTO messages(_id, author, body, channel) VALUES ($1, 'a', 'v3', 'byid')", [id]);
  await document.becomes("is back", (value) => value?.body === "v3");
  document.stop();
});

test("moving a row between ranges changes both", async () => {
  const from = one.subscribe("messages:list", { channel: "from" });
  const to = two.subscribe("messages:list", { channel: "to" });
  await db.query("INSERT INTO messages(author, body, channel) VALUES ('psql', 'traveller', 'from')");
  await from.becomes("has it", (messages) => messages.length === 1);
  await to.becomes("has nothing", (messages) => messages.length === 0);
  await db.query("UPDATE messages SET channel = 'to' WHERE channel = 'from'");
  await from.becomes("has nothing", (messages) => messages.length === 0);
  await to.becomes("has it", (messages) => messages.length === 1);
  from.stop();
  to.stop();
});

test("COPY-sized statements, TRUNCATE and ON CONFLICT count as writes", async () => {
  const count = one.subscribe("messages:count", { channel: "bulk" });
  await count.becomes("is 0", (value) => value === 0);
  await db.query("INSERT INTO messages(author, body, channel) SELECT 'psql', n::text, 'bulk' FROM generate_series(1, 5000) AS n");
  await count.becomes("is 50", (value) => value === 50);
  await db.query("DELETE FROM messages WHERE channel = 'bulk' AND body <> '7'");
  await count.becomes("is 1", (value) => value === 1);
  await db.query(
    "INSERT INTO messages(_id, author, body, channel) SELECT _id, author, body, channel FROM messages WHERE channel = 'bulk' " +
      "ON CONFLICT (_id) DO UPDATE SET channel = 'elsewhere'",
  );
  await count.becomes("is 0", (value) => value === 0);
  const all = two.subscribe("messages:count", { channel: "elsewhere" });
  await all.becomes("is 1", (value) => value === 1);
  await db.query("TRUNCATE messages");
  await all.becomes("is 0 after TRUNCATE", (value) => value === 0);
  count.stop();
  all.stop();
});

test("a transaction shows up at its commit, as a whole; one that is rolled back never does", async () => {
  const list = one.subscribe("messages:list", { channel: "tx" });
  await list.ready();
  const connection = await db.connect();
  try {
    await connection.query("BEGIN");
    await connection.query("INSERT INTO messages(author, body, channel) VALUES ('psql', 'first', 'tx')");
    await connection.query("SAVEPOINT s");
    await connection.query("INSERT INTO messages(author, body, channel) VALUES ('psql', 'undone', 'tx')");
    await connection.query("ROLLBACK TO SAVEPOINT s");
    await connection.query("INSERT INTO messages(author, body, channel) VALUES ('psql', 'second', 'tx')");
    await sleep(300);
    assert.deepEqual(list.value, []);
    await connection.query("COMMIT");
    await list.becomes("has both", (messages) => messages.length === 2);
    assert.deepEqual(bodies(list.value).sort(), ["first", "second"]);
    await connection.query("BEGIN");
    await connection.query("INSERT INTO messages(author, body, channel) VALUES ('psql', 'third', 'tx')");
    await connection.query("ROLLBACK");
  } finally {
    connection.release();
  }
  await one.mutation("messages:send", { author: "one", body: "fence", channel: "tx" });
  await list.becomes("has the fence", (messages) => messages.length === 3);
  const seen = new Set(list.values.flatMap(bodies));
  assert.ok(!seen.has("undone") && !seen.has("third"), [...seen].join());
  assert.ok(list.values.every((messages) => messages.length !== 1), "the two rows came together");
  list.stop();
});

test("once a mutation is resolved, its client reads what it wrote", async () => {
  const list = one.subscribe("messages:list", { channel: "own" });
  await list.ready();
  for (let n = 0; n < 40; n += 1) {
    const body = `message ${n}`;
    await one.mutation("messages:send", { author: "one", body, channel: "own" });
    assert.equal(list.value[0]?.body, body, "the subscription shows it");
    assert.equal((await one.query("messages:list", { channel: "own" }))[0]?.body, body, "a query shows it");
  }
  list.stop();
});

test("a mutation that changes nothing anyone watches is resolved too", async () => {
  const quiet = new LiveClient(server.url);
  try {
    await quiet.mutation("messages:send", { author: "quiet", body: "x", channel: "unwatched" });
    const list = quiet.subscribe("messages:list", { channel: "quiet" });
    await list.ready();
    await quiet.mutation("messages:send", { author: "quiet", body: "y", channel: "unwatched" });
    assert.equal(list.values.length, 1);
  } finally {
    await quiet.close();
  }
});

test("a query that begins to fail reports its error, and recovers with the data", async () => {
  const query = one.subscribe("failures:poisoned", {});
  await query.becomes("is null", (value) => value === null);
  const { rows } = await db.query("INSERT INTO messages(author, body, channel) VALUES ('psql', 'poison', 'poison') RETURNING _id");
  await until("the error arrives", () => query.errors.length === 1);
  assert.ok(query.errors[0] instanceof ConvexError);
  assert.equal(query.errors[0].data, "poisoned");
  await db.query("UPDATE messages SET body = 'antidote' WHERE _id = $1", [rows[0]._id]);
  await query.becomes("is well", (value) => value === "antidote");
  query.stop();
});

test("no update is given to a query that was dropped", async () => {
  const list = two.subscribe("messages:list", { channel: "dropped" });
  await list.ready();
  list.stop();
  const other = two.subscribe("messages:count", { channel: "dropped" });
  await other.ready();
  await db.query("INSERT INTO messages(author, body, channel) VALUES ('psql', 'x', 'dropped')");
  await other.becomes("is 1", (value) => value === 1);
  assert.equal(list.values.length, 1);
  other.stop();
});

test("a hundred clients all see the same", async () => {
  const clients = Array.from({ length: 100 }, () => new LiveClient(server.url));
  try {
    const lists = clients.map((client) => client.subscribe("messages:list", { channel: "crowd" }));
    await Promise.all(lists.map((list) => list.ready()));
    await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        n % 2 === 0
          ? db.query("INSERT INTO messages(author, body, channel) VALUES ('psql', $1, 'crowd')", [`${n}`])
          : clients[n].mutation("messages:send", { author: "client", body: `${n}`, channel: "crowd" }),
      ),
    );
    await Promise.all(lists.map((list) => list.becomes("has 20", (messages) => messages.length === 20, { timeout: 30_000 })));
    const expected = JSON.stringify(lists[0].value);
    assert.ok(lists.every((list) => JSON.stringify(list.value) === expected));
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
});

test("what many clients show is executed once for all of them", async () => {
  const clients = Array.from({ length: 40 }, () => new RawClient(server.url));
  try {
    await Promise.all(clients.map(({ opened }) => opened));
    clients.forEach((client) => client.modify([["messages:count", { channel: "shared" }]]));
    await Promise.all(clients.map((client) => client.until("it has a value", () => client.values.get(0) === 0)));
    const before = await relayMetrics(server.url);
    await db.query("INSERT INTO messages(author, body, channel) VALUES ('psql', 'x', 'shared')");
    await Promise.all(clients.map((client) => client.until("it shows the message", () => client.values.get(0) === 1)));
    const after = await relayMetrics(server.url);
    const grown = (name) => after[`pg_live_${name}_total`] - before[`pg_live_${name}_total`];
    assert.equal(grown("results_sent"), clients.length);
    assert.ok(grown("executions") < 5, `${grown("executions")} executions`);
    assert.ok(grown("results_shared") > clients.length - 5, `${grown("results_shared")} shared`);
  } finally {
    clients.forEach((client) => client.close());
  }
});

test("three hundred clients that come back at once all show what there is", async () => {
  const open = async () => {
    const clients = Array.from({ length: 300 }, () => new RawClient(server.url));
    await Promise.all(clients.map(({ opened }) => opened));
    clients.forEach((client, n) => client.modify([["messages:count", { channel: `storm ${n % 150}` }]]));
    return clients;
  };
  const expected = async (clients, count) =>
    await Promise.all(clients.map((client) => client.until(`it shows ${count}`, () => client.values.get(0) === count)));
  let clients = await open();
  try {
    await expected(clients, 0);
    await db.query(
      "INSERT INTO messages(author, body, channel) SELECT 'psql', 'x', 'storm ' || n FROM generate_series(0, 149) AS n",
    );
    clients.forEach((client) => client.close());
    clients = await open();
    await expected(clients, 1);
  } finally {
    clients.forEach((client) => client.close());
  }
});
