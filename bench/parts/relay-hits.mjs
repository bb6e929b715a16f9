// 1,000 live queries in 1,000 sessions: one write hits one of them, one commit hits all of them. Beside a Node server
// that runs the queries of the written keys again, one that runs all queries of the table again, and the floor.
import pg from "pg";
import { relayMetrics } from "../../pg_test/lib/metrics.mjs";
import { sleep, within } from "../../pg_test/lib/wait.mjs";
import { figure, ratio } from "../lib/format.mjs";
import { makePeerDatabase, PeerClient, PeerServer } from "../lib/peer.mjs";
import { layOut, openFloor, openLive, openRequery } from "../lib/sides.mjs";
import { inTurns, percentile, ratioOfRounds, spread, summarize } from "../lib/stats.mjs";
import { SyncClient } from "../lib/sync-client.mjs";

const SESSIONS = 1_000;
const SIZES = {
  full: { rounds: 10, writes: 30, tableWrites: 5, storms: 5, stormRounds: 5 },
  quick: { rounds: 3, writes: 10, tableWrites: 2, storms: 2, stormRounds: 3 },
};
/** Prime, so that the writes visit every topic before they visit one again. */
const STRIDE = 379;
const BODY = "Someone wrote these hundred characters of text, as they do in a chat, and someone else is to see them.";
const LABELS = {
  live: "pg_live",
  keys: "Node: re-runs the written keys",
  table: "Node: re-runs the table's queries",
  floor: "floor",
};
const TARGETS = {
  one: "p50 at most 1.5 times the floor, 1.0 times the keys' server, 0.1 times the table's server",
  all: "p99 at most 500 ms, and 0.25 times the keys' server",
};

async function fill(databaseUrl) {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(
    "INSERT INTO entries (topic, n, body) SELECT 'topic ' || topic, n, $2 FROM generate_series(0, $1::int - 1) AS topic, generate_series(1, 10) AS n",
    [SESSIONS, BODY],
  );
  await client.query("VACUUM ANALYZE entries");
  await client.end();
}

function* entries() {
  const start = Date.now() * 1000; // Later than every earlier run.
  for (let n = 1; ; n += 1) {
    yield { topic: `topic ${(n * STRIDE) % SESSIONS}`, n: start + n, body: `${n} ${BODY}` };
  }
}

/** A round of single writes: milliseconds from sending each to its arrival. */
const single = (side, numbers, writes) => async () => {
  const samples = [];
  for (let n = 0; n < writes; n += 1) {
    const entry = numbers.next().value;
    const shown = side.board.expect(entry);
    shown.catch(() => {}); // Told below, after the write.
    const started = performance.now();
    await side.write(entry);
    samples.push((await shown) - started);
    await sleep(2);
  }
  return samples;
};

async function oneHit(places, size) {
  const layout = layOut(SESSIONS, 1);
  const sides = {
    live: await openLive({ ...places.live, layout }),
    keys: await openRequery({ ...places.keys, layout }),
    table: await openRequery({ ...places.table, layout }),
    floor: await openFloor(places.floor),
  };
  try {
    const numbers = entries();
    const writes = (name) => (name === "table" ? size.tableWrites : size.writes);
    const arms = Object.fromEntries(
      Object.entries(sides).map(([name, side]) => [name, single(side, numbers, writes(name))]),
    );
    await inTurns(arms, 1); // Warm.
    const samples = await inTurns(arms, size.rounds);
    await sides.live.check(layout.flat());
    return Object.fromEntries(
      Object.keys(sides).map((name) => [
        name,
        { ms: summarize(samples[name].flat()), liveTimes: ratioOfRounds(samples.live, samples[name]) },
      ]),
    );
  } finally {
    await Promise.all(Object.values(sides).map((side) => side.close()));
  }
}

/** Clients that all wait for the same number. */
class Crowd {
  #clients = [];
  #n;
  #missing;
  #arrivals;
  #done;
  #shown = new Map();

