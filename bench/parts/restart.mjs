// How long clients show old results after something was killed: the relay, all of Postgres, and the server built by hand.
import pg from "pg";
import { killAndWait } from "../../pg_test/lib/processes.mjs";
import { sleep, within } from "../../pg_test/lib/wait.mjs";
import { figure } from "../lib/format.mjs";
import { makePeerDatabase, PeerClient, PeerServer } from "../lib/peer.mjs";
import { percentile } from "../lib/stats.mjs";
import { SyncClient } from "../lib/sync-client.mjs";

const SIZES = { full: { sessions: 200, rounds: 7 }, quick: { sessions: 50, rounds: 2 } };
const RETRY_MS = 50;
const PATIENCE_MS = 120_000;
const TEXT = "INSERT INTO entries (topic, n, body) SELECT 'topic ' || topic, $2, 'text' FROM generate_series(0, $1::int - 1) AS topic";

/** A client that comes back by itself, again and again. */
class Returning {
  value;
  #make;
  #stopped = false;

  constructor(make, onValue) {
    this.#make = make;
    this.onValue = onValue;
    this.#connect();
  }

  stop() {
    this.#stopped = true;
    this.client.close();
  }

  #connect() {
    let isOver = false;
    const retry = () => {
      if (!isOver && !this.#stopped) {
        isOver = true;
        this.client?.close();
        setTimeout(() => this.#stopped || this.#connect(), RETRY_MS);
      }
    };
    this.client = this.#make({
      onValue: (_, value) => {
        this.value = value?.n;
        this.onValue();
      },
      onError: retry,
    });
  }
}

class Crowd {
  #waiting;

  constructor(count, make) {
    this.clients = Array.from({ length: count }, (_, n) => new Returning((handlers) => make(`topic ${n}`, handlers), () => this.#look()));
  }

  /** Resolves to the moments at which each showed `n`. */
  shows(n) {
    const all = new Promise((resolve) => (this.#waiting = { n, at: new Map(), resolve }));
    this.#look();
    return within(`all clients to show ${n}`, all, PATIENCE_MS);
  }

  stop() {
    this.clients.forEach((client) => client.stop());
  }

  #look() {
    const waiting = this.#waiting;
    if (waiting === undefined) {
      return;
    }
    this.clients.forEach(({ value }, index) => {
      if (value === waiting.n && !waiting.at.has(index)) {
        waiting.at.set(index, performance.now());
      }
    });
    if (waiting.at.size === this.clients.length) {
      waiting.resolve([...waiting.at.values()]);
    }
  }
}

/** A write by a new connection, until the database takes it. */
async function write(url, count, n) {
  for (const started = performance.now(); ; await sleep(20)) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
    client.on("error", () => {});
    try {
      await client.connect();
      await client.query(TEXT, [count, n]);
      return;
    } catch (error) {
      if (performance.now() - started > PATIENCE_MS) {
        throw error;
      }
    } finally {
      await client.end().catch(() => {});
    }
  }
}

/** Kills, writes meanwhile, and waits until everyone shows what was written: milliseconds since the kill, of each client. */
async function run({ crowd, url, kill, start }, { sessions, rounds }) {
  let n = Date.now() * 1000;
  await write(url, sessions, n);
  await crowd.shows(n);
  const samples = [];
  for (let round = 0; round < rounds; round += 1) {
    n += 1;
    const begun = performance.now();
    await kill();
    const [shown] = await Promise.all([crowd.shows(n), write(url, sessions, n), start?.()]);
    samples.push(...shown.map((at) => at - begun));
    await sleep(1_000);
  }
  return { p50: percentile(samples, 0.5), p99: percentile(samples, 0.99), max: percentile(samples, 1) };
}

export async function measure({ server, say, quick }) {
  const size = quick ? SIZES.quick : SIZES.full;
  const peersUrl = await makePeerDatabase(server);
  let peer = await PeerServer.start("node-requery", peersUrl);
  const live = (topic, handlers) => new SyncClient(server.url, [{ path: "feed:newest", args: { topic } }], handlers);
  const requery = (topic, handlers) => new PeerClient(peer.url, [{ query: "newest", args: { topic } }], handlers);
  const cases = {
    relay: {
      label: "pg_live: kill -9 of the relay, started again",
      make: live,
      url: server.env.DATABASE_URL,
      kill: () => server.killRelay(),
      start: () => server.startRelay(),
    },
    peer: {
      label: "trigger + NOTIFY + re-query in Node: kill -9, started again",
      make: requery,
      url: peersUrl,
      kill: () => killAndWait(peer.process.pid, "SIGKILL"),
      start: async () => (peer = await PeerServer.start("node-requery", peersUrl)),
    },
    postgres: {
      label: "pg_live: kill -9 of Postgres, which recovers",
      make: live,
      url: server.env.DATABASE_URL,
      kill: () => server.endPostgres("SIGKILL"),
    },
  };
  const figures = {};
  try {
    for (const [name, one] of Object.entries(cases)) {
      say(`restart: ${one.label}`);
      const crowd = new Crowd(size.sessions, one.make);
      try {
        figures[name] = await run({ ...one, crowd }, size);
      } finally {
        crowd.stop();
      }
    }
  } finally {
    peer.stop();
  }
  return {
    figures,
    tables: [{
      title: `${size.sessions} clients with a live query each, and a kill`,
      columns: ["ms from the kill until a client shows what was written meanwhile", "p50", "p99", "last"],
      rows: Object.entries(figures).map(([name, { p50, p99, max }]) => [cases[name].label, ...[p50, p99, max].map(figure)]),
      note:
        `${size.rounds} kills each, with the start of the process. Clients try again each ${RETRY_MS} ms, so these are times of the servers; the client ` +
        "of npm convex waits longer between its tries. What Postgres needs for its recovery depends on what was written before.",
    }],
  };
}
