// From a writer's INSERT to the subscriber's new result: pg_live, a server built by hand on NOTIFY,
// and the floor, in turns.
import pg from "pg";
import { counts } from "../../pg_test/lib/metrics.mjs";
import { sleep } from "../../pg_test/lib/wait.mjs";
import { figure, ratio } from "../lib/format.mjs";
import { makePeerDatabase, PeerServer } from "../lib/peer.mjs";
import { layOut, openFloor, openLive, openLiveNpm, openRequery } from "../lib/sides.mjs";
import { inTurns, ratioOfRounds, summarize } from "../lib/stats.mjs";

const SIZES = { full: { rounds: 14, scenarios: 4 }, quick: { rounds: 5, scenarios: 1 } };
const WRITES_PER_ROUND = 50;
const TOPICS = 1000;
const ENTRIES_PER_TOPIC = 10;
/** Prime, so that the writes visit every topic before they visit one again. */
const STRIDE = 379;
const BODY = "Someone wrote these hundred characters of text, as they do in a chat, and someone else is to see them.";

const SCENARIOS = [
  { name: "1 live query", sessions: 1, each: 1, open: openLive },
  { name: "1 live query, client of npm convex", sessions: 1, each: 1, open: openLiveNpm },
  { name: "1,000 live queries in 1,000 sessions, 1 hit", sessions: 1000, each: 1, open: openLive },
  { name: "1,000 live queries in 100 sessions, 1 hit", sessions: 100, each: 10, open: openLive },
];

const LABELS = {
  live: "pg_live",
  requery: "trigger + NOTIFY + re-query",
  floor: "floor",
};

/** Both databases start with the same entries. */
async function fill(databaseUrl) {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  for (let n = 1; n <= ENTRIES_PER_TOPIC; n += 1) {
    await client.query(
      "INSERT INTO entries (topic, n, body) SELECT 'topic ' || topic, $2, $3 FROM generate_series(0, $1::int - 1) AS topic",
      [TOPICS, n, BODY],
    );
  }
  await client.query("VACUUM ANALYZE entries");
  await client.end();
}

/** The writes of one run: numbers that only grow, topics in a fixed order. */
function* entriesFor(topics) {
  const start = Date.now() * 1000; // Later than every earlier run.
  for (let n = 1; ; n += 1) {
    yield { topic: topics[(n * STRIDE) % topics.length], n: start + n, body: `${n} ${BODY}` };
  }
}

/** One write. Milliseconds until its commit has returned, until it is shown, and from the one to the other. */
async function measureOne(side, entry) {
  const shown = side.board.expect(entry);
  shown.catch(() => {}); // Told below, after the write.
  const started = performance.now();
  await side.write(entry);
  const committed = performance.now();
  const seen = await shown;
  return { total: seen - started, commit: committed - started, after: seen - committed };
}

/** The arm of one side: a round of writes, one after the other, with a breath between them. */
function arm(side, entries) {
  return async () => {
    const samples = [];
    for (let n = 0; n < WRITES_PER_ROUND; n += 1) {
      samples.push(await measureOne(side, entries.next().value));
      await sleep(2);
    }
    return samples;
  };
}

async function openSides(scenario, places) {
  const layout = layOut(scenario.sessions, scenario.each);
  return {
    live: await scenario.open({ ...places.live, layout }),
    requery: await openRequery({ ...places.requery, layout }),
    floor: await openFloor(places.floor),
  };
}

