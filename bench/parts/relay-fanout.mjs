// One live query that thousands of clients share: deliveries per second, beside a bare broadcast loop.
import pg from "pg";
import { pidListeningOn } from "../../pg_test/lib/processes.mjs";
import { relayMetrics } from "../../pg_test/lib/metrics.mjs";
import { processCpu } from "../lib/cpu.mjs";
import { figure, ratio } from "../lib/format.mjs";
import { Broadcast, LoadClients, subscribe, syncUrl } from "../lib/load.mjs";
import { inTurns, median, spread } from "../lib/stats.mjs";

const SIZES = {
  full: { clients: [10, 100, 1_000, 5_000], rounds: 7, writes: 20 },
  quick: { clients: [1_000], rounds: 3, writes: 10 },
};
const TOPIC = "everyone";
const BODY = "Someone wrote these hundred characters of text, as they do in a chat, and someone else is to see them.";
const INSERT = "INSERT INTO entries (topic, n, body) VALUES ($1, $2, $3)";
const TARGET = "at least 0.8 with 5,000";

/** What the relay sends of one write: the same bytes for the bare loop, whose numbers have as many digits. */
function frame(n) {
  const version = (ts) => ({ querySet: 1, identity: 0, ts });
  const value = { _creationTime: 1763740800000.123, _id: "j57d2ksc4wtsqg3wh5y9h6w1hx7wq0aa", body: BODY, n, topic: TOPIC };
  return JSON.stringify({
    type: "Transition",
    startVersion: version("AAAAAAAAAAA="),
    endVersion: version("AAAAAAAAAAB="),
    modifications: [{ type: "QueryUpdated", queryId: 0, value, logLines: [], journal: null }],
  });
}

async function run(clients, { rounds, writes }, server, writer) {
  const numbers = (function* () {
    for (let n = Date.now() * 1000; ; n += 1) {
      yield n;
    }
  })();
  const write = (n) => writer.query({ name: "write", text: INSERT, values: [TOPIC, n, BODY] });
  await write(numbers.next().value);
  const bare = await Broadcast.start(clients);
  const live = await LoadClients.open(syncUrl(server.url), clients, subscribe("feed:newest", { topic: TOPIC }));
  const listeners = await LoadClients.open(bare.url, clients, []);
  const relay = await pidListeningOn(server.relayPort);
  /** Each write waits until everyone has the one before: seconds for a round. */
  const arm = (side, send) => async () => {
    const started = performance.now();
    for (let turn = 0; turn < writes; turn += 1) {
      const n = numbers.next().value;
      const shown = side.expect(n);
      shown.catch(() => {}); // Told below, after the write.
      await send(n);
      await shown;
    }
    return [(performance.now() - started) / 1000];
  };
  const arms = { live: arm(live, write), bare: arm(listeners, async (n) => bare.send(frame(n))) };
  try {
    await inTurns(arms, 1); // Warm.
    const pids = { relay, bare: bare.process.pid, clients: live.process.pid };
    const cpu = async () => Object.fromEntries(await Promise.all(Object.entries(pids).map(async ([name, pid]) => [name, await processCpu(pid)])));
    const [before, cpuBefore] = [await relayMetrics(server.url), await cpu()];
    const seconds = await inTurns(arms, rounds);
    const [after, cpuAfter] = [await relayMetrics(server.url), await cpu()];
    const microseconds = (name) => ((cpuAfter[name] - cpuBefore[name]) * 1000) / (rounds * writes * clients);
    const perSecond = (name) => seconds[name].map(([value]) => (clients * writes) / value);
    const of = (name) => after[name] - before[name];
    return {
      live: median(perSecond("live")),
      bare: median(perSecond("bare")),
      timesBare: spread(perSecond("live").map((value, round) => value / perSecond("bare")[round])),
      executionsPerWrite: of("pg_live_executions_total") / (rounds * writes),
      resultsPerWrite: of("pg_live_results_sent_total") / (rounds * writes),
      microsecondsPerDelivery: { relay: microseconds("relay"), bare: microseconds("bare"), clients: microseconds("clients") },
    };
  } finally {
    live.stop();
    listeners.stop();
    bare.stop();
  }
}

export async function measure({ server, say, quick }) {
  const size = quick ? SIZES.quick : SIZES.full;
  const writer = new pg.Client({ connectionString: server.env.DATABASE_URL });
  await writer.connect();
  const figures = {};
  for (const clients of size.clients) {
    say(`relay-fanout: ${clients} clients`);
    figures[clients] = await run(clients, size, server, writer);
  }
  await writer.end();
  const rows = Object.entries(figures).map(([clients, it]) => [
    Number(clients).toLocaleString("en"),
    figure(it.live),
    figure(it.bare),
    ratio(it.timesBare),
    figure(it.executionsPerWrite),
    figure(it.resultsPerWrite),
    ...["relay", "bare", "clients"].map((name) => figure(it.microsecondsPerDelivery[name])),
  ]);
  const table = {
    title: "One live query shared by all clients",
    columns: ["clients", "deliveries/s", "bare loop", "ratio", "executions per write", "results per write", "µs of a core per delivery: relay", "bare loop", "a client"],
    rows,
    note:
      `Each write waits until all clients show the one before; each frame is checked. The bare loop of tokio-tungstenite sends ` +
      `${frame(1763740800000000).length} bytes to each client in turn, without a commit or a query. Target: ${TARGET}.`,
  };
  const curve = (name, value) => ({ name, points: Object.entries(figures).map(([clients, it]) => [Number(clients), value(it)]) });
  const plot = {
    title: "One live query shared by all clients",
    x: { label: "clients" },
    y: { label: "deliveries per second", log: true },
    series: [curve("pg_live", (it) => it.live), curve("bare loop of tokio-tungstenite", (it) => it.bare)],
  };
  return { figures, target: TARGET, plots: [plot], tables: [table] };
}
