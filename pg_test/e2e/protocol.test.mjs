// What no well-behaved client sends. The connection ends with a clear word; the server goes on.
import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { connect } from "node:net";
import { after, afterEach, before, describe, test } from "node:test";
import { WebSocket } from "ws";
import { LiveClient } from "../lib/clients.mjs";
import { memoryOf, pidListeningOn } from "../lib/processes.mjs";
import { Server } from "../lib/server.mjs";
import { sleep, until } from "../lib/wait.mjs";

/** @type {Server} */ let server;
/** @type {LiveClient} */ let bystander;
let watched;
let db;

before(async () => {
  server = await Server.start();
  db = server.sql();
  bystander = new LiveClient(server.url);
  watched = bystander.subscribe("messages:count", { channel: "bystander" });
  await watched.ready();
});

after(async () => {
  await bystander?.close();
  await server?.stop();
});

/** A connection that speaks the protocol by hand. */
class RawClient {
  messages = [];
  closed = undefined;

  constructor(path = "/api/1.48.0/sync") {
    this.socket = new WebSocket(`ws://127.0.0.1:${server.port}${path}`);
    this.socket.on("message", (data) => this.messages.push(JSON.parse(data.toString())));
    this.socket.on("close", (code, reason) => (this.closed = { code, reason: reason.toString() }));
    this.socket.on("error", (error) => (this.error = error));
    this.open = new Promise((resolve) => this.socket.once("open", resolve));
  }

  /** Opens, and says Connect as the npm client does. */
  static async connected(path) {
    const client = new RawClient(path);
    await client.open;
    client.send({ type: "Connect", sessionId: randomUUID(), connectionCount: 0, lastCloseReason: "InitialConnect", clientTs: Date.now() });
    return client;
  }

  send(message) {
    this.socket.send(typeof message === "string" || Buffer.isBuffer(message) ? message : JSON.stringify(message));
  }

  async next(type) {
    await until(`a ${type} comes`, () => this.messages.some((message) => message.type === type));
    return this.messages.find((message) => message.type === type);
  }

  async closes() {
    await until("the server closes the connection", () => this.closed !== undefined, { timeout: 20_000 });
    return this.closed;
  }
}

const add = (queryId, udfPath = "messages:count", args = [{ channel: "raw" }]) => ({ type: "Add", queryId, udfPath, args });
const modify = (baseVersion, newVersion, modifications) => ({ type: "ModifyQuerySet", baseVersion, newVersion, modifications });

let bystanderCount = 0;

afterEach(async () => {
  bystanderCount += 1;
  await db.query("INSERT INTO messages(author, body, channel) VALUES ('psql', 'x', 'bystander')");
  await watched.becomes("follows, whatever others do", (count) => count === Math.min(bystanderCount, 50));
});

test("the protocol by hand: versions follow each other, an empty change is answered too", async () => {
  const raw = await RawClient.connected();
  raw.send(modify(0, 1, [add(0)]));
  const first = await raw.next("Transition");
  assert.deepEqual(first.startVersion, { querySet: 0, identity: 0, ts: "AAAAAAAAAAA=" });
  assert.equal(first.endVersion.querySet, 1);
  assert.deepEqual(first.modifications.map(({ type, queryId, value }) => [type, queryId, value]), [["QueryUpdated", 0, 0]]);
  raw.messages.length = 0;
  raw.send(modify(1, 2, []));
  const second = await raw.next("Transition");
  assert.deepEqual(second.startVersion, first.endVersion);
  assert.equal(second.endVersion.querySet, 2);
  raw.messages.length = 0;
  raw.send(modify(2, 3, [{ type: "Remove", queryId: 0 }]));
  const third = await raw.next("Transition");
  assert.deepEqual(third.modifications, [{ type: "QueryRemoved", queryId: 0 }]);
  raw.socket.close();
  assert.equal((await raw.closes()).code, 1005);
});

test("an address without a version works; one that is not the protocol's does not", async () => {
  const raw = await RawClient.connected("/api/sync");
  raw.send(modify(0, 1, [add(0)]));
  await raw.next("Transition");
  raw.socket.terminate();
  const wrong = new RawClient("/api/1.48.0/nothing");
  await until("it is refused", () => wrong.error !== undefined);
});

test("the client is not left in silence", { timeout: 90_000 }, async () => {
  const raw = await RawClient.connected();
  await until("a Ping comes", () => raw.messages.some(({ type }) => type === "Ping"), { timeout: 80_000 });
  raw.socket.terminate();
});

const protocolErrors = {
  "not JSON": (raw) => raw.send("{"),
  "JSON that is no object": (raw) => raw.send("[1]"),
  "an unknown type": (raw) => raw.send({ type: "Surprise" }),
  "fields of the wrong type": (raw) => raw.send({ type: "ModifyQuerySet", baseVersion: "x", newVersion: 1, modifications: [] }),
  "a wrong base version": (raw) => raw.send(modify(7, 8, [add(0)])),
  "a version that skips": (raw) => raw.send(modify(0, 5, [add(0)])),
  "a query id twice": (raw) => raw.send(modify(0, 1, [add(0), add(0)])),
  "removing a query that is not there": (raw) => raw.send(modify(0, 1, [{ type: "Remove", queryId: 3 }])),
  "a second Connect": (raw) =>
    raw.send({ type: "Connect", sessionId: randomUUID(), connectionCount: 0, lastCloseReason: null, clientTs: 0 }),
  "a wrong identity version": (raw) => raw.send({ type: "Authenticate", tokenType: "None", baseVersion: 9 }),
};

