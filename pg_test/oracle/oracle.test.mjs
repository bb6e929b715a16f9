// Live queries of all kinds beside writes of all kinds. PG_LIVE_SEED repeats a run, ORACLE_COMMITS and ORACLE_QUERIES
// make it longer, ORACLE_ANY and ORACLE_KEPT look at so many queries only after each commit, and at all after 500.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster } from "../capture/cluster.mjs";
import { SEED } from "../lib/random.mjs";
import { Oracle } from "./oracle.mjs";
import { MISTAKES, ROWS } from "./planted.mjs";

const number = (name, otherwise) => Number(process.env[name] ?? otherwise);
const COMMITS = number("ORACLE_COMMITS", 3000);
const QUERIES = number("ORACLE_QUERIES", 60);
const SAMPLE = process.env.ORACLE_ANY ? { any: number("ORACLE_ANY", 20), kept: number("ORACLE_KEPT", 50) } : null;
const ALL_EVERY = 500;

async function start(name) {
  const settings = { autovacuum: "off", jit: "off", max_prepared_transactions: 0, "pg_live.kept_statements": 2 * QUERIES };
  const cluster = await Cluster.start(name, settings);
  const writer = await cluster.connect();
  const reader = await cluster.connect();
  await writer.query("CREATE EXTENSION pg_live");
  return { cluster, writer, reader };
}

/** Runs a schedule; gives the divergence that was found, or null. */
async function run(oracle, commits) {
  for (let commit = 1; commit <= commits; commit += 1) {
    await oracle.write();
    await oracle.step(commit % ALL_EVERY === 0 || commit === commits);
    if (oracle.divergence) {
      oracle.divergence.message += `\n(commit ${commit}, seed ${SEED})`;
      return oracle.divergence;
    }
  }
  return null;
}

test("what is not invalidated has not changed", async (t) => {
  console.log(`PG_LIVE_SEED=${SEED}, ${COMMITS} commits, ${QUERIES} queries`);
  const { cluster, writer, reader } = await start("oracle");
  t.after(() => cluster.stop());
  const oracle = new Oracle(SEED, { queries: QUERIES, folder: cluster.socket, sample: SAMPLE });
  await oracle.begin(writer, reader);
  const divergence = await run(oracle, COMMITS);
  assert.equal(divergence, null, divergence?.message);
  await cluster.assertHealthy();
  console.log(`${oracle.comparisons} comparisons; runs whose result was the same, by class:`);
  for (const [of, count] of Object.entries(oracle.reruns)) {
    console.log(`  ${of.padEnd(11)} ${oracle.needless[of]} of ${count} (${Math.round((oracle.needless[of] / count) * 100)} %)`);
  }
  assert.ok(oracle.comparisons > 0, "every query was invalidated by every commit");
});

test("what Postgres itself locks for a query is in its read-set", async (t) => {
  console.log(`PG_LIVE_SEED=${SEED}`);
  const { cluster, writer, reader } = await start("serializable");
  t.after(() => cluster.stop());
  const oracle = new Oracle(SEED, { queries: 150, folder: cluster.socket });
  await oracle.begin(writer, reader);
  let locked = 0;
  for (const query of oracle.queries) {
    const { locked: count, missing } = await oracle.notCovered(query);
    locked += count;
    assert.deepEqual(missing, [], `relations that are not in the read-set of ${query.sql}`);
  }
  console.log(`${locked} relations locked, all covered`);
  assert.ok(locked > oracle.queries.length / 2, "Postgres locked next to nothing");
  await cluster.assertHealthy();
});

// The suite must notice a write that nobody is told of.
test("planted mistakes are noticed", async (t) => {
  const { cluster, writer, reader } = await start("planted");
  t.after(() => cluster.stop());
  const extra = Object.values(MISTAKES).map(({ query, role = null }) => ({ sql: query, role }));
  const oracle = new Oracle(SEED, { queries: 0, folder: cluster.socket, before: 0 });
  await oracle.begin(writer, reader, extra, ROWS);
  for (const [mistake, { plant, undo, write, query }] of Object.entries(MISTAKES)) {
    await t.test(mistake, async () => {
      // Triggers that were disabled would be put right again at once.
      await writer.query("SET pg_live.repairing = on");
      await writer.query(plant);
      await writer.query("RESET pg_live.repairing");
      await writer.query(typeof write === "string" ? write : write(cluster.socket));
      await oracle.step();
      const noticed = oracle.divergence?.queries?.some(({ sql }) => sql === query);
      assert.ok(noticed, `the mistake was not noticed: ${oracle.divergence}`);
      await writer.query("SET pg_live.repairing = on");
      await writer.query(undo);
      await writer.query("RESET pg_live.repairing");
      await oracle.again();
    });
  }
});
