// One result for many clients: pg_live, the server built by hand, and the bare loops of npm `ws` and tokio-tungstenite, whose
// clients are the same program; then zero-cache with Zero's own clients, beside pg_live with as many.
import pg from "pg";
import { pidListeningOn } from "../../pg_test/lib/processes.mjs";
import { processCpu } from "../lib/cpu.mjs";
import { figure, ratio } from "../lib/format.mjs";
import { Broadcast, LoadClients, subscribe, syncUrl } from "../lib/load.mjs";
import { PeerServer } from "../lib/peer.mjs";
import { fill, forget, ours, startRival } from "../lib/rivals.mjs";
import { inTurns, median, spread } from "../lib/stats.mjs";

const SIZES = {
  full: { clients: [10, 100, 1_000, 5_000], rounds: 5, writes: 10, zeroClients: 100 },
  quick: { clients: [100], rounds: 3, writes: 5, zeroClients: 20 },
};
const TOPIC = "topic 1";
const BODY = "Someone wrote these hundred characters of text, as they do in a chat, and someone else is to see them.";
const INSERT = "INSERT INTO entries (topic, n, body) VALUES ($1, $2, $3)";
const LABELS = {
  live: "pg_live",
  requery: "trigger, NOTIFY, Node server",
  ws: "npm ws, bare loop",
  bare: "tokio-tungstenite, bare loop",
};

/** About as many bytes as pg_live sends of a write. */
const frame = (n) => JSON.stringify({ padding: "x".repeat(330), value: { body: BODY, n, topic: TOPIC } });

const numbers = (function* () {
  for (let n = Date.now() * 1000; ; n += 1) {
    yield n;
  }
})();

async function connect(url) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
}

/** Deliveries per second: each write waits until all show the one before. */
const arm = (expect, send, clients, writes) => async () => {
  const started = performance.now();
  for (let turn = 0; turn < writes; turn += 1) {
    const n = numbers.next().value;
    const shown = expect(n);
    shown.catch(() => {}); // Told below, after the write.
    await send(n);
    await shown;
  }
  return [(clients * writes * 1000) / (performance.now() - started)];
};

async function ratios(arms, rounds) {
  await inTurns(arms, 1); // Warm.
  const samples = await inTurns(arms, rounds);
  const rate = (name) => samples[name].map(([value]) => value);
  return Object.fromEntries(
    Object.keys(arms).map((name) => [
      name,
      { perSecond: median(rate(name)), liveTimes: spread(rate("live").map((value, round) => value / rate(name)[round])) },
    ]),
  );
}

async function sharing(clients, { rounds, writes }, places) {
  const first = { live: subscribe("feed:newest", { topic: TOPIC }), requery: [{ id: 0, query: "newest", args: { topic: TOPIC } }], ws: [], bare: [] };
  const bare = await Broadcast.start(clients);
  const urls = { live: syncUrl(places.live.url), requery: places.requery.url, ws: places.ws.url, bare: bare.url };
  const sends = {
    live: (n) => places.live.writer.query({ name: "write", text: INSERT, values: [TOPIC, n, BODY] }),
    requery: (n) => places.requery.writer.query({ name: "write", text: INSERT, values: [TOPIC, n, BODY] }),
    ws: async (n) => places.ws.process.send(frame(n)),
    bare: async (n) => bare.send(frame(n)),
  };
  const open = {};
  try {
    for (const name of Object.keys(urls)) {
      open[name] = await LoadClients.open(urls[name], clients, first[name]);
    }
    const arms = Object.fromEntries(
      Object.entries(open).map(([name, load]) => [name, arm((n) => load.expect(n), sends[name], clients, writes)]),
    );
    return await ratios(arms, rounds);
  } finally {
    Object.values(open).forEach((load) => load.stop());
    bare.stop();
  }
}

/** Sessions that all show the same topic; `expect(n)` resolves once all do. */
class Choir {
  #waiting;
  #shown = new Map();

  constructor(count) {
    this.count = count;
  }

  show(session, n) {
    this.#shown.set(session, n);
    const waiting = this.#waiting;
    if (waiting !== undefined && n === waiting.n) {
      waiting.missing.delete(session);
      if (waiting.missing.size === 0) {
        waiting.resolve();
      }
    }
  }