describe("a protocol error gets FatalError and the connection is closed", () => {
  for (const [name, send] of Object.entries(protocolErrors)) {
    test(name, async () => {
      const raw = await RawClient.connected();
      send(raw);
      const { code } = await raw.closes();
      const fatal = raw.messages.find(({ type }) => type === "FatalError");
      assert.ok(fatal !== undefined, `closed with ${code} and without FatalError; got ${JSON.stringify(raw.messages)}`);
      assert.ok(fatal.error.length > 0);
    });
  }

  test("a message before Connect", async () => {
    const raw = new RawClient();
    await raw.open;
    raw.send(modify(0, 1, [add(0)]));
    await raw.closes();
  });
});

test("a session id that is no uuid is refused", async () => {
  const raw = new RawClient();
  await raw.open;
  raw.send({ type: "Connect", sessionId: "me", connectionCount: 0, lastCloseReason: null, clientTs: 0 });
  await raw.closes();
});

test("a binary frame and bytes that are not UTF-8 end the connection, not the server", async () => {
  const raw = await RawClient.connected();
  raw.send(randomBytes(1000));
  await raw.closes();
});

test("a huge frame ends the connection, not the server", { timeout: 60_000 }, async () => {
  const raw = await RawClient.connected();
  raw.send(`{"type":"Event","eventType":"x","event":"${"x".repeat(96 * 2 ** 20)}"}`);
  await raw.closes();
});

test("deeply nested JSON is an error of that request or connection only", async () => {
  const raw = await RawClient.connected();
  const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
  raw.send(`{"type":"Mutation","requestId":0,"udfPath":"values:echo","args":[{"value":${deep}}]}`);
  await until("it is answered or closed", () => raw.closed !== undefined || raw.messages.some(({ type }) => type === "MutationResponse"));
  raw.socket.terminate();
});

test("arguments that are no arguments fail that query only", async () => {
  for (const args of [[], [1], [{}, {}], [{ channel: { $integer: "zz" } }], [{ $weird: 1 }]]) {
    const raw = await RawClient.connected();
    raw.send(modify(0, 1, [add(0, "messages:count", args), add(1)]));
    await until("it is answered or closed", () => raw.closed !== undefined || raw.messages.some(({ type }) => type === "Transition"));
    const transition = raw.messages.find(({ type }) => type === "Transition");
    if (transition !== undefined) {
      const types = Object.fromEntries(transition.modifications.map(({ queryId, type }) => [queryId, type]));
      assert.equal(types[1], "QueryUpdated", JSON.stringify(args));
      assert.equal(types[0], args.length === 0 ? types[0] : "QueryFailed", JSON.stringify(args));
    }
    raw.socket.terminate();
  }
});

test("garbage instead of HTTP, and connections that say nothing", async () => {
  const sockets = Array.from({ length: 50 }, () => connect(server.port, "127.0.0.1").on("error", () => {}));
  await sleep(100);
  for (const socket of sockets.slice(0, 25)) {
    socket.write(randomBytes(200));
  }
  await sleep(200);
  assert.equal((await fetch(`${server.url}/version`)).status, 200);
  for (const socket of sockets) {
    socket.destroy();
  }
});

test("a client that does not read costs the server no memory, and has the newest state once it reads", { timeout: 120_000 }, async () => {
  const writes = 400;
  const relay = await pidListeningOn(server.port);
  const raw = await RawClient.connected();
  raw.send(modify(0, 1, [add(0, "messages:list", [{ channel: "slow" }])]));
  await raw.next("Transition");
  raw.messages.length = 0;
  raw.socket.pause();
  const other = bystander.subscribe("messages:list", { channel: "slow" });
  const before = await memoryOf(relay);
  for (let n = 1; n <= writes; n += 1) {
    // 50 of them are 1 MB: all transitions together would be 400 MB.
    await db.query("INSERT INTO messages(author, body, channel) VALUES ('psql', $1 || repeat('x', 20000), 'slow')", [`${n} `]);
  }
  const newest = `${writes} `;
  await other.becomes("is up to date", ([first]) => first?.body.startsWith(newest), { timeout: 30_000 });
  other.stop();
  const grown = (await memoryOf(relay)) - before;
  assert.ok(grown < 150 * 2 ** 20, `the relay grew by ${Math.round(grown / 2 ** 20)} MiB`);
  raw.socket.resume();
  await until("the newest state comes", () =>
    raw.messages.some(({ modifications }) => modifications?.some(({ value }) => value?.[0]?.body.startsWith(newest))),
  );
  const transitions = raw.messages.filter(({ type }) => type === "Transition");
  for (const [index, { startVersion }] of transitions.entries()) {
    assert.ok(index === 0 || startVersion.ts === transitions[index - 1].endVersion.ts, "versions follow each other");
  }
  assert.ok(transitions.length < writes / 2, `${transitions.length} transitions were sent`);
  raw.socket.terminate();
});

test("a client that sends a thousand subscriptions and leaves does not slow the others down", async () => {
  const raw = await RawClient.connected();
  raw.send(modify(0, 1, Array.from({ length: 1000 }, (_, n) => add(n, "messages:count", [{ channel: `c${n}` }]))));
  await sleep(50);
  raw.socket.terminate();
});

