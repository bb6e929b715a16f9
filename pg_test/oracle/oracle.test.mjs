// Live queries of all kinds beside writes of all kinds. PG_LIVE_SEED repeats a run, ORACLE_COMMITS and ORACLE_QUERIES
// make it longer.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster } from "../capture/cluster.mjs";
import { SEED } from "../lib/random.mjs";
import { Oracle } from "./oracle.mjs";

const COMMITS = Number(process.env.ORACLE_COMMITS ?? 600);
const QUERIES = Number(process.env.ORACLE_QUERIES ?? 60);
/** Enough writes for a planted mistake to show. */
const PLANTED_COMMITS = 2_000;

async function start(name) {
  const cluster = await Cluster.start(name, { autovacuum: "off", jit: "off", max_prepared_transactions: 0 });
  const writer = await cluster.connect();
  const reader = await cluster.connect();
  await writer.query("CREATE EXTENSION pg_live");
  return { cluster, writer, reader };
}

/** Runs a schedule; gives the divergence that was found, or null. */
async function run(oracle, commits) {
  for (let commit = 0; commit < commits; commit += 1) {
    await oracle.write();
    await oracle.step();
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
  const oracle = new Oracle(SEED, { queries: QUERIES, folder: cluster.socket });
  await oracle.begin(writer, reader);
  const divergence = await run(oracle, COMMITS);
  assert.equal(divergence, null, divergence?.message);
  await cluster.assertHealthy();
  const share = Object.entries(oracle.reruns).map(([of, count]) => `${of} ${oracle.needless[of]}/${count}`);
  console.log(`${oracle.comparisons} comparisons; runs whose result was the same: ${share.join(", ")}`);
  assert.ok(oracle.comparisons > COMMITS * QUERIES / 20, "most queries were invalidated by every commit");
});

// The suite must notice when something is not told. Nothing else may put it right: without definitions that change,
// what depends on one table alone is registered once.
const MISTAKES = {
  "no trigger of a partition tree fires": {
    plant: `DO $$ DECLARE part regclass; BEGIN FOR part IN SELECT relid FROM pg_partition_tree('o.p') LOOP
              EXECUTE format('ALTER TABLE ONLY %s DISABLE TRIGGER USER', part); END LOOP; END $$`,
    query: "SELECT count(*), sum(a), sum(b) FROM p",
  },
  "definitions change without a word": {
    plant: "ALTER EVENT TRIGGER pg_live_definition DISABLE; ALTER EVENT TRIGGER pg_live_definition_drop DISABLE",
    query: "SELECT f_sql(2) AS n",
    definitions: true,
  },
};

for (const [index, [mistake, { plant, query, definitions = false }]] of Object.entries(MISTAKES).entries()) {
  test(`planted: ${mistake}`, async (t) => {
    const { cluster, writer, reader } = await start(`oracle${index}`);
    t.after(() => cluster.stop());
    const oracle = new Oracle(SEED, { queries: 0, folder: cluster.socket, definitions });
    await oracle.begin(writer, reader, [query]);
    // The tables' own triggers would be put right again at once.
    await writer.query("SET pg_live.repairing = on");
    await writer.query(plant);
    await writer.query("RESET pg_live.repairing");
    assert.ok(await run(oracle, PLANTED_COMMITS) !== null, "the mistake was not noticed");
  });
}
