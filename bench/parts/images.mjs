// What a fresh context costs when calls come one after the other: evaluated in the call, or copied from an image
// of the deployment. And the first call of a backend, with a small bundle and with one of 750 KiB.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import pg from "pg";
import { cpuTime } from "../lib/cpu.mjs";
import { figure, ratio } from "../lib/format.mjs";
import { inTurns, median, ratioOfRounds, summarize } from "../lib/stats.mjs";

const SIZES = {
  full: { rounds: 9, calls: 300, statements: 150, freshBackends: 20 },
  quick: { rounds: 5, calls: 100, statements: 50, freshBackends: 5 },
};
const BENCH = fileURLToPath(new URL("..", import.meta.url));
/** Bytes of code beside the server library, which has a bit more than 110 KiB: 750 KiB together. */
const LARGE_BYTES = 643 * 1024;
/** Longest to wait for an image, in milliseconds. */
const PATIENCE_MS = 60_000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** How calls get their contexts. */
const WAYS = {
  evaluated: { label: "evaluated in the call", path: "host:empty", image: false },
  copied: { label: "copied from the image", path: "host:empty", image: true },
  reused: { label: "one context for all", path: "reused:empty", image: true },
};

/** An open connection on which every call is what it says: no context that is shared unasked, no call run twice. */
async function connect(server, database, image) {
  // A database of its own is the superuser's.
  const connectionString =
    database === undefined ? server.env.DATABASE_URL : server.env.PG_LIVE_ADMIN_URL.replace(/\/app\b/, `/${database}`);
  const client = new pg.Client({ connectionString });
  await client.connect();
  for (const setting of ["pg_live.share_contexts = off", "pg_live.recheck_calls = 0"]) {
    // Settings of a prefix that is taken are refused if there is none of the name.
    await client.query(`SET ${setting}`).catch(() => {});
  }
  if (!image) {
    await client.query("SET pg_live.image_cache_mb = 0");
  }
  return client;
}

/** Calls until the image is there. */
async function adoptImage(client, path) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    await client.query(`SELECT live.query('${path}') FROM generate_series(1, 20)`);
    const { rows } = await client.query("SELECT value FROM live.isolate_stats() WHERE name = 'image_modules'");
    if (Number(rows[0].value) > 0) {
      return;
    }
    if (Date.now() > deadline) {
      throw new Error("no image is made");
    }
    await sleep(200);
  }
}

/** Time of the backend per call in one statement, in milliseconds. */
async function timeScan(client, path, calls) {
  const before = await cpuTime(client.processID);
  const { rows } = await client.query(
    `SELECT count(live.query('${path}')::text)::int AS calls FROM generate_series(1, ${calls})`,
  );
  if (rows[0].calls !== calls) {
    throw new Error(`${path}: ${rows[0].calls} answers of ${calls}`);
  }
  return [((await cpuTime(client.processID)) - before) / calls];
}

/** Milliseconds that statements with one call each took, one after the other. */
async function timeStatements(client, text, count) {
  const samples = [];
  for (let n = 0; n < count; n += 1) {
    const started = performance.now();
    await client.query({ name: text, text: `SELECT ${text} AS answer` });
    samples.push(performance.now() - started);
  }
  return samples;
}

async function measureSustained(server, { rounds, calls, statements }) {
  const clients = {};
  for (const [name, { path, image }] of Object.entries(WAYS)) {
    clients[name] = await connect(server, undefined, image);
    if (image) {
      await adoptImage(clients[name], path);
    }
  }
  const arms = (measure) => Object.fromEntries(Object.keys(WAYS).map((name) => [name, () => measure(name)]));
  const scan = arms((name) => timeScan(clients[name], WAYS[name].path, calls));
  const single = {
    floor: () => timeStatements(clients.copied, "'{}'::json", statements),
    ...arms((name) => timeStatements(clients[name], `live.query('${WAYS[name].path}')`, statements)),
  };
  await inTurns(scan, 1);
  await inTurns(single, 1);
  const samples = { scan: await inTurns(scan, rounds), single: await inTurns(single, rounds) };
  await Promise.all(Object.values(clients).map((client) => client.end()));
  return samples;
}

