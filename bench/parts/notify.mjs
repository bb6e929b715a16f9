// From COMMIT to the notification of whoever follows a live query, beside a writer that notifies by itself; and what
// 16 writers get done with 100 sessions that listen.
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { sleep, until, within } from "../../pg_test/lib/wait.mjs";
import { figure, ratio } from "../lib/format.mjs";
import { layOut, openLive } from "../lib/sides.mjs";
import { inTurns, median, ratioOfRounds, spread, summarize } from "../lib/stats.mjs";

const SIZES = {
  full: { rounds: 15, writes: 100, throughputRounds: 5, seconds: 5 },
  quick: { rounds: 5, writes: 30, throughputRounds: 3, seconds: 1 },
};
const WRITERS = 16;
const LISTENERS = 100;
const OWNER = 77;
const BODY = "Someone wrote these hundred characters of text, as they do in a chat, and someone else is to see them.";

const execute = promisify(execFile);

/** How writes of the captured table are captured. */
const MODES = process.env.BENCH_CAPTURE?.split(",") ?? ["trigger", "wal"];
/** What the contract allows, times a writer's own NOTIFY. */
const BOUNDS = { trigger: 1.5, wal: 3 };

const connect = async (connectionString) => {
  const client = new pg.Client({ connectionString });
  await client.connect();
  return client;
};

/** Sends COMMIT; milliseconds until the notification, and from COMMIT's return to it (less than 0: it came before). */
async function timeCommit(writer, listener, isIt) {
  const arrival = (async () => {
    for (;;) {
      const [message] = await once(listener, "notification");
      if (isIt(message)) {
        return performance.now();
      }
    }
  })();
  const started = performance.now();
  await writer.query("COMMIT");
  const returned = performance.now();
  const arrived = await within("a notification", arrival, 10_000);
  return { total: arrived - started, after: arrived - returned };
}

/** A live query that is registered anew before each write, by a session as a relay's, and one that listens for it. */
export async function openCaptured(urls) {
  const [writer, reader, listener] = await Promise.all([connect(urls.app), connect(urls.relay), connect(urls.relay)]);
  await reader.query("SELECT live.prepare_connection()");
  await listener.query("LISTEN pg_live");
  await until("the worker is up", async () => Number((await listener.query("SELECT live.attach($1) AS boot", [OWNER])).rows[0].boot) > 0);
  let n = 0;
  return {
    async write() {
      n += 1;
      await reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
      const { rows } = await reader.query(
        "SELECT registered FROM live.run_query('feed:newest', $1, NULL, $2, 1, $3)",
        [JSON.stringify({ topic: "topic 1" }), OWNER, n],
      );
      await reader.query("COMMIT");
      if (!rows[0].registered) {
        throw new Error("the live query was not registered");
      }
      await writer.query("BEGIN");
      await writer.query("INSERT INTO entries (topic, n, body) VALUES ('topic 1', $1, $2)", [n, BODY]);
      await sleep(3); // The worker has taken the registration and sleeps.
      return await timeCommit(writer, listener, ({ payload }) => payload.startsWith(`${OWNER} `));
    },
    close: () => Promise.all([writer, reader, listener].map((client) => client.end())),
  };
}

/** The same table without capture, in the same database; the writer notifies. */
export async function openOwn(urls) {
  const [writer, listener] = await Promise.all([connect(urls.app), connect(urls.app)]);
  await listener.query("LISTEN own");
  let n = 0;
  return {
    async write() {
      n += 1;
      await writer.query("BEGIN");
      await writer.query("INSERT INTO plain (topic, n, body) VALUES ('topic 1', $1, $2)", [n, BODY]);
      await writer.query("SELECT pg_notify('own', $1)", [`${n}`]);
      await sleep(3);
      return await timeCommit(writer, listener, ({ payload }) => payload === `${n}`);
    },
    close: () => Promise.all([writer, listener].map((client) => client.end())),
  };
}

export const armOf = (side, writes) => async () => {
  const samples = [];
  for (let n = 0; n < writes; n += 1) {
    samples.push(await side.write());
  }
  return samples;
};

async function measureLatency(urls, size) {
  const sides = { captured: await openCaptured(urls), own: await openOwn(urls) };
  try {
    const arms = Object.fromEntries(Object.entries(sides).map(([name, side]) => [name, armOf(side, size.writes)]));
    await inTurns(arms, 1); // Warm.
    const rounds = await inTurns(arms, size.rounds);
    const field = (name, what) => rounds[name].map((samples) => samples.map((sample) => sample[what]));
    const of = (name) => ({ total: summarize(field(name, "total").flat()), after: summarize(field(name, "after").flat()) });
    return {
      captured: of("captured"),
      own: of("own"),
      timesOwn: ratioOfRounds(field("captured", "total"), field("own", "total")),
      afterLaterBy: spread(field("captured", "after").map((samples, n) => median(samples) - median(field("own", "after")[n]))),
    };
  } finally {
    await Promise.all(Object.values(sides).map((side) => side.close()));
  }
}

