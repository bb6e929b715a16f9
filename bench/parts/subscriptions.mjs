// What more and more live queries cost: registering one, the worker's memory, and the time from COMMIT to the notification of
// the one that is hit, beside a writer that notifies by itself.
import pg from "pg";
import { privateMemory } from "../lib/cpu.mjs";
import { figure, ratio } from "../lib/format.mjs";
import { inTurns, median, ratioOfRounds, summarize } from "../lib/stats.mjs";
import { armOf, openCaptured, openOwn } from "./notify.mjs";

const SIZES = {
  full: { counts: [10, 100, 1_000, 10_000, 100_000, 1_000_000], rounds: 9, writes: 40, patienceMs: 300_000 },
  quick: { counts: [10, 100, 1_000, 10_000], rounds: 3, writes: 15, patienceMs: 60_000 },
};
const OWNER = 4711;
/** Live queries that one statement registers. */
const CHUNK = 1_000;
/** Before what could not be registered is registered again, in milliseconds: the worker has not kept up. */
const PAUSE_MS = 20;
/** As many any machine must manage. */
const EXPECTED = 10_000;

/**
 * Registers live queries on topics that nobody writes, from `from` on, as a relay does: what finds no room in the log is run
 * again. At the end the time that one took, in microseconds.
 */
async function register(client, from, to, patienceMs) {
  const started = performance.now();
  for (let at = from; at < to; at += CHUNK) {
    const last = Math.min(at + CHUNK, to);
    for (let left = Array.from({ length: last - at }, (_, n) => at + n); left.length > 0; ) {
      await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
      const { rows } = await client.query(
        `SELECT sub FROM unnest($1::int[]) AS sub,
            live.run_query('feed:newest', json_build_object('topic', 'quiet ' || sub)::text, NULL, ${OWNER}, sub + 1, 1)
            WHERE NOT coalesce(registered, false)`,
        [left],
      );
      await client.query("COMMIT");
      left = rows.map(({ sub }) => sub);
      // What the whole would take is known early.
      const whole = ((performance.now() - started) * (to - from)) / (last - from);
      if (whole > patienceMs) {
        throw new Error(`registering them would take ${Math.round(whole / 1000)} s`);
      }
      if (left.length > 0) {
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }
  return ((performance.now() - started) * 1000) / (to - from);
}

async function whenTaken(client, count) {
  for (let tries = 0; tries < 3_000; tries += 1) {
    const { rows } = await client.query("SELECT (live.status()->>'live_queries')::int AS taken");
    if (rows[0].taken >= count) {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`the worker has not taken ${count} live queries`);
}

async function workerMemory(client) {
  const { rows } = await client.query(
    "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_live worker' AND datname = current_database()",
  );
  return privateMemory(rows[0].pid);
}

export async function measure({ server, say, quick }) {
  const size = quick ? SIZES.quick : SIZES.full;
  const urls = { app: server.env.DATABASE_URL, relay: server.env.PG_LIVE_RELAY_URL };
  const client = new pg.Client({ connectionString: server.env.PG_LIVE_ADMIN_URL });
  await client.connect();
  await server.sql({ max: 1 }).query("CREATE TABLE plain (topic text, n float8, body text)");
  await client.query("SELECT live.prepare_connection()");
  await client.query("SET pg_live.share_contexts = on");
  const sides = { captured: await openCaptured(urls), own: await openOwn(urls) };
  const figures = {};
  let left;
  try {
    await client.query(`SELECT live.attach(${OWNER})`);
    const empty = await workerMemory(client);
    let registered = 0;
    for (const count of size.counts) {
      say(`subscriptions: ${count} live queries`);
      let microseconds;
      try {
        microseconds = await register(client, registered, count, size.patienceMs);
        await whenTaken(client, count);
      } catch (error) {
        if (count <= EXPECTED) {
          throw error;
        }
        left = `${count.toLocaleString("en")} were left out: ${error.message}.`;
        break;
      }
      registered = count;
      const arms = Object.fromEntries(Object.entries(sides).map(([name, side]) => [name, armOf(side, size.writes)]));
      await inTurns(arms, 1); // Warm.
      const rounds = await inTurns(arms, size.rounds);
      const total = (name) => rounds[name].map((samples) => samples.map((sample) => sample.total));
      await whenTaken(client, count); // None of them was hit.
      const kib = (await workerMemory(client)) - empty;
      figures[count] = {
        registeredMicroseconds: microseconds,
        captured: summarize(total("captured").flat()),
        own: summarize(total("own").flat()),
        timesOwn: ratioOfRounds(total("captured"), total("own")),
        bytesPerLiveQuery: (kib * 1024) / count,
      };
    }
  } finally {
    await Promise.all(Object.values(sides).map((side) => side.close()));
    await client.end();
  }
  const counts = Object.keys(figures).map(Number);
  const points = (value) => counts.map((count) => [count, ...value(figures[count])]);
  if (figures[10_000] !== undefined) {
    figures.timesFew = figures[10_000].timesOwn.median / figures[100].timesOwn.median;
  }
  const rows = counts.map((count) => {
    const it = figures[count];
    return [count.toLocaleString("en"), figure(it.captured.p50), figure(it.captured.p99), figure(it.own.p50), ratio(it.timesOwn), figure(it.registeredMicroseconds), count < 1_000 ? "" : figure(it.bytesPerLiveQuery)];
  });
  return {
    figures,
    plots: [
      {
        title: "COMMIT to notification by the number of live queries",
        x: { label: "live queries" },
        y: { label: "ms, p50" },
        series: [
          { name: "a live query of pg_live", points: points((it) => [it.captured.p50]) },
          { name: "a writer's own NOTIFY", points: points((it) => [it.own.p50]) },
        ],
      },
      {
        title: "Registering a live query, its first run included",
        x: { label: "live queries" },
        y: { label: "µs", log: true },
        series: [{ name: "statements of 1,000", points: points((it) => [it.registeredMicroseconds]) }],
      },
    ],
    tables: [{
      title: "More and more live queries, one is hit",
      columns: ["live queries", "COMMIT to notification, ms p50", "p99", "own NOTIFY p50", "times own NOTIFY", "µs to run and register one", "bytes of the worker for one"],
      rows,
      note:
        `Each live query is the newest entry of a topic of its own; all but one are on topics that nobody writes, and are still there at the end. ` +
        `${size.rounds} rounds of ${size.writes} commits per side, in turns. ` +
        (figures.timesFew === undefined ? "" : `With 10,000 it takes ${figure(figures.timesFew)} times what it takes with 100, both as times of the own NOTIFY.`) +
        (left === undefined ? "" : ` ${left}`),
    }],
  };
}
