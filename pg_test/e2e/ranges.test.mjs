// What is run again: exactly the queries whose result a write may change. Counted by the server itself.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { LiveClient } from "../lib/clients.mjs";
import { counts } from "../lib/metrics.mjs";
import { Server } from "../lib/server.mjs";
import { sleep, until } from "../lib/wait.mjs";

const ROWS = 120;
const NEWEST = 50;

/** @type {Server} */ let server;
/** @type {LiveClient} */ let client;
/** @type {LiveClient} */ let fenceClient;
let db;
let admin;
let fence;
let list;
let fences = 0;

before(async () => {
  server = await Server.start();
  db = server.sql();
  admin = server.sql({ admin: true, max: 1 });
  // _creationTime n is row n's; the newest 50 of the 120 are 71 to 120.
  await db.query(
    `INSERT INTO messages(author, body, channel, "_creationTime")
     SELECT 'psql', 'row ' || n, 'range', n FROM generate_series(1, $1::int) AS n`,
    [ROWS],
  );
  client = new LiveClient(server.url);
  fenceClient = new LiveClient(server.url);
  fence = fenceClient.subscribe("messages:list", { channel: "fence" });
  list = client.subscribe("messages:list", { channel: "range" });
  await fence.ready();
  await list.becomes("shows the newest 50", (messages) => messages.length === NEWEST);
  assert.deepEqual([list.value[0].body, list.value[NEWEST - 1].body], ["row 120", "row 71"]);
});

after(async () => {
  await client?.close();
  await fenceClient?.close();
  await server?.stop();
});

/** Writes to another channel and waits for it: whatever was written before has been dealt with by then. */
async function passFence() {
  fences += 1;
  await db.query("INSERT INTO messages(author, body, channel) VALUES ('psql', $1, 'fence')", [`fence ${fences}`]);
  await fence.becomes(`shows fence ${fences}`, ([first]) => first?.body === `fence ${fences}`);
}

/**
 * Asserts how many query runs and pushes a write causes, the fence's own one of each not counted. The database
 * counts with the relay: one invalidation sent and one function run for each run again.
 */
async function expectCounts(expected, write) {
  await passFence();
  await sleep(50);
  const before = await counts(server.url, admin);
  await write();
  await until(`${JSON.stringify(expected)} is reached`, async () => {
    const now = await counts(server.url, admin);
    return now.reruns - before.reruns >= expected.reruns && now.pushes - before.pushes >= expected.pushes;
  });
  await passFence();
  await sleep(250);
  const now = await counts(server.url, admin);
  const differences = Object.fromEntries(Object.entries(now).map(([name, count]) => [name, count - before[name] - 1]));
  assert.deepEqual(differences, { ...expected, invalidations: expected.reruns, functionsRun: expected.reruns });
}

const ONCE = { reruns: 1, pushes: 1 };
const NEVER = { reruns: 0, pushes: 0 };
const row = (n) => `channel = 'range' AND "_creationTime" = ${n}`;
const insertAt = (time, body) =>
  db.query(`INSERT INTO messages(author, body, channel, "_creationTime") VALUES ('psql', $2, 'range', $1)`, [time, body]);

test("a write inside the range: run once, pushed once", async () => {
  await expectCounts(ONCE, () => db.query(`UPDATE messages SET body = 'changed' WHERE ${row(100)}`));
  assert.equal(list.value[20].body, "changed");
});

test("a write outside the range, in the same channel: nothing", async () => {
  await expectCounts(NEVER, () => db.query(`UPDATE messages SET body = 'changed' WHERE ${row(10)}`));
  await expectCounts(NEVER, () => db.query(`DELETE FROM messages WHERE ${row(11)}`));
  await expectCounts(NEVER, () => insertAt(12.5, "old"));
});