/** Transactions per second of 16 writers with a script of pgbench's. */
async function throughput(url, folder, script, seconds) {
  const file = join(folder, "script.sql");
  await writeFile(file, script);
  const pgbench = join((await execute(process.env.PGRX_PG_CONFIG_PATH ?? "pg_config", ["--bindir"])).stdout.trim(), "pgbench");
  const { stdout } = await execute(pgbench, ["-n", "-M", "prepared", "-c", WRITERS, "-j", "2", "-T", seconds, "-f", file, url].map(String));
  return Number(/^tps = ([\d.]+)/m.exec(stdout)[1]);
}

/** Writers of a captured table with one live query of it, and writers that notify; 100 other sessions listen. */
async function measureThroughput(server, urls, size) {
  const folder = await mkdtemp(join(tmpdir(), "pg-live-bench-"));
  const listeners = await Promise.all(Array.from({ length: LISTENERS }, () => connect(urls.app)));
  const live = await openLive({ url: server.url, databaseUrl: urls.app, layout: layOut(1, 1) });
  const insert = (table) => `INSERT INTO ${table} (topic, n, body) VALUES ('topic 0', 1, '${BODY}')`;
  try {
    await Promise.all(listeners.map((listener) => listener.query("LISTEN idle")));
    const arms = {
      captured: () => throughput(urls.app, folder, `${insert("entries")};\n`, size.seconds),
      own: () =>
        throughput(urls.app, folder, `WITH w AS (${insert("plain")} RETURNING n) SELECT pg_notify('own', n::text) FROM w;\n`, size.seconds),
    };
    const rounds = await inTurns(arms, size.throughputRounds);
    return {
      captured: median(rounds.captured),
      own: median(rounds.own),
      timesOwn: spread(rounds.captured.map((tps, round) => tps / rounds.own[round])),
    };
  } finally {
    await live.close();
    await Promise.all(listeners.map((listener) => listener.end()));
    await rm(folder, { recursive: true });
  }
}

function latencyTable(mode, { captured, own, timesOwn, afterLaterBy }, size) {
  const row = (label, { total, after }, ...rest) => [label, ...[total.p50, total.p99, after.p50, after.p99].map(figure), ...rest];
  return {
    title: `Commit to notification, capture by ${mode}`,
    columns: ["ms", "COMMIT sent to notification p50", "p99", "COMMIT's return to notification p50", "p99", "times own NOTIFY", "later after the return by"],
    rows: [row("pg_live", captured, ratio(timesOwn), ratio(afterLaterBy)), row("the writer's own NOTIFY", own, "1", "0")],
    note:
      `synchronous_commit = on; ${size.rounds} rounds of ${size.writes} commits per side, in turns. At most ${BOUNDS[mode] ?? "?"} times, ` +
      "and at most 0.3 ms later after the return.",
  };
}

function throughputTable(mode, { captured, own, timesOwn }, size) {
  return {
    title: `${WRITERS} writers and ${LISTENERS} sessions that listen, capture by ${mode}`,
    columns: ["", "transactions per second", "times own NOTIFY"],
    rows: [
      ["captured, one live query of the table", figure(captured), ratio(timesOwn)],
      ["writers that NOTIFY", figure(own), "1"],
    ],
    note: `One INSERT per transaction by pgbench, fsync and synchronous_commit on; ${size.throughputRounds} rounds of ${size.seconds} s, in turns. At least 5 times.`,
  };
}

/** Measures both with one server, once for each way of capture. */
export async function measure({ server, say, quick }) {
  const size = quick ? SIZES.quick : SIZES.full;
  await server.configure("wal_level = logical");
  const admin = server.sql({ admin: true, max: 1 });
  const urls = { app: server.env.DATABASE_URL, relay: server.env.PG_LIVE_RELAY_URL };
  await server.sql({ max: 1 }).query("CREATE TABLE plain (topic text, n float8, body text)");
  const [figures, tables] = [{}, []];
  for (const mode of MODES) {
    await admin.query("SELECT live.set_capture('entries', $1)", [mode]);
    say(`notify: latency, ${mode}`);
    const latency = await measureLatency(urls, size);
    say(`notify: throughput, ${mode}`);
    const writers = await measureThroughput(server, urls, size);
    figures[mode] = { latency, writers };
    tables.push(latencyTable(mode, latency, size), throughputTable(mode, writers, size));
  }
  return { figures, tables };
}