async function run(scenario, places, { rounds: count }) {
  const topics = layOut(scenario.sessions, scenario.each).flat();
  const sides = await openSides(scenario, places);
  try {
    const entries = entriesFor(topics);
    const arms = Object.fromEntries(Object.entries(sides).map(([name, side]) => [name, arm(side, entries)]));
    await inTurns(arms, 1); // Warm.
    const [before, cpu] = [await counts(places.live.url, places.live.admin), process.cpuUsage()];
    const started = performance.now();
    const rounds = await inTurns(arms, count);
    const after = await counts(places.live.url, places.live.admin);
    const { user, system } = process.cpuUsage(cpu);
    await sides.live.check(topics);
    await sides.requery.check(topics);
    return {
      rounds,
      rerunsPerWrite: (after.reruns - before.reruns) / (count * WRITES_PER_ROUND),
      resultsSentPerWrite: (after.pushes - before.pushes) / (count * WRITES_PER_ROUND),
      invalidationsPerWrite: (after.invalidations - before.invalidations) / (count * WRITES_PER_ROUND),
      needless: Object.fromEntries(Object.entries(sides).map(([name, { board }]) => [name, board.needless])),
      generatorCpuShare: (user + system) / 1000 / (performance.now() - started),
    };
  } finally {
    await Promise.all(Object.values(sides).map((side) => side.close()));
  }
}

const field = (rounds, name) => rounds.map((samples) => samples.map((sample) => sample[name]));

function figuresOf({ rounds, ...rest }) {
  const of = (name) => {
    const ratioTo = (other, what) => ratioOfRounds(field(rounds[name], what), field(rounds[other], what));
    return {
      total: summarize(field(rounds[name], "total").flat()),
      commit: summarize(field(rounds[name], "commit").flat()),
      afterCommit: summarize(field(rounds[name], "after").flat()),
      timesFloor: ratioTo("floor", "total"),
      timesRequery: ratioTo("requery", "total"),
      afterCommitTimesRequery: ratioTo("requery", "after"),
    };
  };
  return { ...rest, sides: Object.fromEntries(Object.keys(rounds).map((name) => [name, of(name)])) };
}

function tableOf(scenario, { sides, rerunsPerWrite, resultsSentPerWrite, needless, generatorCpuShare }, { rounds: count }) {
  const rows = Object.entries(sides).map(([name, { total, commit, afterCommit, timesFloor, timesRequery }]) => [
    LABELS[name],
    ...[total.p50, total.p99, commit.p50, afterCommit.p50, afterCommit.p99].map(figure),
    name === "floor" ? "1" : ratio(timesFloor),
    name === "requery" ? "1" : ratio(timesRequery),
  ]);
  return {
    title: `Commit to client, ${scenario.name}`,
    columns: [
      "ms",
      "write to client p50",
      "p99",
      "commit alone p50",
      "commit's return to client p50",
      "p99",
      "times the floor",
      "times re-query",
    ],
    rows,
    note:
      `${count} rounds of ${WRITES_PER_ROUND} writes per side, in turns; every result checked, all subscribers ` +
      `compared with the database at the end. pg_live ran ${figure(rerunsPerWrite)} queries per write and sent ` +
      `${figure(resultsSentPerWrite)} results; ${needless.live} came that nobody waited for. The load generator used ` +
      `${figure(generatorCpuShare * 100)} % of one core.`,
  };
}

/** Measures all scenarios with one server. */
export async function measure({ server, say, quick }) {
  const size = quick ? SIZES.quick : SIZES.full;
  const peersUrl = await makePeerDatabase(server);
  await fill(server.env.DATABASE_URL);
  await fill(peersUrl);
  const requery = await PeerServer.start("node-requery", peersUrl);
  const floor = await PeerServer.start("floor", peersUrl);
  const places = {
    live: { url: server.url, databaseUrl: server.env.DATABASE_URL, admin: server.sql({ admin: true, max: 1 }) },
    requery: { url: requery.url, databaseUrl: peersUrl },
    floor: { url: floor.url, databaseUrl: peersUrl },
  };
  const [figures, tables] = [{}, []];
  try {
    for (const scenario of SCENARIOS.slice(0, size.scenarios)) {
      say(`latency: ${scenario.name}`);
      figures[scenario.name] = figuresOf(await run(scenario, places, size));
      tables.push(tableOf(scenario, figures[scenario.name], size));
    }
  } finally {
    requery.stop();
    floor.stop();
  }
  return { figures, tables };
}