test("the last row of the range: run once, pushed once", async () => {
  await expectCounts(ONCE, () => db.query(`UPDATE messages SET body = 'last' WHERE ${row(71)}`));
  assert.equal(list.value[NEWEST - 1].body, "last");
});

test("the first row beyond the range: nothing", async () => {
  await expectCounts(NEVER, () => db.query(`UPDATE messages SET body = 'beyond' WHERE ${row(70)}`));
});

test("an insert just inside and just outside the border", async () => {
  await expectCounts(NEVER, () => insertAt(70.5, "just outside"));
  await expectCounts(ONCE, () => insertAt(71.5, "just inside"));
  assert.equal(list.value[NEWEST - 1].body, "just inside");
});

test("the border moves with the data", async () => {
  // 71.5 is the last of the 50 now, so row 71 is outside; a delete inside lets it in again.
  await expectCounts(NEVER, () => db.query(`UPDATE messages SET body = 'unseen' WHERE ${row(71)}`));
  await expectCounts(ONCE, () => db.query(`DELETE FROM messages WHERE ${row(110)}`));
  assert.equal(list.value[NEWEST - 1].body, "unseen");
  await expectCounts(ONCE, () => db.query(`UPDATE messages SET body = 'seen' WHERE ${row(71)}`));
});

test("an insert of a newer row: run once, pushed once", async () => {
  await expectCounts(ONCE, () => insertAt(1000, "newest"));
  assert.equal(list.value[0].body, "newest");
});

test("a row that moves out of the range, and one that moves in", async () => {
  await expectCounts(ONCE, () => db.query(`UPDATE messages SET channel = 'other' WHERE ${row(1000)}`));
  await expectCounts(ONCE, () => db.query("UPDATE messages SET channel = 'range' WHERE channel = 'other'"));
});

test("another channel, the default channel and another table: nothing", async () => {
  await expectCounts(NEVER, () => db.query("INSERT INTO messages(author, body, channel) VALUES ('psql', 'x', 'rang')"));
  await expectCounts(NEVER, () => db.query("INSERT INTO messages(author, body, channel) VALUES ('psql', 'x', 'range2')"));
  await expectCounts(NEVER, () => db.query("INSERT INTO messages(author, body) VALUES ('psql', 'x')"));
  await expectCounts(NEVER, () => db.query("INSERT INTO accounts(name, balance) VALUES ('range', 1)"));
});

test("an update that leaves the row as it was: nothing", async () => {
  await expectCounts(NEVER, () => db.query(`UPDATE messages SET body = body WHERE ${row(100)}`));
});

test("a write that is rolled back: nothing", async () => {
  await expectCounts(NEVER, async () => {
    const connection = await db.connect();
    await connection.query("BEGIN");
    await connection.query(`UPDATE messages SET body = 'never' WHERE ${row(100)}`);
    await connection.query("ROLLBACK");
    connection.release();
  });
});

test("many writes of one transaction: run once, pushed once", async () => {
  await expectCounts(ONCE, () => db.query("UPDATE messages SET body = body || '!' WHERE channel = 'range'"));
  assert.ok(list.value.every(({ body }) => body.endsWith("!")));
});

test("a result that stays the same is run again and not pushed", async () => {
  list.stop();
  const count = client.subscribe("messages:count", { channel: "range" });
  await count.becomes("is 50", (value) => value === NEWEST);
  await expectCounts({ reruns: 1, pushes: 0 }, () => db.query(`UPDATE messages SET body = 'again' WHERE ${row(100)}`));
  assert.deepEqual(count.values, [NEWEST]);
  count.stop();
});

test("a query that was dropped is not run again", async () => {
  const dropped = client.subscribe("messages:list", { channel: "range" });
  await dropped.ready();
  dropped.stop();
  // The client tells the server after this turn of its event loop; a query proves that it has.
  await client.query("values:echo", { value: 1 });
  await expectCounts(NEVER, () => db.query(`UPDATE messages SET body = 'dropped' WHERE ${row(100)}`));
});
