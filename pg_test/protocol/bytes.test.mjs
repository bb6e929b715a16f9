// What no client sends: bytes by hand on a bare socket. Each connection ends, in time, and costs nothing afterwards.
import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { after, afterEach, before, describe, test } from "node:test";
import { LiveClient } from "../lib/clients.mjs";
import { relayMetrics } from "../lib/metrics.mjs";
import { memoryOf, pidListeningOn } from "../lib/processes.mjs";
import { random as generator } from "../lib/random.mjs";
import { Server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const OPENS = Number(process.env.PROTOCOL_OPENS ?? 2_000);
/** Opened at a time. */
const ABREAST = 100;

/** @type {Server} */ let server;
let bystander;
let watched;
let relay;

before(async () => {
  server = await Server.start({ ownRelay: true });
  relay = await pidListeningOn(server.relayPort);
  bystander = new LiveClient(server.url);
  watched = bystander.subscribe("messages:count", { channel: "bystander" });
  await watched.ready();
});

after(async () => {
  await bystander?.close();
  await server?.stop();
});

let writes = 0;
afterEach(async () => {
  writes += 1;
  await bystander.mutation("messages:send", { author: "b", body: "x", channel: "bystander" });
  await watched.becomes("goes on", (count) => count === Math.min(writes, 50));
  assert.equal(await pidListeningOn(server.relayPort), relay, "the relay is the same process");
});

/** A bare socket; `ended` is true once the relay has closed it. */
async function bare() {
  const socket = connect(server.relayPort, "127.0.0.1");
  socket.received = Buffer.alloc(0);
  socket.on("data", (data) => (socket.received = Buffer.concat([socket.received, data])));
  socket.on("error", () => {});
  socket.on("close", () => (socket.ended = true));
  await once(socket, "connect");
  return socket;
}

const upgrade = (path = "/api/1.48.0/sync", key = randomBytes(16).toString("base64")) =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`;

/** A socket after the WebSocket's handshake. */
async function opened() {
  const socket = await bare();
  socket.write(upgrade());
  await until("the handshake is answered", () => socket.received.includes("\r\n\r\n"));
  assert.match(socket.received.toString("latin1"), /^HTTP\/1.1 101 /);
  return socket;
}

/** A frame; `first` are its flags and code. */
function frame(first, payload, { masked = true, length } = {}) {
  const data = Buffer.from(payload);
  const said = length ?? BigInt(data.length);
  const head = [Buffer.from([first])];
  const mask = masked ? 0x80 : 0;
  if (said < 126n) {
    head.push(Buffer.from([mask | Number(said)]));
  } else if (said < 65536n) {
    head.push(Buffer.from([mask | 126, Number(said >> 8n), Number(said & 255n)]));
  } else {
    const long = Buffer.alloc(9);
    long[0] = mask | 127;
    long.writeBigUInt64BE(said, 1);
    head.push(long);
  }
  if (masked) {
    const key = randomBytes(4);
    head.push(key, data.map((byte, n) => byte ^ key[n % 4]));
  } else {
    head.push(data);
  }
  return Buffer.concat(head);
}

const text = (message) => frame(0x81, JSON.stringify(message));
const hello = () => text({ type: "Connect", sessionId: randomUUID(), connectionCount: 0, lastCloseReason: "InitialConnect", clientTs: 0 });

const closes = (socket) => until("the relay closes it", () => socket.ended, { timeout: 60_000 });

const hostile = {
  "a frame without a mask": [frame(0x81, "{}", { masked: false })],
  "reserved bits": [frame(0xf1, "{}")],
  "an unknown code": [frame(0x83, "{}")],
  "a continuation of nothing": [frame(0x80, "{}")],
  "a text within a message in parts": [frame(0x01, "{"), frame(0x81, "{}")],
  "a control frame in parts": [frame(0x09, "x")],
  "a ping of 126 bytes": [frame(0x89, "x".repeat(126))],
  "text that is not UTF-8": [frame(0x81, Buffer.from([0xc3, 0x28]))],
  "half a character at the end of a message in parts": [frame(0x01, '"'), frame(0x80, Buffer.from([0xe2, 0x82]))],
  "a close frame of one byte": [frame(0x88, "x")],
  "a close code that is none": [frame(0x88, Buffer.from([0, 5]))],
  "a length of 2^63": [frame(0x81, "", { length: 1n << 63n })],
  "a length of 2^62": [frame(0x81, "", { length: 1n << 62n })],
  "a message of 21 MiB": [frame(0x81, "x".repeat(21 * 2 ** 20))],
  "21 MiB in parts": Array.from({ length: 21 }, (_, n) => frame(n === 0 ? 0x01 : 0x00, "x".repeat(2 ** 20))),
  "bytes that are no frames": [randomBytes(4096)],
  "a binary message": [frame(0x82, "{}")],
  "JSON cut off": [frame(0x81, '{"type":"Connect","sessionId":"')],
  "a second handshake": [Buffer.from(upgrade())],
};

describe("hostile frames end their connection", () => {
  for (const [name, frames] of Object.entries(hostile)) {
    test(name, async () => {
      const socket = await opened();
      for (const bytes of frames) {
        socket.write(bytes);
      }
      await closes(socket);
    });
  }
});

describe("messages out of order, and numbers at their ends", () => {
  const add = (queryId) => ({ type: "Add", queryId, udfPath: "messages:count", args: [{}] });
  const modify = (baseVersion, modifications, newVersion = baseVersion + 1) => ({ type: "ModifyQuerySet", baseVersion, newVersion, modifications });
  const cases = {
    "a query set before Connect": [modify(0, [add(0)])],
    "Authenticate before Connect": [{ type: "Authenticate", tokenType: "None", baseVersion: 0 }],
    "a change of the query set that comes again": ["hello", modify(0, [add(0)]), modify(0, [add(1)])],
    "a change of the query set that is missing": ["hello", modify(0, [add(0)]), modify(2, [add(1)])],
    "a version beyond 32 bits": ["hello", modify(4_294_967_295, [], 4_294_967_296)],
    "a negative query id": ["hello", modify(0, [{ ...add(0), queryId: -1 }])],
    "a request id that is no number": ["hello", { type: "Mutation", requestId: "x", udfPath: "messages:send", args: [{}] }],
    "a timestamp of the wrong length": [{ type: "Connect", sessionId: randomUUID(), connectionCount: 0, lastCloseReason: null, maxObservedTimestamp: "AAAA", clientTs: 0 }],
  };
  for (const [name, messages] of Object.entries(cases)) {
    test(name, async () => {
      const socket = await opened();
      for (const message of messages) {
        socket.write(message === "hello" ? hello() : text(message));
      }
      await closes(socket);
      assert.ok(socket.received.includes("FatalError"), socket.received.toString("latin1").slice(-300));
    });
  }

  test("the greatest timestamp that a client can have seen is taken", async () => {
    const socket = await opened();
    socket.write(text({ type: "Connect", sessionId: randomUUID(), connectionCount: 7, lastCloseReason: "x", maxObservedTimestamp: "/////////38=", clientTs: 1 }));
    socket.write(text(modify(0, [add(0)])));
    await until("a transition comes", () => socket.received.includes('"Transition"'));
    socket.destroy();
  });

  test("a message in a hundred parts, with pings between them", async () => {
    const socket = await opened();
    socket.write(hello());
    const message = JSON.stringify(modify(0, [add(0)]));
    const size = Math.ceil(message.length / 100);
    for (let at = 0; at < message.length; at += size) {
      const last = at + size >= message.length;
      socket.write(frame((last ? 0x80 : 0) | (at === 0 ? 0x01 : 0x00), message.slice(at, at + size)));
      if (!last) socket.write(frame(0x89, "p"));
    }
    await until("a transition comes", () => socket.received.includes('"Transition"'));
    socket.destroy();
  });

  test("a thousand random changes of one byte of good messages", async () => {
    const random = generator(7);
    const good = [hello(), text(modify(0, [add(0), add(1)])), text({ type: "Mutation", requestId: 0, udfPath: "messages:send", args: [{ author: "a", body: "b" }] })];
    for (let round = 0; round < 20; round += 1) {
      const sockets = await Promise.all(Array.from({ length: 50 }, opened));
      for (const socket of sockets) {
        const bytes = Buffer.concat(good);
        bytes[Math.floor(random() * bytes.length)] ^= 1 + Math.floor(random() * 255);
        socket.end(bytes);
      }
      await Promise.all(sockets.map(closes));
    }
  });
});

describe("HTTP", () => {
  const answered = async (bytes) => {
    const socket = await bare();
    socket.write(bytes);
    await closes(socket);
    return socket.received.toString("latin1");
  };

  test("requests that are none are refused", async () => {
    for (const bytes of ["nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", randomBytes(512)]) {
      const answer = await answered(bytes);
      assert.ok(answer === "" || /^HTTP\/1.1 [45]/.test(answer), answer);
    }
  });

  test("heads that are too long, lengths that contradict", async () => {
    const long = await answered(`GET / HTTP/1.1\r\nHost: x\r\n${"X-A: b\r\n".repeat(200)}\r\n`);
    assert.match(long, /^HTTP\/1.1 431 /);
    const two = await answered("POST /api/query HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}");
    assert.match(two, /^HTTP\/1.1 400 /);
  });

  test("a body that is too long is refused before it is read", async () => {
    const socket = await bare();
    socket.write(`POST /api/query HTTP/1.1\r\nHost: x\r\nContent-Length: ${30 * 2 ** 20}\r\n\r\n`);
    await until("it is answered", () => socket.received.includes("RequestTooLarge"));
    assert.match(socket.received.toString("latin1"), /^HTTP\/1.1 413 /);
    socket.destroy();
  });

  test("upgrades that are wrong", async () => {
    for (const wrong of [upgrade().replace("13", "12"), upgrade().replace(/Sec-WebSocket-Key.*\r\n/, ""), upgrade().replace("GET", "POST")]) {
      const socket = await bare();
      socket.write(wrong);
      await until("it is refused", () => /^HTTP\/1.1 4\d\d /.test(socket.received.toString("latin1")));
      socket.destroy();
    }
  });

  test("errors have a code, a message and a number; CORS answers every origin", async () => {
    const wrong = await fetch(`${server.url}/api/query`, { method: "DELETE", headers: { origin: "https://app.example" } });
    assert.equal(wrong.status, 405);
    assert.equal((await wrong.json()).code, "MethodNotAllowed");
    assert.match(wrong.headers.get("x-request-id"), /^[0-9a-f]{16}$/);
    assert.equal(wrong.headers.get("access-control-allow-origin"), "https://app.example");
    const preflight = await fetch(`${server.url}/api/mutation`, {
      method: "OPTIONS",
      headers: { origin: "https://app.example", "access-control-request-method": "POST", "access-control-request-headers": "content-type,convex-client" },
    });
    assert.equal(preflight.headers.get("access-control-allow-credentials"), "true");
    assert.equal(preflight.headers.get("access-control-max-age"), "86400");
    assert.equal(preflight.headers.get("access-control-allow-headers"), "content-type,convex-client");
    assert.match(preflight.headers.get("access-control-allow-methods"), /PATCH/);
    const bad = await fetch(`${server.url}/api/query?format=json`);
    assert.deepEqual([bad.status, (await bad.json()).code], [400, "BadQueryParameters"]);
  });
});

test("slow-loris: who sends a head byte by byte, or nothing, is closed, and the others notice nothing", { timeout: 120_000 }, async () => {
  const head = Buffer.from(upgrade());
  const sockets = await Promise.all(Array.from({ length: 300 }, bare));
  let sent = 0;
  const dripping = setInterval(() => {
    for (const socket of sockets.slice(0, 200)) {
      if (!socket.ended) socket.write(head.subarray(sent, sent + 1));
    }
    sent += 1;
  }, 1_000);
  try {
    assert.equal((await fetch(`${server.url}/version`)).status, 200);
    await until("all are closed", () => sockets.every((socket) => socket.ended), { timeout: 90_000, every: 200 });
  } finally {
    clearInterval(dripping);
    sockets.forEach((socket) => socket.destroy());
  }
});

test(`${OPENS} opens and closes leave nothing behind`, { timeout: 3_600_000 }, async () => {
  const add = { type: "ModifyQuerySet", baseVersion: 0, newVersion: 1, modifications: [{ type: "Add", queryId: 0, udfPath: "messages:count", args: [{}] }] };
  const open = async (n) => {
    const socket = await opened();
    socket.write(hello());
    if (n % 4 === 0) {
      socket.write(text(add));
      await until("its query is shown", () => socket.received.includes('"Transition"'), { timeout: 60_000 });
    }
    // Some say good-bye, some do not, some are cut.
    if (n % 3 === 0) socket.end(frame(0x88, Buffer.from([3, 232])));
    else if (n % 3 === 1) socket.end();
    else socket.destroy();
    await closes(socket);
  };
  const round = async (opens) => {
    for (let done = 0; done < opens; done += ABREAST) {
      await Promise.all(Array.from({ length: ABREAST }, (_, n) => open(n)));
    }
    await until("their sessions are gone", async () => {
      const metrics = await relayMetrics(server.url);
      return metrics.pg_live_sessions === 1 && metrics.pg_live_subscriptions === 1;
    }, { timeout: 60_000 });
    return await memoryOf(relay);
  };
  const before = await round(Math.min(OPENS, 1_000));
  const grown = (await round(OPENS)) - before;
  assert.ok(grown < 24 * 2 ** 20, `the relay grew by ${Math.round(grown / 2 ** 20)} MiB over ${OPENS} connections`);
  const { rows } = await server.sql({ admin: true }).query("SELECT live.status() ->> 'live_queries' AS live");
  assert.ok(Number(rows[0].live) <= 2, `live queries in the database: ${rows[0].live}`);
});