  static async open(make) {
    const crowd = new Crowd();
    for (let start = 0; start < SESSIONS; start += 20) {
      const some = Array.from({ length: 20 }, (_, index) => {
        const topic = `topic ${start + index}`;
        const onValue = (_, value) => crowd.#show(topic, value);
        return make(topic, { onValue, onError: (error) => crowd.#done?.reject(error) });
      });
      crowd.#clients.push(...some);
      await Promise.all(some.map((client) => client.ready()));
    }
    return crowd;
  }

  /** Resolves to the moments at which each was given `n`. */
  expect(n) {
    this.#n = n;
    this.#missing = SESSIONS;
    this.#arrivals = [];
    const all = new Promise((resolve, reject) => (this.#done = { resolve, reject }));
    return within(`all to show ${n}`, all, 60_000);
  }

  close() {
    this.#clients.forEach((client) => client.close());
  }

  #show(topic, value) {
    if (value?.topic !== topic) {
      this.#done?.reject(new Error(`${topic} was given ${JSON.stringify(value)}`));
      return;
    }
    if (value.n === this.#n && this.#shown.get(topic) !== this.#n) {
      this.#arrivals.push(performance.now());
      this.#missing -= 1;
      if (this.#missing === 0) {
        this.#done.resolve(this.#arrivals);
      }
    }
    this.#shown.set(topic, value.n);
  }
}

async function allHit(places, size) {
  const text =
    "INSERT INTO entries (topic, n, body) SELECT 'topic ' || topic, $2, $3 FROM generate_series(0, $1::int - 1) AS topic";
  const crowds = {
    live: await Crowd.open((topic, handlers) => new SyncClient(places.live.url, [{ path: "feed:newest", args: { topic } }], handlers)),
    keys: await Crowd.open((topic, handlers) => new PeerClient(places.keys.url, [{ query: "newest", args: { topic } }], handlers)),
  };
  const writers = {};
  try {
    let n = Date.now() * 1000;
    const arms = {};
    for (const [name, crowd] of Object.entries(crowds)) {
      const writer = new pg.Client({ connectionString: places[name].databaseUrl });
      await writer.connect();
      writers[name] = writer;
      arms[name] = async () => {
        const samples = [];
        for (let storm = 0; storm < size.storms; storm += 1) {
          n += 1;
          const shown = crowd.expect(n);
          shown.catch(() => {}); // Told below, after the write.
          const started = performance.now();
          await writer.query({ name: "all", text, values: [SESSIONS, n, BODY] });
          samples.push(...(await shown).map((at) => at - started));
          await sleep(100);
        }
        return samples;
      };
    }
    await inTurns(arms, 1); // Warm.
    const before = await relayMetrics(places.live.url);
    const samples = await inTurns(arms, size.stormRounds);
    const after = await relayMetrics(places.live.url);
    const p99 = (name) => samples[name].map((round) => percentile(round, 0.99));
    const of = (name) => ({ ms: summarize(samples[name].flat()) });
    return {
      live: of("live"),
      keys: of("keys"),
      p99Times: spread(p99("live").map((value, round) => value / p99("keys")[round])),
      executionsPerCommit:
        (after.pg_live_executions_total - before.pg_live_executions_total) / (size.storms * size.stormRounds),
    };
  } finally {
    Object.values(crowds).forEach((crowd) => crowd.close());
    await Promise.all(Object.values(writers).map((writer) => writer.end()));
  }
}

export async function measure({ server, say, quick }) {
  const size = quick ? SIZES.quick : SIZES.full;
  const peersUrl = await makePeerDatabase(server);
  // Else this server would have work with the other's writes.
  const tableUrl = await makePeerDatabase(server, "peers_table");
  for (const url of [server.env.DATABASE_URL, peersUrl, tableUrl]) {
    await fill(url);
  }
  const keys = await PeerServer.start("node-requery", peersUrl);
  const table = await PeerServer.start("node-requery", tableUrl, { RERUN: "table" });
  const floor = await PeerServer.start("floor", peersUrl);
  const places = {
    live: { url: server.url, databaseUrl: server.env.DATABASE_URL },
    keys: { url: keys.url, databaseUrl: peersUrl },
    table: { url: table.url, databaseUrl: tableUrl },
    floor: { url: floor.url, databaseUrl: peersUrl },
  };
  try {
    say("relay-hits: one write hits one of 1,000");
    const one = await oneHit(places, size);
    table.stop();
    say("relay-hits: one commit hits all 1,000");
    const all = await allHit(places, size);
    const tables = [
      {
        title: "1,000 live queries, a write hits one",
        columns: ["ms from the write to the client", "p50", "p99", "pg_live takes times"],
        rows: Object.entries(one).map(([name, { ms, liveTimes }]) => [
          LABELS[name],
          figure(ms.p50),
          figure(ms.p99),
          name === "live" ? "1" : ratio(liveTimes),
        ]),
        note: `Every result is checked. Each Node server has a database of its own. Target: ${TARGETS.one}.`,
      },
      {
        title: "1,000 live queries, one commit hits all",
        columns: ["ms from the write to the client", "p50", "p99", "last"],
        rows: ["live", "keys"].map((name) => [LABELS[name], ...["p50", "p99", "max"].map((key) => figure(all[name].ms[key]))]),
        note:
          `pg_live's p99 is ${ratio(all.p99Times)} times that of the Node server; it ran ${figure(all.executionsPerCommit)} queries per commit. ` +
          `Target: ${TARGETS.all}.`,
      },
    ];
    return { figures: { one, all }, targets: TARGETS, tables };
  } finally {
    keys.stop();
    table.stop();
    floor.stop();
  }
}
