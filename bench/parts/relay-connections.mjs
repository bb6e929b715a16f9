// Thousands of clients with a live query each: memory of the relay, what it does when nothing happens, and all of them
// coming back at once.
import pg from "pg";
import { pidListeningOn } from "../../pg_test/lib/processes.mjs";
import { sleep } from "../../pg_test/lib/wait.mjs";
import { privateMemory, processCpu } from "../lib/cpu.mjs";
import { duration, figure } from "../lib/format.mjs";
import { LoadClients, subscribe, syncUrl } from "../lib/load.mjs";

const SIZES = {
  full: { clients: [1, 10, 100, 1_000, 10_000], idleSeconds: 60 },
  quick: { clients: [1_000], idleSeconds: 5 },
};
/** After which what was left to do at the opening is done. */
const SETTLE = 5_000;
const TARGETS = { kibPerClient: 20, idleCorePercent: 2, statementsPerSecond: 1, backSeconds: 30 };

/** Writes one entry of each topic, in one commit. */
async function write(writer, clients) {
  const n = Date.now() * 1000;
  await writer.query(
    "INSERT INTO entries (topic, n, body) SELECT 'topic ' || topic, $2::float8 + topic, 'text' FROM generate_series(0, $1::int - 1) AS topic",
    [clients, n],
  );
  return n;
}

async function check(load, clients, n) {
  const wrong = (await load.values()).filter((value, client) => value !== n + client).length;
  if (wrong > 0) {
    throw new Error(`${wrong} of ${clients} clients show something else than the database has`);
  }
}

/** Counts for some seconds how often a statement of the relay's role begins, by looking twenty times a second. */
async function statementsPerSecond(admin, seconds) {
  const [begun, started] = [new Map(), performance.now()];
  let count = 0;
  while (performance.now() - started < seconds * 1000) {
    const { rows } = await admin.query("SELECT pid, query_start::text AS start FROM pg_stat_activity WHERE usename = 'relay'");
    for (const { pid, start } of rows) {
      count += begun.has(pid) && begun.get(pid) !== start ? 1 : 0;
      begun.set(pid, start);
    }
    await sleep(50);
  }
  return (count * 1000) / (performance.now() - started);
}

/** Few clients do little when nothing happens, so that is looked at for the whole time with many only. */
const idleFor = (clients, { idleSeconds }) => (clients < 1_000 ? Math.min(idleSeconds, 5) : idleSeconds);

async function run(clients, size, server, writer) {
  const idleSeconds = idleFor(clients, size);
  const n = await write(writer, clients);
  const relay = await pidListeningOn(server.relayPort);
  const before = await privateMemory(relay);
  const load = await LoadClients.open(syncUrl(server.url), clients, subscribe("feed:newest", { topic: "topic {client}" }));
  try {
    await check(load, clients, n);
    await sleep(SETTLE);
    const memory = await privateMemory(relay);
    const [cpu, started] = [await processCpu(relay), performance.now()];
    const statements = await statementsPerSecond(writer, idleSeconds);
    const idleCpu = (await processCpu(relay)) - cpu;
    const idleMs = performance.now() - started;
    // They come back to something else than they left.
    const newest = await write(writer, clients);
    const backMs = await load.reconnect();
    const rightBy = performance.now();
    while ((await load.values()).some((value, client) => value !== newest + client)) {
      await sleep(100);
      if (performance.now() - rightBy > 120_000) {
        await check(load, clients, newest);
      }
    }
    return {
      openedSeconds: load.opened.ms / 1000,
      kibPerClient: (memory - before) / clients,
      idleCorePercent: (idleCpu / idleMs) * 100,
      statementsPerSecond: statements,
      backSeconds: (backMs + performance.now() - rightBy) / 1000,
    };
  } finally {
    load.stop();
  }
}

export async function measure({ server, say, quick }) {
  const size = quick ? SIZES.quick : SIZES.full;
  const writer = new pg.Client({ connectionString: server.env.PG_LIVE_ADMIN_URL });
  await writer.connect();
  const figures = {};
  for (const clients of size.clients) {
    say(`relay-connections: ${clients} clients`);
    figures[clients] = await run(clients, size, server, writer);
    await sleep(SETTLE); // They are forgotten.
  }
  await writer.end();
  const rows = Object.entries(figures).map(([clients, it]) => [
    Number(clients).toLocaleString("en"),
    clients < 1_000 ? "" : figure(it.kibPerClient),
    figure(it.idleCorePercent),
    figure(it.statementsPerSecond),
    duration(it.openedSeconds),
    duration(it.backSeconds),
  ]);
  const table = {
    title: "Clients with a live query each",
    columns: ["clients", "KiB of the relay per client", "% of a core, idle", "SQL statements per second, idle", "opened in", "all back and right in"],
    rows,
    note:
      `Memory: what only the relay's process uses, less that before. Idle for ${size.idleSeconds} s: nobody writes; the relay's pings and ` +
      `the clients' answers count. Then one commit changes every ` +
      `result, all connections are cut and made anew at once. Targets for 10,000: ${TARGETS.kibPerClient} KiB, ` +
      `${TARGETS.idleCorePercent} %, ${TARGETS.statementsPerSecond} per second, ${TARGETS.backSeconds} s.`,
  };
  const curve = (title, label, value, log) => ({
    title,
    x: { label: "clients" },
    y: { label, log },
    series: [{ name: "pg_live", points: Object.entries(figures).map(([clients, it]) => [Number(clients), value(it)]) }],
  });
  const plots = [
    curve("All clients come back at once", "s until all are right", (it) => it.backSeconds, true),
    curve("Opening them, and the first result", "s", (it) => it.openedSeconds, true),
  ];
  return { figures, targets: TARGETS, plots: size.clients.length > 1 ? plots : [], tables: [table] };
}
