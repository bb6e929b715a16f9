// Functions that go too far: each is ended with a word that says why, and nothing else notices.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ConvexHttpClient } from "convex/browser";
import { LiveClient } from "../lib/clients.mjs";
import { Server } from "../lib/server.mjs";

/** @type {Server} */ let server;
/** @type {ConvexHttpClient} */ let http;
/** @type {LiveClient} */ let live;
let bystander;
let admin;
let lifeAtStart;

before(async () => {
  server = await Server.start();
  http = new ConvexHttpClient(server.url, { logger: false });
  live = new LiveClient(server.url);
  admin = server.sql({ admin: true });
  bystander = live.subscribe("messages:count", { channel: "bystander" });
  await bystander.ready();
  lifeAtStart = await life();
});

after(async () => {
  await live?.close();
  await server?.stop();
});

/** What changes if the server or its worker was started again. */
async function life() {
  const { rows } = await admin.query("SELECT pg_postmaster_start_time() AS started, live.status() AS status");
  return { started: rows[0].started, boot: rows[0].status.boot, worker: rows[0].status.worker_pid };
}

const endings = {
  heap: /out of memory/,
  hugeArray: /could not go on|out of memory/,
  buffers: /out of memory/,
  recursion: /Maximum call stack size exceeded[\s\S]*limits\.ts/,
  regex: /timed out \(maximum duration/,
  loop: /timed out \(maximum duration/,
  finallyLoop: /timed out \(maximum duration/,
  microtasks: /out of memory|timed out/,
  pending: /never resolve/,
  bigResult: /return value is too large/,
  prototypes: /map is not a function/,
  timer: /Can't use setTimeout/,
  fetch: /Can't use fetch/,
};

for (const [how, message] of Object.entries(endings)) {
  test(`${how}: ended with a reason`, { timeout: 60_000 }, async () => {
    // Those that use up their processor time are slow enough once.
    const clients = ["regex", "finallyLoop"].includes(how) ? [http] : [http, live];
    await Promise.all(clients.map((client) => assert.rejects(client.query("limits:exceed", { how }), message)));
    assert.deepEqual(await http.query("limits:callsSeen", {}), [1, [1]], "no call sees what another one left behind");
    assert.deepEqual(await life(), lifeAtStart, "the server and its worker run on");
  });
}

test("too many writes, and text that Postgres cannot hold: nothing of it stays", async () => {
  await assert.rejects(http.mutation("limits:insertMany", { count: 20_000 }), /Too many documents written/);
  await assert.rejects(http.mutation("limits:insertText", {}), /NUL/);
  assert.equal((await admin.query("SELECT 1 FROM messages WHERE channel = 'limits'")).rowCount, 0);
});

test("all that time the others were served", async () => {
  await admin.query("INSERT INTO messages(author, body, channel) VALUES ('psql', 'x', 'bystander')");
  await bystander.becomes("is 1", (count) => count === 1);
  assert.deepEqual(bystander.errors, []);
  assert.deepEqual(await life(), lifeAtStart);
});