  expect(n) {
    return new Promise((resolve) => (this.#waiting = { n, missing: new Set(this.#shown.keys()), resolve }));
  }
}

async function besideZero(server, size, live) {
  const { RemoteClients } = await import("../lib/remote.mjs");
  const { SyncClient } = await import("../lib/sync-client.mjs");
  const rival = await startRival("zero", server);
  const writers = [await connect(live.databaseUrl), await connect(rival.databaseUrl)];
  const choirs = { live: new Choir(size.zeroClients), zero: new Choir(size.zeroClients) };
  const sessions = Array.from({ length: size.zeroClients }, () => [TOPIC]);
  const failed = (error) => console.error(`peers-fanout: ${error.message}`);
  const remote = await RemoteClients.open("zero-cache", rival.url, sessions, (_, value, __, session) => choirs.zero.show(session, value.n), failed);
  const own = sessions.map((_, session) =>
    new SyncClient(server.url, [{ path: "feed:newest", args: { topic: TOPIC } }], { onValue: (__, value) => choirs.live.show(session, value.n), onError: failed }));
  try {
    await Promise.all(own.map((client) => client.ready()));
    const send = (writer) => (n) => writer.query({ name: "write", text: INSERT, values: [TOPIC, n, BODY] });
    const arms = {
      live: arm((n) => choirs.live.expect(n), send(writers[0]), size.zeroClients, size.writes),
      zero: arm((n) => choirs.zero.expect(n), send(writers[1]), size.zeroClients, size.writes),
    };
    return await ratios(arms, size.rounds);
  } finally {
    remote.close();
    own.forEach((client) => client.close());
    await Promise.all(writers.map((writer) => writer.end()));
    rival.stop();
  }
}

export async function measure({ server, say, quick }) {
  const size = quick ? SIZES.quick : SIZES.full;
  await server.configure("wal_level = logical");
  await server.killRelay().catch(() => {}); // Its connections were cut with the server.
  await server.startRelay();
  await fill(server.env.DATABASE_URL);
  const relay = await pidListeningOn(server.relayPort);
  const live = ours(server, relay);
  const requery = await startRival("requery", server);
  const ws = await PeerServer.start("ws-broadcast", "");
  const places = {
    live: { url: server.url, writer: await connect(live.databaseUrl) },
    requery: { url: `ws://${new URL(requery.serverUrl).host}/`, writer: await connect(requery.databaseUrl) },
    ws: { url: `${ws.url}/`, process: ws.process },
  };
  const figures = {};
  let [zero, zeroFailed] = [];
  const cpu = await processCpu(relay);
  try {
    for (const clients of size.clients) {
      say(`peers-fanout: ${clients} clients`);
      figures[clients] = await sharing(clients, size, places);
    }
    requery.stop();
    say(`peers-fanout: zero-cache, ${size.zeroClients} clients`);
    zero = await besideZero(server, size, live).catch((error) => {
      zeroFailed = error.message;
      say(`peers-fanout: zero-cache failed: ${error.message}`);
    });
  } finally {
    await Promise.all([places.live.writer.end(), places.requery.writer.end()]);
    requery.stop();
    ws.stop();
    await forget(server.sql({ admin: true, max: 1 }), "rival_zero").catch(() => {});
  }
  const rows = Object.entries(figures).flatMap(([clients, of]) =>
    Object.entries(of).map(([name, { perSecond, liveTimes }], n) => [
      n === 0 ? `${Number(clients).toLocaleString("en")} clients: ${LABELS[name]}` : LABELS[name], figure(perSecond), name === "live" ? "1" : ratio(liveTimes)]),
  );
  const series = Object.keys(LABELS).map((name) => ({ name: LABELS[name], points: Object.entries(figures).map(([clients, of]) => [Number(clients), of[name].perSecond]) }));
  const tables = [{
    title: "One live query that all clients share",
    columns: ["", "deliveries per second", "pg_live is times as fast"],
    rows,
    note:
      `${size.rounds} rounds of ${size.writes} writes per side, in turns; each write waits until all clients show the one before. The clients are one ` +
      "program in Rust. The bare loops send a text of about as many bytes, without a commit and a query: npm ws frames it once for all. " +
      `The relay used ${figure(((await processCpu(relay)) - cpu) / 1000)} s of a core in all.`,
  }];
  if (zero !== undefined) {
    tables.push({
      title: `The same with ${size.zeroClients} clients in Node, beside zero-cache`,
      columns: ["", "deliveries per second", "pg_live is times as fast"],
      rows: [["pg_live, simple clients", figure(zero.live.perSecond), "1"], ["zero-cache 1.9.0, Zero's clients", figure(zero.zero.perSecond), ratio(zero.zero.liveTimes)]],
      note: "Zero's clients keep a database of their own each and run in one process; that is a part of what is measured, and the machine's cores are shared.",
    });
  }
  return {
    figures: { ...figures, zero, zeroFailed },
    plots: [{ title: "One live query that all clients share", x: { label: "clients" }, y: { label: "deliveries per second", log: true }, series }],
    tables,
  };
}
