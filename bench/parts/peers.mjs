// pg_live beside other ways to have live queries, one after the other, each alone with pg_live: from a write to the client,
// how many writes per second they keep up with, what they do when nobody writes, and their memory.
import { pidListeningOn } from "../../pg_test/lib/processes.mjs";
import { sleep } from "../../pg_test/lib/wait.mjs";
import { privateMemory } from "../lib/cpu.mjs";
import { figure, ratio } from "../lib/format.mjs";
import { entriesOf, fill, forget, ours, RIVALS, startRival } from "../lib/rivals.mjs";
import { makePeerDatabase, PeerServer } from "../lib/peer.mjs";
import { layOut, openFloor } from "../lib/sides.mjs";
import { inTurns, median, ratioOfRounds, spread, summarize } from "../lib/stats.mjs";

export { prepareRivals as prepare } from "../lib/rivals.mjs";

const SIZES = {
  full: { sessions: 100, rounds: 5, writes: 20, slowWrites: 4, floods: 5, flood: 1_000, idleMs: 6_000 },
  quick: { sessions: 20, rounds: 3, writes: 5, slowWrites: 2, floods: 3, flood: 100, idleMs: 0 },
};
const WRITERS = 4;
const PATIENCE_MS = 60_000;
/** A backend that has nothing to do tells what it did within ten seconds. */
const IDLE_TELLS_MS = 11_000;
/** All of them, or those named; two in the short form. */
const names = (quick) => process.env.BENCH_PEER?.split(",") ?? (quick ? ["requery", "zero"] : Object.keys(RIVALS));

/** Writes one after the other: milliseconds from sending each to its arrival. */
export const single = (side, entries, writes) => async () => {
  const samples = [];
  for (let n = 0; n < writes; n += 1) {
    const entry = entries.next().value;
    const shown = side.board.expect(entry);
    shown.catch(() => {}); // Told below, after the write.
    const started = performance.now();
    await side.write(entry);
    samples.push((await shown) - started);
    await sleep(2);
  }
  return samples;
};

/** Many writes at once: writes per second until everyone shows the last ones. */
export const flood = (side, entries, count) => async () => {
  const { written, shown } = await side.flood(Array.from({ length: count }, () => entries.next().value), WRITERS, PATIENCE_MS);
  return [{ perSecond: (count * 1000) / shown, lag: shown - written }];
};

const transactions = async (admin, database) => {
  const { rows } = await admin.query("SELECT xact_commit::float8 AS count FROM pg_stat_database WHERE datname = $1", [database]);
  return rows[0].count;
};

/** Transactions per second of each database while nobody writes; the short form has no time for it. */
async function idle(admin, sides, ms) {
  if (ms === 0) {
    return [];
  }
  await sleep(IDLE_TELLS_MS);
  const before = await Promise.all(sides.map(({ database }) => transactions(admin, database)));
  await sleep(ms);
  const after = await Promise.all(sides.map(({ database }) => transactions(admin, database)));
  return after.map((count, n) => ((count - before[n]) * 1000) / ms);
}

/** MiB that only the server's processes and its database's backends have. */
async function memory(admin, { pids, database }) {
  const { rows } = await admin.query("SELECT pid FROM pg_stat_activity WHERE datname = $1", [database]);
  const all = async (some) => (await Promise.all(some.map((pid) => privateMemory(pid).catch(() => 0)))).reduce((sum, kib) => sum + kib, 0);
  return { server: (await all(pids)) / 1024, backends: (await all(rows.map(({ pid }) => pid))) / 1024 };
}

async function compare({ live, rival, floor }, admin, size, say) {
  const layout = layOut(size.sessions, 1);
  const topics = layout.flat();
  const [entries, writes] = [entriesOf(topics), RIVALS[rival.name].interval > 500 ? size.slowWrites : size.writes];
  say(`peers: ${rival.label}: opening ${size.sessions} subscribers`);
  const sides = { live: await live.open(layout), rival: await rival.open(layout) };
  const bare = await openFloor(floor);
  try {
    const arms = (make) => Object.fromEntries(Object.entries(sides).map(([name, side]) => [name, make(side)]));
    const [cpu, begun] = [process.cpuUsage(), performance.now()];
    say(`peers: ${rival.label}: single writes`);
    const singles = {
      ...arms((side) => single(side, entries, side === sides.rival ? writes : size.writes)),
      floor: single(bare, entries, size.writes),
    };
    await inTurns(singles, 1); // Warm.
    const took = await inTurns(singles, size.rounds);
    say(`peers: ${rival.label}: many writes`);
    const floods = arms((side) => flood(side, entries, size.flood));
    await inTurns(floods, 1); // Warm.
    const kept = await inTurns(floods, size.floods);
    for (const side of Object.values(sides)) {
      await side.check(topics);
    }
    const { user, system } = process.cpuUsage(cpu);
    const generatorCores = (user + system) / 1000 / (performance.now() - begun);
    const [idleLive, idleRival] = await idle(admin, [live, rival], size.idleMs);
    const rate = (name) => kept[name].map(([{ perSecond }]) => perSecond);
    const of = (name, idlePerSecond, used) => ({
      ms: summarize(took[name].flat()),
      perSecond: median(rate(name)),
      lagMs: median(kept[name].map(([{ lag }]) => lag)),
      idlePerSecond,
      mib: used,
    });
    return {
      live: of("live", idleLive, await memory(admin, live)),
      rival: of("rival", idleRival, await memory(admin, rival)),
      floor: summarize(took.floor.flat()),
      generatorCores,
      latencyTimes: ratioOfRounds(took.live, took.rival),
      rateTimes: spread(rate("live").map((value, round) => value / rate("rival")[round])),
    };
  } finally {
    await Promise.all([bare, ...Object.values(sides)].map((side) => side.close()));
  }
}

