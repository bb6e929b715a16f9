// More than there is room for: whoever cannot be served is told so in the words of the protocol, the others are served on,
// and what a slow client holds is bounded. Nothing here depends on how fast the machine is: the database is held up by a lock.
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { relayMetrics } from "../lib/metrics.mjs";
import { memoryOf } from "../lib/processes.mjs";
import { RawClient } from "../lib/raw-client.mjs";
import { startRelay } from "../lib/relay.mjs";
import { Server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const PATIENT = { timeout: 120_000 };

/** @type {Server} */ let server;
let admin;
const relays = [];

before(async () => {
  server = await Server.start();
  admin = server.sql({ admin: true, max: 2 });
});

after(async () => {
  relays.forEach((relay) => relay.process.kill("SIGKILL"));
  await server?.stop();
});

/** A relay with little room. */
async function smallRelay(name, ...args) {
  const relay = await startRelay(server, { name, args: ["--query-connections", "1", ...args] });
  relays.push(relay);
  await until("it is attached", async () => (await fetch(`${relay.url}/healthz`)).ok, PATIENT);
  return relay;
}

/** Holds up whoever reads messages, until the function that it gives is called. */
async function holdUp() {
  const holder = await admin.connect();
  await holder.query("BEGIN; LOCK TABLE messages IN ACCESS EXCLUSIVE MODE");
  return async () => {
    await holder.query("ROLLBACK");
    holder.release();
  };
}

/** Resolves once something waits for the lock. */
const isHeldUp = () =>
  until("something is held up", async () => {
    const { rows } = await admin.query("SELECT FROM pg_locks WHERE relation = 'messages'::regclass AND NOT granted");
    return rows.length > 0;
  }, PATIENT);

/** A client with one live query, different from that of all others. */
async function asks(relay, channel) {
  const client = new RawClient(relay.url);
  await client.opened;
  const [id] = client.modify([["messages:count", { channel }]]);
  client.isServed = () => client.until(`${channel} is shown`, () => client.values.has(id), PATIENT.timeout);
  return client;
}

const metric = async (relay, name) => (await relayMetrics(relay.url))[name];

test("while too many runs wait new clients are told to come back later; those that are in are served", { timeout: 600_000 }, async () => {
  const relay = await smallRelay("runs", "--max-waiting-runs", "5");
  const release = await holdUp();
  const clients = [await asks(relay, "the first")];
  await isHeldUp();
  for (let n = 0; n < 5; n += 1) {
    clients.push(await asks(relay, `waiting ${n}`));
  }
  await until("five wait", async () => (await metric(relay, "pg_live_runs_waiting")) >= 5, PATIENT);
  const refused = new WebSocket(`${relay.url.replace("http", "ws")}/api/1.48.0/sync`);
  const [code, reason] = await once(refused, "close");
  assert.deepEqual([code, reason.toString()], [1013, "TooManyConcurrentRequests"]);
  assert.equal(await metric(relay, "pg_live_sessions_refused_total"), 1);
  await release();
  await Promise.all(clients.map((client) => client.isServed()));
  const late = await asks(relay, "late");
  await late.isServed();
  [...clients, late].forEach((client) => client.close());
});

test("while too many calls wait for the database others are answered by 503", { timeout: 600_000 }, async () => {
  const relay = await smallRelay("calls", "--max-waiting-calls", "3");
  const call = (channel) =>
    fetch(`${relay.url}/api/query`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ path: "messages:count", args: { channel }, format: "json" }),
    });
  const release = await holdUp();
  const calls = [call("a")];
  await isHeldUp();
  calls.push(...["b", "c", "d"].map(call));
  await until("three wait", async () => (await metric(relay, "pg_live_waiting")) >= 3, PATIENT);
  const refused = await call("e");
  assert.equal(refused.status, 503);
  assert.equal((await refused.json()).code, "TooManyConcurrentRequests");
  await release();
  for (const answer of await Promise.all(calls)) {
    assert.deepEqual([answer.status, (await answer.json()).value], [200, 0]);
  }
  assert.equal((await call("f")).status, 200);
});

test("a client that does not read costs little, and is shown the newest state when it reads on", { timeout: 600_000 }, async () => {
  const relay = await smallRelay("slow");
  const [writes, body] = [120, "x".repeat(20_000)];
  const [slow, writer] = [new RawClient(relay.url), new RawClient(relay.url)];
  await Promise.all([slow.opened, writer.opened]);
  const [id] = slow.modify([["messages:list", { channel: "slow" }]]);
  await slow.until("its query is shown", () => slow.values.has(id), PATIENT.timeout);
  const memory = await memoryOf(relay.process.pid);
  slow.socket.pause();
  // Whoever reads nothing for a minute is taken to be gone.
  const end = performance.now() + 30_000;
  let written = 0;
  while (written < writes && performance.now() < end) {
    written += 1;
    await writer.mutate("messages:send", { author: `${written}`, body, channel: "slow" });
  }
  // All states together are 95 MB.
  const grown = ((await memoryOf(relay.process.pid)) - memory) / 2 ** 20;
  assert.ok(grown < 64, `the relay grew by ${Math.round(grown)} MiB`);
  slow.socket.resume();
  await slow.until("the newest state is shown", () => slow.values.get(id)[0]?.author === `${written}`, PATIENT.timeout);
  assert.equal(slow.values.get(id).length, Math.min(written, 50));
  assert.ok(written < writes || slow.transitions < written, `${slow.transitions} of ${written} states were sent`);
  [slow, writer].forEach((client) => client.close());
});

test("a storm of connections is let in a few at a time, and all are served", { timeout: 600_000 }, async () => {
  const relay = await smallRelay("storm", "--max-accepted", "100");
  const clients = await Promise.all(Array.from({ length: 300 }, (_, n) => asks(relay, `storm ${n % 10}`)));
  await Promise.all(clients.map((client) => client.isServed()));
  clients.forEach((client) => client.close());
  await until("they are gone", async () => (await metric(relay, "pg_live_sessions")) === 0, PATIENT);
});