/** A module with the real server library and as much code as large apps have. */
async function largeBundle() {
  const code = ['import { queryGeneric as query } from "convex/server";', "const table = {};"];
  for (let n = 0, bytes = 0; bytes < LARGE_BYTES; n += 1) {
    const piece = `
export function convert${n}(value, options = {}) {
  const { factor = ${n}, offset = 1, label = "unit ${n}" } = options;
  const result = [];
  for (const each of value) result.push(each * factor + offset);
  return { label, result, total: result.reduce((sum, each) => sum + each, 0) };
}
class Shape${n} {
  constructor(name, size) { this.name = name; this.size = size; this.tags = ["a${n}", "b${n}"]; }
  describe(prefix) { return this.tags.find((tag) => tag.startsWith(prefix)) ?? JSON.stringify({ ...this, index: ${n} }); }
}
table.shape${n} = { Shape: Shape${n}, convert: convert${n}, limits: { low: ${n}, names: ["x", "z${n}"] } };`;
    code.push(piece);
    bytes += piece.length;
  }
  code.push("export const empty = query({ args: {}, handler: async () => null });");
  code.push("export const used = query({ args: {}, handler: async () => table.shape7.convert([1]).total });");
  const { outputFiles } = await build({
    stdin: { contents: code.join("\n"), resolveDir: BENCH },
    bundle: true,
    format: "esm",
    write: false,
  });
  return outputFiles[0].text;
}

async function deployLarge(server) {
  const control = await connect(server, "app", true);
  await control.query("CREATE DATABASE large");
  await control.query("CREATE ROLE large");
  await control.end();
  const client = await connect(server, "large", true);
  await client.query("CREATE EXTENSION pg_live");
  await client.query("SELECT live.setup('large')");
  const source = await largeBundle();
  await client.query("SELECT live.deploy($1)", [JSON.stringify({ modules: [{ path: "host.js", source }] })]);
  await adoptImage(client, "host:empty");
  await client.end();
  return source.length;
}

/** Memory of a process that no other shares, in MiB. */
async function privateDirty(pid) {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(/^Private_Dirty:\s+(\d+) kB$/m.exec(text)[1]) / 1024;
}

const FIRST = {
  floor: { label: "no call", text: "'{}'::json" },
  small: { label: "empty function", text: "live.query('host:empty')" },
  evaluated: { label: "empty function, no image", text: "live.query('host:empty')", image: false },
  large: { label: "empty function, bundle of 750 KiB", text: "live.query('host:empty')", database: "large" },
  largeEvaluated: {
    label: "empty function, bundle of 750 KiB, no image",
    text: "live.query('host:empty')",
    database: "large",
    image: false,
  },
};

async function measureFirst(server, { freshBackends }) {
  const arms = Object.fromEntries(
    Object.entries(FIRST).map(([name, { text, database, image = true }]) => [
      name,
      async () => {
        const client = await connect(server, database, image);
        const before = await privateDirty(client.processID);
        const [took] = await timeStatements(client, text, 1);
        const memory = (await privateDirty(client.processID)) - before;
        await client.end();
        return [{ took, memory }];
      },
    ]),
  );
  await inTurns(arms, 1);
  return await inTurns(arms, freshBackends);
}

/** Measures all of it with one server. */
export async function measure({ server, say, quick }) {
  const size = quick ? SIZES.quick : SIZES.full;
  say("images: sustained calls");
  const { scan, single } = await measureSustained(server, size);
  say("images: first calls");
  const bytes = await deployLarge(server);
  const first = await measureFirst(server, size);
  const net = (name) => single[name].map((round, n) => round.map((took) => took - median(single.floor[n])));
  const times = Object.fromEntries(
    Object.keys(WAYS).map((name) => [
      name,
      {
        inOneStatement: ratioOfRounds(scan[name], scan.evaluated),
        inStatements: ratioOfRounds(net(name), net("evaluated")),
      },
    ]),
  );
  const ways = Object.entries(WAYS).map(([name, { label }]) => [
    label,
    figure(summarize(scan[name].flat()).p50 * 1000),
    ratio(times[name].inOneStatement),
    figure(summarize(single[name].flat()).p50 * 1000),
    ratio(times[name].inStatements),
  ]);
  const firstOf = (name) => {
    const samples = first[name].flat();
    const { p50: ms, p99 } = summarize(samples.map((sample) => sample.took));
    return { ms, p99, mib: median(samples.map((sample) => sample.memory)) };
  };
  const firsts = Object.fromEntries(Object.keys(FIRST).map((name) => [name, firstOf(name)]));
  return {
    figures: { times, firsts, bytes },
    tables: [
      {
        title: "An empty function, call after call, by the way it gets its context",
        columns: ["µs", "in one statement, time of the backend", "times evaluated", "in statements, by the client", "times evaluated"],
        rows: ways,
        note:
          `${size.calls} calls of one statement and ${size.statements} prepared statements, ${size.rounds} rounds in turns. The last ` +
          "ratio is of what remains when a statement without a call is taken off.",
      },
      {
        title: "The first statement of a fresh backend",
        columns: ["", "ms, p50", "ms, p99", "MiB that it adds (Private_Dirty)"],
        rows: Object.entries(firsts).map(([name, { ms, p99, mib }]) => [FIRST[name].label, ...[ms, p99, mib].map(figure)]),
        note: `${size.freshBackends} backends each, in turns. The large bundle has ${Math.round(bytes / 1024)} KiB.`,
      },
    ],
  };
}
