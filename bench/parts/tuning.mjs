// How the peers do with other settings: each with one of its settings changed, so that the point that the other parts use can be
// seen beside its neighbours.
import pg from "pg";
import { WebSocket } from "ws";
import { figure } from "../lib/format.mjs";
import { makePeerDatabase, PeerServer } from "../lib/peer.mjs";
import { entriesOf, forget, RIVALS, startRival } from "../lib/rivals.mjs";
import { layOut } from "../lib/sides.mjs";
import { inTurns, median, summarize } from "../lib/stats.mjs";
import { flood, single } from "./peers.mjs";

export { prepareRivals as prepare } from "../lib/rivals.mjs";

const SESSIONS = 100;
const ROUNDS = 3;
const WRITES = 10;
const FLOOD = 500;
const ACCOUNTS = 10_000;
const CLIENTS = 32;
const SECONDS = 3;

/** Which setting, its values, and the one that the other parts use. */
const SETTINGS = {
  requery: { variable: "POOL_SIZE", values: [1, 2, 4, 8, 16], used: 4 },
  poll100: { variable: "BATCH", values: [10, 50, 100, 500], used: 100 },
  wal2json: { variable: "MAX_CHANGES", values: [10, 100, 1000], used: 100 },
  zero: { variable: "SYNC_WORKERS", values: [1, 2], used: 2 },
};
const POOLS = [4, 8, 16, 32, 64];
const POOL_USED = 32;

async function rivalPoint(server, name, variable, value) {
  RIVALS[name].env = { ...RIVALS[name].env, [variable]: String(value) };
  const rival = await startRival(name, server);
  try {
    const layout = layOut(SESSIONS, 1);
    const side = await rival.open(layout);
    try {
      const entries = entriesOf(layout.flat());
      const arms = { single: single(side, entries, WRITES), flood: flood(side, entries, FLOOD) };
      await inTurns(arms, 1); // Warm.
      const samples = await inTurns(arms, ROUNDS);
      await side.check(layout.flat());
      return { ms: summarize(samples.single.flat()).p50, perSecond: median(samples.flood.map(([{ perSecond }]) => perSecond)) };
    } finally {
      await side.close();
    }
  } finally {
    rival.stop();
    await forget(server.sql({ admin: true, max: 1 }), `rival_${name}`);
  }
}

/** One client with one transfer under way at a time. */
function transfers(url, until) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    let done = 0;
    const next = () => {
      if (performance.now() > until()) {
        socket.close();
        resolve(done);
        return;
      }
      const from = Math.floor(Math.random() * ACCOUNTS);
      const to = (from + 1 + Math.floor(Math.random() * (ACCOUNTS - 1))) % ACCOUNTS;
      socket.send(JSON.stringify({ id: done, from: `account ${from}`, to: `account ${to}`, amount: 1 }));
    };
    socket.once("open", next);
    socket.on("message", () => {
      done += 1;
      next();
    });
    socket.once("error", reject);
  });
}

async function mutationPoint(databaseUrl, variant, size) {
  const peer = await PeerServer.start("node-mutations", databaseUrl, { VARIANT: variant, POOL_SIZE: String(size) });
  try {
    const run = async (seconds) => {
      const started = performance.now();
      const counts = await Promise.all(Array.from({ length: CLIENTS }, () => transfers(peer.url, () => started + seconds * 1000)));
      return counts.reduce((sum, count) => sum + count, 0) / seconds;
    };
    await run(1); // Warm.
    return await run(SECONDS);
  } finally {
    peer.stop();
  }
}

async function mutationCurves(server, say) {
  const url = await makePeerDatabase(server, "tuning", ["node-mutations"]);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("INSERT INTO accounts (name, balance) SELECT 'account ' || n, 1000 FROM generate_series(0, $1::int - 1) AS n", [ACCOUNTS]);
  await client.query("VACUUM ANALYZE accounts");
  const curves = {};
  for (const variant of ["roundtrips", "plpgsql"]) {
    curves[variant] = [];
    for (const size of POOLS) {
      say(`tuning: node-mutations, ${variant}, pool of ${size}`);
      curves[variant].push([size, await mutationPoint(url, variant, size)]);
    }
  }
  const { rows } = await client.query("SELECT sum(balance)::float8 AS sum FROM accounts");
  await client.end();
  if (rows[0].sum !== ACCOUNTS * 1000) {
    throw new Error(`the balances add up to ${rows[0].sum}`);
  }
  return curves;
}

export async function measure({ server, say }) {
  await server.configure("wal_level = logical", "max_connections = 400");
  const figures = {};
  const rows = [];
  for (const [name, { variable, values, used }] of Object.entries(SETTINGS)) {
    figures[name] = {};
    for (const value of values) {
      say(`tuning: ${name}, ${variable} ${value}`);
      const label = `${RIVALS[name].label}: ${variable} = ${value}${value === used ? " (used)" : ""}`;
      try {
        const point = await rivalPoint(server, name, variable, value);
        figures[name][value] = point;
        rows.push([label, figure(point.ms), figure(point.perSecond)]);
      } catch (error) {
        say(`tuning: ${error.message}`);
        rows.push([label, "failed", error.message]);
      }
    }
  }
  const curves = await mutationCurves(server, say);
  figures.mutations = curves;
  const mutationRows = Object.entries(curves).flatMap(([variant, points]) =>
    points.map(([size, rate]) => [`${variant}: POOL_SIZE = ${size}${size === POOL_USED ? " (used)" : ""}`, figure(rate)]),
  );
  const plot = (name) => ({
    title: `${RIVALS[name].label}`,
    x: { label: SETTINGS[name].variable },
    y: { label: "writes per second kept up with" },
    series: [{ name: SETTINGS[name].variable, points: Object.entries(figures[name]).map(([value, { perSecond }]) => [Number(value), perSecond]) }],
  });
  return {
    figures,
    plots: [
      ...Object.keys(SETTINGS).filter((name) => Object.keys(figures[name]).length > 0).map(plot),
      {
        title: "Node servers for transfers, low contention",
        x: { label: "POOL_SIZE" },
        y: { label: "transfers per second" },
        series: Object.entries(curves).map(([variant, points]) => ({ name: variant, points })),
      },
    ],
    tables: [
      {
        title: "Servers for live queries by one of their settings",
        columns: ["", "write to client, ms p50", "writes/s kept up with"],
        rows,
        note: `${SESSIONS} clients with a live query each; ${ROUNDS} rounds of ${WRITES} single writes and of ${FLOOD} by four connections. One after the other, not in turns.`,
      },
      {
        title: "Node servers for transfers by the size of their pool",
        columns: ["", "transfers per second"],
        rows: mutationRows,
        note: `${CLIENTS} clients, low contention, ${SECONDS} s each, serializable, durable commits; the sum of the balances was right.`,
      },
    ],
  };
}