/** A bar for each peer, and one for pg_live: the median of what it was beside each. */
function bars(figures, value) {
  const own = median(Object.values(figures).map(({ live }) => value(live)));
  return [{ label: "pg_live", value: own, ours: true }, ...Object.entries(figures).map(([name, { rival }]) => ({ label: RIVALS[name].label, value: value(rival) }))];
}

const among = (numbers) => `${figure(Math.min(...numbers))} to ${figure(Math.max(...numbers))}`;

function rows(figures) {
  const all = Object.values(figures);
  const floor = ["the floor: commit, NOTIFY, one row, one client", among(all.map((it) => it.floor.p50)), among(all.map((it) => it.floor.p99)), "", "", "", "", "", "", ""];
  return [floor, ...rivalRows(figures)];
}

function rivalRows(figures) {
  return Object.entries(figures).flatMap(([name, { live, rival, latencyTimes, rateTimes }]) => {
    const line = (label, it, times, rates) => [
      label,
      figure(it.ms.p50),
      figure(it.ms.p99),
      times,
      figure(it.perSecond),
      figure(it.lagMs),
      rates,
      it.idlePerSecond === undefined ? "" : figure(it.idlePerSecond),
      figure(it.mib.server),
      figure(it.mib.backends),
    ];
    return [line(RIVALS[name].label, rival, "1", "1"), line("pg_live beside it", live, ratio(latencyTimes), ratio(rateTimes))];
  });
}

export async function measure({ server, say, quick }) {
  const size = quick ? SIZES.quick : SIZES.full;
  await server.configure("wal_level = logical", "max_connections = 400");
  await server.killRelay().catch(() => {}); // Its connections were cut with the server.
  await server.startRelay();
  await fill(server.env.DATABASE_URL);
  const admin = server.sql({ admin: true, max: 1 });
  const live = ours(server, await pidListeningOn(server.relayPort));
  const floorUrl = await makePeerDatabase(server, "peers_floor", ["floor"]);
  const floorServer = await PeerServer.start("floor", floorUrl);
  const floor = { url: floorServer.url, databaseUrl: floorUrl };
  const [figures, failed] = [{}, {}];
  for (const name of names(quick)) {
    let rival;
    try {
      rival = await startRival(name, server);
      figures[name] = await compare({ live, rival, floor }, admin, size, say);
    } catch (error) {
      say(`peers: ${RIVALS[name].label} failed: ${error.message}`);
      failed[name] = error.message;
    } finally {
      rival?.stop();
      await forget(admin, `rival_${name}`);
    }
  }
  floorServer.stop();
  if (Object.keys(figures).length === 0) {
    throw new Error(`no peer could be measured: ${JSON.stringify(failed)}`);
  }
  const left = Object.entries(failed).map(([name, message]) => ` Without figures: ${RIVALS[name].label} (${message}).`);
  return {
    figures,
    failures: failed,
    plots: [
      { title: "From a write to the client, p50", unit: "ms", bars: bars(figures, ({ ms }) => ms.p50) },
      { title: "Writes kept up with", unit: "per second", bars: bars(figures, ({ perSecond }) => perSecond) },
      { title: "Private memory of the server's processes and of its backends", unit: "MiB", bars: bars(figures, ({ mib }) => mib.server + mib.backends) },
    ],
    tables: [{
      title: `${size.sessions} live queries of as many clients`,
      columns: ["", "write to client, ms p50", "p99", "pg_live takes times", "writes/s kept up with", "ms after the last commit", "pg_live is times as fast", "transactions/s, idle", "MiB, server", "MiB, its backends"],
      rows: rows(figures),
      note:
        `Each peer alone with pg_live, in a database of its own in the same cluster, ${size.rounds} rounds in turns. Single writes: one after the ` +
        `other, from sending it to its arrival. Kept up with: ${size.flood} inserts by ${WRITERS} connections as fast as they go, divided by the time ` +
        "until every client shows the newest entry of its topic; clients may be sent newer results only. All clients are compared with the " +
        "database at the end. Idle: committed transactions in the database, background workers included. Memory: what only these processes have; " +
        `backends are all of the database, the bench's own too. The bench used ${among(Object.values(figures).map((it) => it.generatorCores * 100))} % of ` +
        `a core, clients in its process included.${left.join("")}`,
    }],
  };
}
